"""Projection operator A and its transpose: line integrals, rays, marching, compositing."""
