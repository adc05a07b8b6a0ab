"""Shared parts of training loops: measured rays, losses by rays, regularisers, optimisers, precision, and the final fit to the data."""
