"""How a score store that an earlier release made becomes one of this release."""
