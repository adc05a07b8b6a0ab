"""ASD-POCS from a scan to a volume (Sidky and Pan 2008, the listing of section 2.3, doi 10.1088/0031-9155/53/17/021)."""

from __future__ import annotations

import math

import numpy as np
import torch

from benchmark.api import OrderedSubsets, Reconstruction, Run, Scan, TotalVariation, engine_name, operators, scan_noise

from . import AsdPocsParams

# Residual of noise-free data that a grid leaves, relative to their root mean square, times the voxels along the longest edge. About
# what the best volumes of the anatomy phantom and the thorax leave, at 48 and 64 voxels, with 10 and 50 views: 1.0 to 1.5 percent.
GRID = 0.65


def data_tolerance(scan: Scan) -> float:
    """Return epsilon from the scan alone: the noise of a typical pixel, but at least the residual that the voxel grid leaves."""
    size = float(np.sqrt(np.mean(np.square(scan.projections, dtype=np.float64))))
    return max(scan_noise(scan), GRID / max(scan.geometry.volume_shape) * size)


def reconstruct(scan: Scan, params: AsdPocsParams, run: Run) -> Reconstruction:
    """Reconstruct: per pass, one correction by each subset, then descent by steps of one length; the corrected volume is the result."""
    shape = scan.geometry.volume_shape
    subsets = OrderedSubsets(scan, params.subset, run.memory_bytes, run.device, params.engine)
    projector = operators(scan.geometry, params.engine, run.device)
    measured = torch.from_numpy(np.array(scan.projections)).to(run.device)
    variation = TotalVariation(shape, scan.geometry.volume_spacing, run.device)
    epsilon = data_tolerance(scan) if params.epsilon is None else params.epsilon
    corrected = smooth = torch.zeros(shape, dtype=torch.float32, device=run.device)
    info: dict[str, float] = {"epsilon": epsilon, "passes": 0}
    beta, length = params.beta, None
    for done in run.steps(params.iterations):
        corrected = smooth.clone()
        for index in range(len(subsets)):
            subsets.correct(corrected, index, beta, params.nonnegative)
        residual = float((projector.forward(corrected) - measured).double().square().mean().sqrt())
        moved = norm(corrected - smooth)
        length = params.alpha * moved if length is None else length
        smooth = descended(corrected, variation, length, params)
        undone = norm(smooth - corrected)
        if undone > params.rmax * moved and residual > epsilon:
            length *= params.alpha_red
        beta *= params.beta_red
        info |= {"passes": done + 1, "residual": residual, "step": length}
        run.log(loss=residual**2)
        run.snapshot(lambda: corrected.cpu().numpy())  # noqa: B023 (called at once)
    return Reconstruction(volume=corrected.cpu().numpy(), engine=engine_name(params.engine), info=info)


def descended(volume: torch.Tensor, variation: TotalVariation, length: float, params: AsdPocsParams) -> torch.Tensor:
    """Return the volume after `ng` steps of this length down the gradient of its total variation."""
    smoothing = params.smoothing * norm(volume) / math.sqrt(volume.numel())
    for _ in range(params.ng if smoothing else 0):
        slope = variation.gradient(volume, smoothing)
        steepness = norm(slope)
        if not steepness:
            break
        volume = volume - (length / steepness) * slope
    return volume


def norm(volume: torch.Tensor) -> float:
    """Return the Euclidean norm."""
    return float(volume.double().norm())
