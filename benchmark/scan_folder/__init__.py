"""Scan folders of users: scan.yaml and the files it names (docs/data/scan_yaml.md describes the format)."""
