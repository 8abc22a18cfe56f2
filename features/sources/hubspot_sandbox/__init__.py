"""A small HubSpot of our own on this machine: for the demo, for trying a configuration, and for the tests."""
