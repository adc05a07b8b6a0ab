"""Evaluation of a mixture at arbitrary points, without gradients, for the commands `render` and `volume`."""

from __future__ import annotations

import torch

from benchmark.errors import InputError
from benchmark.fields.mixture import CUTOFF, Grid, Mixture, reach_of, whitening
from benchmark.kernels.dispatch import call

MOST_CELLS = 64  # along an axis
GAUSSIANS_A_CELL = 2.0  # if they were spread evenly


@torch.no_grad()
def mixture_values(mixture: Mixture, positions: torch.Tensor, temperature: float | None = None, cutoff: float = CUTOFF) -> torch.Tensor:
    """Evaluate a mixture at positions [M, 3] (x y z [mm]): float32 [M] [1/mm].

    The sum of the Gaussians, or with a `temperature` [1/mm] their soft maximum (0: the maximum). A Gaussian counts where it is more than
    `cutoff` times its amplitude. Raises InputError for other shapes.
    """
    mixture.check()
    if positions.ndim != 2 or positions.shape[1] != 3:
        raise InputError("positions", expected="[M, 3], x y z", found=f"{tuple(positions.shape)}")
    values = torch.empty(len(positions), dtype=torch.float32, device=positions.device)
    if not len(positions):
        return values
    points = positions.float().contiguous()
    inputs = [tensor.detach().contiguous() for tensor in (mixture.means, whitening(mixture), mixture.log_amplitudes.exp())]
    numbers = (reach_of(cutoff), -1.0 if temperature is None else temperature)
    call("gaussian_values", _cells(points, mixture.size), mixture.size, *inputs, *numbers, points, len(points), values)
    return values


def _cells(points: torch.Tensor, gaussians: int) -> Grid:
    """Return cells that hold all points; more cells for more Gaussians."""
    lower, upper = points.amin(0), points.amax(0)
    count = max(1, min(MOST_CELLS, round((gaussians / GAUSSIANS_A_CELL) ** (1 / 3))))
    step = ((upper - lower) / count).clamp(min=1e-6 * float((upper - lower).max()) + 1e-6)
    return Grid.of([count] * 3, lower.flip(0).tolist(), step.flip(0).tolist())
