"""The nouns of a scan: geometry, views, cases, reconstructions."""
