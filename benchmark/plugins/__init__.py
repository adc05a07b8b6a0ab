"""Plug-ins: their specs, hooks and registry."""
