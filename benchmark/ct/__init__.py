"""The physics that every method shares: geometry, projector, renderer, simulation, noise."""
