"""Execution of one run: from a method and a case to a record. The method works in its own process, without truth or scores."""
