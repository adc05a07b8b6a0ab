"""Plans: from YAML and flags to run specs."""
