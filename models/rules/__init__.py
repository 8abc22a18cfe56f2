"""The rule sheet: what it says, what it gave in the past, what the past would give, and how it compares."""
