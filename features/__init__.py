"""What was known, and when: CRM tables, sources, checks, point-in-time features, labels."""
