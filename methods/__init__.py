"""Built-in reconstruction methods, one folder or module each: plug-ins like any other."""
