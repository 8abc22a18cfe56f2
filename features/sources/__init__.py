"""Where CRM tables come from: one module per kind of source, each satisfying ``base.Source``."""
