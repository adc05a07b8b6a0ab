"""Projections of a field: march rays through a box, evaluate the field at the samples, composite the values.

Samples are packed: positions [M, 3] (x y z [mm]), ts [M, 2] = (t, dt) [mm] and rays [N, 2] = (first sample, count).
ts[:, 1] IS the length dt that a sample stands for. Outside the box a ray has no samples and contributes exactly zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmark.errors import InputError
from benchmark.kernels.dispatch import call, runs_on
from benchmark.machine import counters
from benchmark.projection.compositing import Mode, composited
from benchmark.projection.rays import Rays, box

Field = Callable[[torch.Tensor], torch.Tensor]
Jitter = torch.Generator | np.random.Generator | None
MOST_SAMPLES = 1 << 28  # in one ray table: more is a step in the wrong unit


class Samples(NamedTuple):
    """M samples along N rays, packed ray by ray, as `march` returns them.

    `positions` float32 [M, 3] x y z [mm]; `ts` float32 [M, 2] = (t, dt), distance from the origin and length of the bin [mm]; `rays` int64
    [N, 2] = (first sample, number of samples).
    """

    positions: torch.Tensor
    ts: torch.Tensor
    rays: torch.Tensor


def line_integral(
    field: Field,
    rays: Rays,
    bounds: Any,
    *,
    samples: int | None = None,
    step: float | None = None,
    jitter: Jitter = None,
    mode: Mode = "sum",
    occupancy: torch.Tensor | None = None,
    chunk: int = 1 << 20,
) -> torch.Tensor:
    """Return the integrals (mode 'sum', dimensionless) or maxima (mode 'max', 1/mm) of a field along rays: float32 [N].

    `field` maps positions [M, 3] (x y z [mm], inside `bounds` = [lower, upper]) to attenuation [M] or [M, 1] [1/mm]; one call gets at
    most about `chunk` samples, always whole rays. `samples`, `step`, `jitter` and `occupancy` are those of `march`. Differentiable
    with respect to all that the field depends on. Raises InputError for a field that returns another shape.
    """
    marcher = _Marcher(rays, bounds, samples, step, jitter, occupancy)
    parts = []
    for begin, end in marcher.pieces(chunk):
        piece = marcher.fill(begin, end)
        parts.append(composited(mode, evaluated(field, piece.positions), piece.ts, piece.rays))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def march(
    rays: Rays,
    bounds: Any,
    *,
    samples: int | None = None,
    step: float | None = None,
    jitter: Jitter = None,
    occupancy: torch.Tensor | None = None,
) -> Samples:
    """Return one sample in each of the bins of equal length dt that divide the part of each ray inside the box `bounds` = [lower, upper].

    Give the number of `samples` per ray, or the longest `step` [mm]. With a generator `jitter` (torch or NumPy; one number is drawn from
    it) each sample is uniformly distributed in its bin, which makes the integral unbiased; without it, samples lie in the middle.
    `occupancy` (bool [z, y, x], cells that fill the box) drops the samples in cells that are False.
    """
    return _Marcher(rays, bounds, samples, step, jitter, occupancy).fill(0, len(rays))


def clip(rays: Rays, bounds: Any) -> torch.Tensor:
    """Return the distances at which each ray enters and leaves the box, float32 [N, 2] [mm]; both 0 for rays that miss it."""
    spans = torch.empty(len(rays), 2, dtype=torch.float32, device=rays.origins.device)
    call("clip_rays", rays.origins, rays.directions, len(rays), box(bounds), spans)
    return spans


class _Marcher:
    """Sample table of some rays, and the samples of any consecutive part of them."""

    def __init__(
        self, rays: Rays, bounds: Any, samples: int | None, step: float | None, jitter: Jitter, occupancy: torch.Tensor | None
    ) -> None:
        if (samples is None) == (step is None):
            raise InputError("march", expected="either samples (per ray) or step [mm]", found="neither" if step is None else "both")
        if samples is not None and not 1 <= samples < 1 << 24:
            raise InputError("march: samples", expected="1 or more per ray", found=f"{samples}")
        if step is not None and not 0 < step < float("inf"):
            raise InputError("march: step", expected="a positive length in mm", found=f"{step}")
        if not runs_on(rays.origins.device):
            raise InputError("march: rays", expected="rays on the CPU or a CUDA device", found=f"rays on {rays.origins.device}")
        self.rays, self.box = rays, box(bounds)
        cells, shape = _cells(occupancy)
        self._how = (self.box, samples or 0, step or 0.0, _seed(jitter), cells, shape)
        self.table = torch.empty(len(rays), 2, dtype=torch.int64, device=rays.origins.device)
        self.total = call("march_count", rays.origins, rays.directions, len(rays), *self._how, self.table)
        if self.total > MOST_SAMPLES and step is not None:
            raise InputError("march: step", expected=f"at most {MOST_SAMPLES} samples", found=f"{self.total}", fix="Is the step in mm?")

    def pieces(self, chunk: int) -> list[tuple[int, int]]:
        """Yield ranges of whole rays with at most about `chunk` samples."""
        count = len(self.rays)
        if self.total <= chunk:
            return [(0, count)]
        ends = self.table[:, 0] + self.table[:, 1]
        pieces, begin = [], 0
        while begin < count:
            limit = int(self.table[begin, 0]) + chunk
            end = max(begin + 1, int(torch.searchsorted(ends, limit, right=True)))
            pieces.append((begin, end))
            begin = end
        return pieces

    def fill(self, begin: int, end: int) -> Samples:
        table = self.table[begin:end].clone()
        if begin:
            table[:, 0] -= self.table[begin, 0]
        count = self.total if end - begin == len(self.rays) else int(table[-1].sum())
        counters.count("ray_samples", count)
        positions, ts = (torch.empty(count, n, dtype=torch.float32, device=table.device) for n in (3, 2))
        how = (begin, end, *self._how, self.table, positions, ts)
        call("march_fill", self.rays.origins, self.rays.directions, *how)
        return Samples(positions, ts, table)


def evaluated(field: Field, positions: torch.Tensor) -> torch.Tensor:
    """Return the field at positions [M, 3]: float32 [M]. Raise InputError for values of another shape."""
    mu = field(positions)
    count = positions.shape[0]
    if tuple(mu.shape) not in ((count,), (count, 1)):
        raise InputError("line_integral: field", expected=f"mu of shape [{count}]", found=f"{tuple(mu.shape)}")
    return mu.reshape(count).float()


def _seed(jitter: Jitter) -> int:
    """Return 31 random bits for the kernel's own counter-based jitter, -1 for none."""
    if jitter is None:
        return -1
    if isinstance(jitter, np.random.Generator):
        return int(jitter.integers(1 << 31))
    return int(torch.randint(1 << 31, (), generator=jitter, dtype=torch.int64))


def _cells(occupancy: torch.Tensor | None) -> tuple[torch.Tensor | None, tuple[int, ...]]:
    if occupancy is None:
        return None, (0, 0, 0)
    if occupancy.ndim != 3 or occupancy.numel() == 0:
        raise InputError("march: occupancy", expected="cells [z, y, x]", found=f"{tuple(occupancy.shape)}")
    cells = occupancy if occupancy.dtype == torch.bool else occupancy.ne(0)
    return cells.contiguous().view(torch.uint8), tuple(occupancy.shape)
