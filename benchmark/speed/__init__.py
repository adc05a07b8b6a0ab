"""Benchmarks of the project's own speed."""
