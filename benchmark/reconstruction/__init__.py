"""Solvers shared by methods."""
