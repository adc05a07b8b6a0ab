"""From YAML and flags to run specs."""
