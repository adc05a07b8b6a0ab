"""TensoRF's vector-matrix features (Chen et al. 2022, doi 10.1007/978-3-031-19824-3_20).

Plane 0 is (y, x) with line z, plane 1 (z, y) with line x, plane 2 (z, x) with line y: f_kc(p) = P_kc(plane) L_kc(line).
Samples sit at the centres of equal cells of the unit interval: a plane of the volume's own resolution has one
sample per voxel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from benchmark.errors import InputError
from benchmark.fields.layout import feature_major
from benchmark.fields.mlp import MLP, Setting
from benchmark.fields.support import Support
from benchmark.kernels.dispatch import call


def vm_encode(points: torch.Tensor, planes: Sequence[torch.Tensor], lines: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return vector-matrix features [M, 3 * channels] at points [M, 3] (x y z in the unit cube).

    `planes[k]` are [channels, rows, columns] (yx, zy, zx), `lines[k]` [channels, n] (z, x, y); the features are the products of a
    plane's and its line's interpolated values (Chen et al. 2022, doi 10.1007/978-3-031-19824-3_20). Differentiable with respect to
    planes, lines and points.
    """
    return _Encode.apply(points, *planes, *lines)


def vm_grid(planes: Sequence[torch.Tensor], lines: Sequence[torch.Tensor], support: Support | None = None) -> torch.Tensor:
    """Return the features of `vm_encode` at the voxels of the grid that planes and lines sample, or at those of the support.

    All voxels: [z * y * x, 3 * channels]; with a `support`: [count, 3 * channels]. Differentiable with respect to planes and lines. Raises
    InputError for planes, lines and support of different grids.
    """
    support = support or Support.everywhere((lines[0].shape[1], *planes[0].shape[1:]), planes[0].device)
    _check_grid(planes, lines, support)
    return _Grid.apply(support, *planes, *lines)


def _check_grid(planes: Sequence[torch.Tensor], lines: Sequence[torch.Tensor], support: Support) -> None:
    channels, ny, nx = planes[0].shape
    nz = lines[0].shape[1]
    if planes[1].shape != (channels, nz, ny) or planes[2].shape != (channels, nz, nx) or support.mask.shape != (nz, ny, nx):
        found = [tuple(t.shape) for t in (*planes, *lines, support.mask)]
        raise InputError("vm_grid", expected="planes, lines and support of one grid", found=f"{found}")


def vm_network(planes: Sequence[torch.Tensor], lines: Sequence[torch.Tensor], network: MLP, support: Support) -> torch.Tensor:
    """Return `network(vm_grid(planes, lines, support))`, [count, outputs], without the features in memory on the CPU.

    Differentiable with respect to planes, lines and the network's weights. Raises InputError for planes, lines and support of different
    grids, and for a network of other inputs.
    """
    if not network.fused_on(planes[0].device):
        return network(vm_grid(planes, lines, support))
    _check_grid(planes, lines, support)
    if network.widths[0] != 3 * planes[0].shape[0]:
        found = f"{network.widths[0]} inputs, {planes[0].shape[0]} channels"
        raise InputError("vm_network", expected="a network with three inputs for each channel", found=found)
    return _Network.apply(support, network.weights, network.setting, *planes, *lines)


def _split(tensors: Sequence[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    tensors = [t.detach().contiguous() for t in tensors]
    return list(tensors[:3]), list(tensors[3:])


class _Encode(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, points: torch.Tensor, *tensors: torch.Tensor) -> torch.Tensor:
        planes, lines = _split(tensors)
        points = points.detach().contiguous()
        ctx.save_for_backward(points, *planes, *lines)
        channels = planes[0].shape[0]
        shapes = tuple(n for plane, line in zip(planes, lines, strict=True) for n in (*plane.shape[1:], line.shape[1]))
        ctx.sizes = (points.shape[0], channels, shapes)
        out = torch.empty(3 * channels, points.shape[0], dtype=torch.float32, device=points.device)
        call("vm_encode", points, *ctx.sizes, planes, lines, out)
        return out.t()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        points, *tensors = ctx.saved_tensors
        planes, lines = _split(tensors)
        known = (points, *ctx.sizes, planes, lines, feature_major(gradient))
        to_points = None
        if ctx.needs_input_grad[0]:
            to_points = torch.empty_like(points)
            call("vm_encode_points", *known, to_points)
        out = [torch.zeros_like(t) for t in tensors]
        call("vm_encode_backward", *known, out[:3], out[3:])
        return to_points, *out


class _Network(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, support: Support, weights: torch.Tensor, setting: Setting, *tensors: torch.Tensor) -> torch.Tensor:
        planes, lines = _split(tensors)
        ctx.save_for_backward(weights, *planes, *lines)
        channels, widths = planes[0].shape[0], setting[0]
        ctx.sizes = (*support.shape, channels, support.runs, len(support.runs), support.count)
        ctx.setting = setting
        out = torch.empty(widths[-1], support.count, dtype=torch.float32)
        call("vm_network", *ctx.sizes, planes, lines, *setting, weights.detach(), weights.numel(), out)
        return out.t()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        weights, *tensors = ctx.saved_tensors
        planes, lines = _split(tensors)
        out, to_weights = [torch.empty_like(t) for t in (*planes, *lines)], torch.empty_like(weights)
        known = (*ctx.sizes, planes, lines, *ctx.setting, weights.detach(), weights.numel(), feature_major(gradient))
        call("vm_network_backward", *known, out[:3], out[3:], to_weights)
        return None, to_weights, None, *out


class _Grid(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, support: Support, *tensors: torch.Tensor) -> torch.Tensor:
        planes, lines = _split(tensors)
        ctx.save_for_backward(*planes, *lines)
        channels = planes[0].shape[0]
        ctx.sizes = (*support.mask.shape, channels, support.runs, len(support.runs), support.count)
        out = torch.empty(3 * channels, support.count, dtype=torch.float32, device=planes[0].device)
        call("vm_grid", *ctx.sizes, planes, lines, out)
        return out.t()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        planes, lines = _split(ctx.saved_tensors)
        out = [torch.empty_like(t) for t in (*planes, *lines)]
        call("vm_grid_backward", *ctx.sizes, planes, lines, feature_major(gradient), out[:3], out[3:])
        return None, *out
