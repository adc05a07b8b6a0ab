"""Seed: a benchmark harness for sparse-view cone-beam CT."""

__version__ = "0.1.0"
