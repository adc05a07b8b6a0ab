"""Check a scan against its description: its numbers, and its projections under every usual geometry mistake."""
