"""FDK as a method: one call of the shared filtered backprojection, or of TIGRE's."""

from __future__ import annotations

import numpy as np

from benchmark.api import Reconstruction, Run, Scan, engine_name, filtered_backprojection, not_circular, tigre_fdk

from . import FdkParams


def why_not(scan: Scan, params: FdkParams) -> str | None:
    """Return the reason why FDK cannot reconstruct this scan, or None."""
    reason = not_circular(scan.geometry)
    return f"FDK needs a circular orbit: {reason}" if reason else None


def reconstruct(scan: Scan, params: FdkParams, run: Run) -> Reconstruction:
    """Reconstruct in one pass over the views."""
    if params.engine == "tigre":
        volume, info = tigre_fdk(scan.projections, scan.geometry, params.filter, run.device)
        volume = np.maximum(volume, 0) if params.nonnegative else volume
        return Reconstruction(volume=volume, engine=engine_name(params.engine), info=info)
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
