"""Solvers that methods share."""
