"""What a method may ask of the harness while it runs."""
