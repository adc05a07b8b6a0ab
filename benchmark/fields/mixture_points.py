"""A Gaussian mixture at any points, for those who ask a field and not a grid."""

from __future__ import annotations

import math

import torch

from benchmark.fields.mixture import CUTOFF, Mixture, reach_of, whitening

POINTS = 512  # a cell should hold, where there are that many
MOST_CELLS = 16  # along an axis
PAIRS = 1 << 22  # points times Gaussians at once


def mixture_values(mixture: Mixture, points: torch.Tensor, cutoff: float = CUTOFF) -> torch.Tensor:
    """V at points [M, 3] (x y z [mm]) -> [M], 1/mm, differentiable. A Gaussian counts where it is more than `cutoff` times its amplitude.

    Points are sorted into the cells of a grid; those of a cell ask only the Gaussians that reach it.
    """
    mixture.check()
    if not len(points):
        return torch.zeros(0)
    reach = reach_of(cutoff)
    matrices, amplitudes = whitening(mixture), mixture.log_amplitudes.exp()
    lower, upper = points.amin(0), points.amax(0)
    count = max(1, min(MOST_CELLS, round((len(points) / POINTS) ** (1 / 3))))
    edges = ((upper - lower) / count).clamp(min=1e-6)
    cell = ((points - lower) / edges).long().clamp(max=count - 1)
    numbers, order = (cell @ torch.tensor([1, count, count * count])).sort(stable=True)
    found, lengths = numbers.unique_consecutive(return_counts=True)
    radii = math.sqrt(reach) * mixture.log_scales.detach().amax(1).exp()
    parts = []
    for number, members in zip(found.tolist(), order.split(lengths.tolist()), strict=True):
        corner = lower + edges * torch.tensor([number % count, number // count % count, number // count**2])
        centres = mixture.means.detach()
        away = centres - centres.clamp(min=corner, max=corner + edges)
        near = torch.nonzero(away.square().sum(1) <= radii.square())[:, 0]
        parts.append(_values(points[members], mixture.means[near], matrices[near], amplitudes[near], reach))
    return torch.zeros(len(points)).index_copy(0, order, torch.cat(parts))


def _values(points: torch.Tensor, means: torch.Tensor, matrices: torch.Tensor, amplitudes: torch.Tensor, reach: float) -> torch.Tensor:
    """Every Gaussian for every point, [M]."""
    parts = []
    for some in points.split(max(1, PAIRS // max(1, len(means)))):
        squares = torch.einsum("kij,nkj->nki", matrices, some[:, None] - means).square().sum(-1)
        parts.append((amplitudes * (-0.5 * squares).exp() * (squares <= reach)).sum(1))
    return torch.cat(parts)
