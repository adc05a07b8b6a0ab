"""Execution of all runs of a plan: selection, order and place."""
