"""Who gets it: the score store, exports and reports."""
