"""How test data are made: bodies, scanners, noise."""
