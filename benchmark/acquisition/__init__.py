"""Test data: bodies, scanners and noise."""
