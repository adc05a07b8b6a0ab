"""Services of the harness for a running method."""
