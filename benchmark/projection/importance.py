"""Line integrals and maxima with more samples where a field is dense (hierarchical sampling, Mildenhall et al. 2020, section 5.2).

In radiance, a sample's weight depends on the transmittance up to it; attenuation is additive, so the density alone
determines where samples belong, and their sum is a plain quadrature.
"""

from __future__ import annotations

from typing import Any

import torch

from benchmark.errors import InputError
from benchmark.kernels.dispatch import call
from benchmark.machine import counters
from benchmark.projection.compositing import Mode, composited
from benchmark.projection.marching import Field, Samples, clip, evaluated
from benchmark.projection.rays import Rays

UNIFORM = 0.1  # share of importance samples spread uniformly, in case the coarse samples missed something


def importance_integral(
    field: Field,
    rays: Rays,
    bounds: Any,
    *,
    samples: int,
    importance: int,
    jitter: torch.Generator | None = None,
    mode: Mode = "sum",
    occupancy: torch.Tensor | None = None,
    chunk: int = 1 << 20,
) -> torch.Tensor:
    """Return integrals or maxima as `line_integral` does, from `samples` even and `importance` adaptive samples per ray: float32 [N].

    A first pass of the field in even bins, without gradients, places the adaptive ones where the field is large (Mildenhall et al.
    2020, arXiv 2003.08934). With `jitter` the result is unbiased. Gradients do not pass through the positions of the samples.
    """
    rows = max(1, chunk // (samples + importance))
    parts = []
    for begin in range(0, max(1, len(rays)), rows):
        found = importance_march(
            field, rays[begin : begin + rows], bounds, samples=samples, importance=importance, jitter=jitter, occupancy=occupancy
        )
        parts.append(composited(mode, evaluated(field, found.positions), found.ts, found.rays))
    return torch.cat(parts)


def importance_march(
    field: Field,
    rays: Rays,
    bounds: Any,
    *,
    samples: int,
    importance: int,
    jitter: torch.Generator | None = None,
    occupancy: torch.Tensor | None = None,
) -> Samples:
    """Cut the part of each ray inside the box into samples + importance bins, one sample each; dt is the length of its bin.

    The field is evaluated in the middle of `samples` equal bins, without gradients. The edges of those and of `importance`
    bins with equal parts of the field's integral are together the edges of the bins. With `jitter` a sample is
    uniformly distributed in its bin, independent of the edges: the sum is unbiased for any edges.
    `occupancy` [z, y, x] (bool, cells that fill the box) leaves out the samples in cells that are False.
    Raise InputError for less than one sample, or a negative number of importance samples.
    """
    if samples < 1 or importance < 0:
        raise InputError("importance_march", expected="samples >= 1, importance >= 0", found=f"{samples}, {importance}")
    near, far = clip(rays, bounds).unsqueeze(-1).unbind(1)  # [N, 1]
    equal = torch.linspace(0, 1, samples + 1, dtype=torch.float32, device=near.device)
    with torch.no_grad():
        middles = near + (far - near) * ((equal[1:] + equal[:-1]) / 2)
        hits = (far > near).squeeze(1)
        places = _points(rays, middles)[hits]
        found = field(places.view(-1, 3)).reshape(-1, samples).clamp(min=0)
        found = found if occupancy is None else found * _occupied(occupancy, places, bounds)
        coarse = torch.zeros_like(middles, dtype=found.dtype).index_put((hits,), found)
        edges = torch.cat([equal.expand(len(rays), -1), _quantiles(coarse, importance)], 1).sort(1).values
        counters.count("ray_samples", found.numel())
    lengths = edges.diff(dim=1)
    place = torch.full_like(lengths, 0.5) if jitter is None else _anywhere(lengths, jitter)
    ts = near + (far - near) * (edges[:, :-1] + place * lengths)
    positions, dt = _points(rays, ts), lengths * (far - near)
    kept = (dt > 0) if occupancy is None else (dt > 0) & _occupied(occupancy, positions, bounds)
    counts = kept.sum(1)
    counters.count("ray_samples", int(counts.sum()))
    return Samples(positions[kept], torch.stack([ts[kept], dt[kept]], 1), torch.stack([counts.cumsum(0) - counts, counts], 1))


def _quantiles(density: torch.Tensor, count: int) -> torch.Tensor:
    """Return `count` inner edges [N, count] in 0 .. 1 that divide a density, constant on equal bins [N, bins], into equal parts."""
    bins = density.shape[1]
    part = density / density.sum(1, keepdim=True).clamp(min=1e-30) * (1 - UNIFORM) + UNIFORM / bins
    part = part / part.sum(1, keepdim=True)  # the density is 0 everywhere
    cumulative = torch.nn.functional.pad(part.cumsum(1), (1, 0))
    targets = (
        ((torch.arange(count, dtype=torch.float32, device=density.device) + 0.5) / max(1, count)).expand(len(density), -1).contiguous()
    )
    low = (torch.searchsorted(cumulative, targets, right=True) - 1).clamp(0, bins - 1)
    within = (targets - cumulative.gather(1, low)) / part.gather(1, low)
    return ((low + within) / bins).clamp(0, 1)


def _anywhere(like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return random positions in 0 .. 1 [N, n]. On a GPU the generator draws one seed, and the kernels' own jitter the rest."""
    if like.device.type == "cpu":
        return torch.rand(like.shape, dtype=torch.float32, generator=generator)
    places = torch.empty_like(like)
    call("march_places", *like.shape, int(torch.randint(1 << 31, (), generator=generator)), places)
    return places


def _points(rays: Rays, ts: torch.Tensor) -> torch.Tensor:
    """Return positions [N, n, 3] at distances ts [N, n] along rays [mm]."""
    return rays.origins[:, None] + ts[..., None] * rays.directions[:, None]


def _occupied(occupancy: torch.Tensor, positions: torch.Tensor, bounds: Any) -> torch.Tensor:
    """Return whether positions [N, n, 3] lie in cells that are True."""
    lower, upper = torch.as_tensor(bounds, dtype=torch.float32).to(positions.device)
    counts = torch.tensor(occupancy.shape[::-1], device=positions.device)
    cells = ((positions - lower) / (upper - lower) * counts).long().clamp(min=0).minimum(counts - 1)
    x, y, z = cells.unbind(-1)
    return occupancy[z, y, x].ne(0)
