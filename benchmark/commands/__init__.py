"""Commands of the command line, one module for each thing they work on; each module has `add_to(app)`."""
