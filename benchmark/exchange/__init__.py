"""Scans and volumes in the formats of other programs: what leaves the project, and volumes that come from elsewhere."""
