"""CRM tables from a database: what Fivetran, Airbyte or dlt landed there of HubSpot, or the tables themselves."""
