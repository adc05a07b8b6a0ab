"""FDK as a method: one call of the shared filtered backprojection."""

from __future__ import annotations

from benchmark.api import Reconstruction, Run, Scan, filtered_backprojection, not_circular
from methods.fdk import FdkParams


def why_not(scan: Scan, params: FdkParams) -> str | None:
    """Why this scan cannot be reconstructed by FDK, or None."""
    reason = not_circular(scan.geometry)
    return f"FDK needs a circular orbit: {reason}" if reason else None


def reconstruct(scan: Scan, params: FdkParams, run: Run) -> Reconstruction:
    """One pass over the views."""
    volume, info = filtered_backprojection(
        scan.projections,
        scan.geometry,
        filter=params.filter,
        cutoff=params.cutoff,
        nonnegative=params.nonnegative,
        memory_bytes=run.memory_bytes,
        folder=run.scratch,
        device=run.device,
    )
    return Reconstruction(volume=volume, info=info)
