"""One run: from a method and a case to a record. The method works in a process of its own, which knows nothing of truth or scores."""
