"""Multiresolution hash encoding (Mueller et al. 2022, doi 10.1145/3528223.3530127), two features a level."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from benchmark.errors import InputError
from benchmark.fields.layout import feature_major
from benchmark.kernels.declarations import HashLevel
from benchmark.kernels.dispatch import call

FEATURES = 2


def growth(levels: int, base: int, finest: int) -> float:
    """Return the ratio of cells along an edge between consecutive levels."""
    return math.exp(math.log(finest / base) / max(1, levels - 1))


def level_cells(levels: int, base: int, finest: int) -> list[int]:
    """Return the number of cells along an edge of each level."""
    return [round(base * growth(levels, base, finest) ** level) for level in range(levels)]


class HashGrid(nn.Module):
    """Multiresolution hash encoding (Mueller et al. 2022, doi 10.1145/3528223.3530127): points [M, 3] in the unit cube -> [M, 2 * levels].

    Level l has `base * growth**l` cells along an edge, growing from `base` to `finest`; levels with more than 2^log2_entries grid
    points share rows by hashing. The table starts uniform in +-`spread`. Bitwise deterministic for any number of CPU threads.
    Differentiable with respect to the table and the points. Raises InputError for impossible sizes.
    """

    def __init__(
        self,
        *,
        levels: int = 16,
        base: int = 16,
        finest: int = 512,
        log2_entries: int = 19,
        spread: float = 1e-4,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if levels < 1 or base < 1 or finest < base or not 1 <= log2_entries <= 30:
            raise InputError(
                "HashGrid",
                expected="levels >= 1, 1 <= base <= finest, 1 <= log2_entries <= 30",
                found=f"levels={levels}, base={base}, finest={finest}, log2_entries={log2_entries}",
            )
        self.cells = level_cells(levels, base, finest)
        self.levels = (HashLevel * levels)()
        rows = 0
        for level, cells in zip(self.levels, self.cells, strict=True):
            points = (cells + 1) ** 3
            hashed = points > 2**log2_entries
            entries = 2**log2_entries if hashed else points
            level.scale, level.resolution, level.entries, level.hashed, level.offset = cells, cells + 1, entries, hashed, rows
            rows += entries
        self.out_features = FEATURES * levels
        self.table = nn.Parameter(torch.empty(rows, FEATURES, dtype=torch.float32).uniform_(-spread, spread, generator=generator))

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        return _Encode.apply(points, self.table, self.levels)


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, points: torch.Tensor, table: torch.Tensor, levels: Any) -> torch.Tensor:
        points = points.contiguous()
        ctx.save_for_backward(points, table)
        ctx.levels = levels
        out = torch.empty(FEATURES * len(levels), points.shape[0], dtype=torch.float32, device=points.device)
        call("hash_encode", points.detach(), points.shape[0], levels, len(levels), table.detach(), out)
        return out.t()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None]:  # type: ignore[override]
        points, table = ctx.saved_tensors
        gradient = feature_major(gradient)
        count, levels = points.shape[0], ctx.levels
        to_points = to_table = None
        if ctx.needs_input_grad[0]:
            to_points = torch.empty_like(points)
            call("hash_encode_points", points.detach(), count, levels, len(levels), table.detach(), gradient, to_points)
        if ctx.needs_input_grad[1]:
            to_table = torch.zeros_like(table)
            call("hash_encode_backward", points.detach(), count, levels, len(levels), gradient, to_table)
        return to_points, to_table, None
