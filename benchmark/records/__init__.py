"""Results on disk: run records, volumes, cases, and the table of all runs."""
