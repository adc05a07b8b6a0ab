"""Built-in datasets, one folder or module each: plug-ins like any other."""
