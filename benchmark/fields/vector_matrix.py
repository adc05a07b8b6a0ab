"""TensoRF's vector-matrix features (Chen et al. 2022, doi 10.1007/978-3-031-19824-3_20).

Plane 0 is (y, x) with line z, plane 1 (z, y) with line x, plane 2 (z, x) with line y: f_kc(p) = P_kc(plane) L_kc(line).
Samples sit at the centres of equal cells of the unit interval, so that a plane of the volume's own resolution has one
sample a voxel.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch

from benchmark.ct.kernels.call import call
from benchmark.fields.layout import addresses, feature_major


def vm_encode(points: torch.Tensor, planes: Sequence[torch.Tensor], lines: Sequence[torch.Tensor]) -> torch.Tensor:
    """Features [M, 3 * channels] at points [M, 3] (x, y, z in the unit cube).

    planes[k] are [channels, rows, columns], lines[k] [channels, n]. Gradients flow to both, not to the points.
    """
    return _Encode.apply(points, *planes, *lines)


def vm_grid(planes: Sequence[torch.Tensor], lines: Sequence[torch.Tensor]) -> torch.Tensor:
    """The same at every voxel of the grid that planes and lines sample: [z * y * x, 3 * channels]."""
    return _Grid.apply(*planes, *lines)


def _split(tensors: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    tensors = [t.detach().contiguous() for t in tensors]
    return list(tensors[:3]), list(tensors[3:])


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, points: torch.Tensor, *tensors: torch.Tensor) -> torch.Tensor:
        planes, lines = _split(tensors)
        ctx.points = points = points.detach().contiguous()
        ctx.save_for_backward(*planes, *lines)
        channels = planes[0].shape[0]
        shapes = [n for plane, line in zip(planes, lines, strict=True) for n in (*plane.shape[1:], line.shape[1])]
        ctx.sizes = (points.shape[0], ctypes.c_int(channels), (ctypes.c_int * 9)(*shapes))
        out = torch.empty(3 * channels, points.shape[0])
        call("vm_encode", points, *ctx.sizes, addresses(planes), addresses(lines), out)
        return out.t()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        planes, lines = _split(ctx.saved_tensors)
        out = [torch.empty_like(t) for t in (*planes, *lines)]
        call("vm_encode_backward", ctx.points, *ctx.sizes, addresses(planes), addresses(lines), feature_major(gradient),
             addresses(out[:3]), addresses(out[3:]))
        return None, *out


class _Grid(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *tensors: torch.Tensor) -> torch.Tensor:
        planes, lines = _split(tensors)
        ctx.save_for_backward(*planes, *lines)
        nz, (channels, ny, nx) = lines[0].shape[1], planes[0].shape
        if planes[1].shape != (channels, nz, ny) or planes[2].shape != (channels, nz, nx):
            raise ValueError(f"planes and lines do not sample one grid: {[tuple(t.shape) for t in tensors]}")
        ctx.sizes = tuple(ctypes.c_int(n) for n in (nz, ny, nx, channels))
        out = torch.empty(3 * channels, nz * ny * nx)
        call("vm_grid", *ctx.sizes, addresses(planes), addresses(lines), out)
        return out.t()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, ...]:  # type: ignore[override]
        planes, lines = _split(ctx.saved_tensors)
        out = [torch.empty_like(t) for t in (*planes, *lines)]
        call("vm_grid_backward", *ctx.sizes, addresses(planes), addresses(lines), feature_major(gradient),
             addresses(out[:3]), addresses(out[3:]))
        return tuple(out)
