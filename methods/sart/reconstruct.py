"""SART as a method: passes of corrections from zero."""

from __future__ import annotations

import torch

from benchmark.api import OrderedSubsets, Reconstruction, Run, Scan, engine_name, on_finer_grid

from . import SartParams

# Corrections per voxel of the longest edge, by default. Detail of n voxels across needs a number that grows with n; beyond it,
# noise and the model's error grow faster than detail. Measured at 32, 64 and 128 voxels, 10 to 100 views, on phantoms, a
# thorax and the walnut: the best number lies between 4 (phantoms, many views) and 9 (walnut).
CORRECTIONS = 7


def default_iterations(edge: int, corrections_per_pass: int) -> int:
    """Return the number of passes for CORRECTIONS corrections per voxel of the longest edge, 2 at least."""
    return max(2, round(CORRECTIONS * edge / corrections_per_pass))


def reconstruct(scan: Scan, params: SartParams, run: Run) -> Reconstruction:
    """Reconstruct on the scan's voxels, or on finer ones."""
    return on_finer_grid(corrected, scan, params, run) if params.fine else corrected(scan, params, run)


def corrected(scan: Scan, params: SartParams, run: Run) -> Reconstruction:
    """Reconstruct by passes that correct with each subset once."""
    subsets = OrderedSubsets(scan, params.subset, run.memory_bytes, run.device, params.engine)
    iterations = params.iterations or default_iterations(max(scan.geometry.volume_shape), len(subsets))
    volume, relaxation = torch.zeros(scan.geometry.volume_shape, dtype=torch.float32, device=run.device), params.relaxation
    for _ in run.steps(iterations):
        losses = [subsets.correct(volume, index, relaxation, params.nonnegative) for index in range(len(subsets))]
        relaxation *= params.decay
        run.log(loss=torch.stack(losses).mean())
        run.snapshot(lambda: volume.cpu().numpy() if subsets.slabs else volume.cpu().numpy().copy())  # a copy may be too much
    info = {"iterations": iterations, "subsets": len(subsets), **({"slabs": subsets.slabs} if subsets.slabs else {})}
    return Reconstruction(volume=volume.cpu().numpy(), engine=engine_name(params.engine), info=info)
