"""Sweeps: which runs, in what order, where."""
