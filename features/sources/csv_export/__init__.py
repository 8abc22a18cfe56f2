"""CRM tables from files of HubSpot's export button, by a mapping that the user has read."""
