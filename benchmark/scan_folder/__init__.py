"""Scan folders of users: scan.yaml and the files it names (docs/data.md describes the format)."""
