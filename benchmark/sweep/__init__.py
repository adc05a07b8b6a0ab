"""All runs of a plan: which, in what order, and where they execute."""
