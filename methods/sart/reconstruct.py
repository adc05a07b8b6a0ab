"""SART as a method: passes of corrections from zero."""

from __future__ import annotations

import torch

from benchmark.api import OrderedSubsets, Reconstruction, Run, Scan
from methods.sart import SartParams

CORRECTIONS = 500  # per reconstruction, by default: from there on noise and model error grow faster than detail


def default_iterations(corrections_per_pass: int) -> int:
    """Passes that make about CORRECTIONS corrections, 2 .. 60."""
    return min(60, max(2, round(CORRECTIONS / corrections_per_pass)))


def reconstruct(scan: Scan, params: SartParams, run: Run) -> Reconstruction:
    """Every pass corrects with each subset once."""
    subsets = OrderedSubsets(scan, params.subset)
    iterations = params.iterations or default_iterations(len(subsets))
    volume, relaxation = torch.zeros(scan.geometry.volume_shape), params.relaxation
    for _ in run.steps(iterations):
        losses = [subsets.correct(volume, index, relaxation, params.nonnegative) for index in range(len(subsets))]
        relaxation *= params.decay
        run.log(loss=sum(losses) / len(losses))
        run.snapshot(lambda: volume.numpy().copy())
    return Reconstruction(volume=volume.numpy(), info={"iterations": iterations, "subsets": len(subsets)})
