"""HubSpot as a source of CRM tables: a polite client, a landing that resumes, and the way into the tables."""
