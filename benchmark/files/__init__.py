"""Numbers from other people's files: headers are checked before memory is taken, and no file can run code."""
