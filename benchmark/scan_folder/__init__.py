"""A user's own scan: a folder with scan.yaml and the files it names (docs/data.md describes the format)."""
