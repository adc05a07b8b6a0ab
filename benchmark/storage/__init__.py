"""Files that are written whole or not at all: arrays, caches, downloads, JSON, YAML."""
