"""Checks of stored results: scores and digests computed again."""
