"""Published scores written back into HubSpot: what changed, what was refused, and how to undo it."""
