"""Compositing of samples along rays: the sum of mu dt (attenuation) or the maximum (MIP), differentiable to any order."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch

from benchmark.errors import InputError
from benchmark.kernels.dispatch import call, runs_on

Mode = Literal["sum", "max"]


def composite_rays_xray(mu: torch.Tensor, ts: torch.Tensor, rays: torch.Tensor) -> torch.Tensor:
    """Return the line integral p_r = sum_i mu_i dt_i of each ray's samples: mu [M], ts [M, 2] = (t, dt), rays [N, 2] -> [N].

    `ts` and `rays` are those of Samples. Differentiable with respect to mu, not ts. Raises InputError for tables that are not packed.
    """
    _check_packed(mu, ts, rays)
    return composited("sum", mu, ts, rays)


def composite_max(mu: torch.Tensor, rays: torch.Tensor) -> torch.Tensor:
    """Return the maximum intensity projection: the largest mu [M] of each ray [N, 2] -> [N], 0 for rays without samples.

    The gradient goes to the largest sample, the first of equals.
    """
    _check_packed(mu, None, rays)
    return _Max.apply(mu, rays)


def composited(mode: Mode, mu: torch.Tensor, ts: torch.Tensor, rays: torch.Tensor) -> torch.Tensor:
    """Return the sum or the maximum, [N], of samples from `march`. Their table is known to be packed, so no check waits for a GPU.

    Raise InputError for any other mode.
    """
    if mode not in get_args(Mode):
        raise InputError("mode", expected="'sum' or 'max'", found=f"'{mode}'")
    return _Max.apply(mu, rays) if mode == "max" else _Sum.apply(mu, ts, rays)


def _check_packed(mu: torch.Tensor, ts: torch.Tensor | None, rays: torch.Tensor) -> None:
    count = mu.shape[0] if mu.ndim else 0
    _check("mu", mu, (count,), torch.float32)
    if ts is not None:
        _check("ts", ts, (count, 2), torch.float32)
    _check("rays", rays, (rays.shape[0] if rays.ndim else 0, 2), torch.int64)
    bad = call("check_packed", rays.contiguous(), rays.shape[0], count)
    if bad >= 0:
        found = f"ray {bad}: first, count = {rays[bad].tolist()} of {count} samples"
        raise InputError("composite: rays", expected="(first, count) within the samples, each ray after the one before it", found=found)


def _check(name: str, tensor: torch.Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    if tuple(tensor.shape) != shape or tensor.dtype != dtype or not runs_on(tensor.device):
        found = f"{tensor.dtype} {tuple(tensor.shape)} on {tensor.device}"
        raise InputError(f"composite: {name}", expected=f"{dtype} {shape} on the CPU or a CUDA device", found=found)


class _Sum(torch.autograd.Function):
    """Sum along rays, linear in mu: its backward is its transpose, whose backward is this sum again."""

    @staticmethod
    def forward(ctx: Any, mu: torch.Tensor, ts: torch.Tensor, rays: torch.Tensor) -> torch.Tensor:
        ts, rays = ts.detach().contiguous(), rays.contiguous()
        ctx.save_for_backward(ts, rays)
        out = torch.empty(rays.shape[0], dtype=torch.float32, device=mu.device)
        call("composite_sum", mu.detach().contiguous(), ts, rays, rays.shape[0], out)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:  # type: ignore[override]
        return _SumTranspose.apply(gradient, *ctx.saved_tensors), None, None


class _SumTranspose(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, ts: torch.Tensor, rays: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(ts, rays)
        mu = torch.zeros(ts.shape[0], dtype=torch.float32, device=ts.device)
        call("composite_sum_transpose", values.detach().contiguous(), ts, rays, rays.shape[0], mu)
        return mu

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:  # type: ignore[override]
        return _Sum.apply(gradient, *ctx.saved_tensors), None, None


class _Max(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, mu: torch.Tensor, rays: torch.Tensor) -> torch.Tensor:
        out = torch.empty(rays.shape[0], dtype=torch.float32, device=mu.device)
        at = torch.empty(rays.shape[0], dtype=torch.int64, device=mu.device)
        call("composite_max", mu.detach().contiguous(), rays.contiguous(), rays.shape[0], out, at)
        ctx.save_for_backward(at)
        ctx.samples = mu.shape[0]
        return out

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:  # type: ignore[override]
        return _Spread.apply(gradient, ctx.saved_tensors[0], ctx.samples), None


class _Pick(torch.autograd.Function):
    """Value mu[at] for each ray, 0 where at is -1."""

    @staticmethod
    def forward(ctx: Any, mu: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(at)
        ctx.samples = mu.shape[0]
        out = torch.empty(at.shape[0], dtype=torch.float32, device=mu.device)
        call("composite_pick", mu.detach().contiguous(), at, at.shape[0], out)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:  # type: ignore[override]
        return _Spread.apply(gradient, ctx.saved_tensors[0], ctx.samples), None


class _Spread(torch.autograd.Function):
    """Transpose of _Pick."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, at: torch.Tensor, samples: int) -> torch.Tensor:
        ctx.save_for_backward(at)
        mu = torch.zeros(samples, dtype=torch.float32, device=at.device)
        call("composite_pick_transpose", values.detach().contiguous(), at, at.shape[0], mu)
        return mu

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:  # type: ignore[override]
        return _Pick.apply(gradient, ctx.saved_tensors[0]), None, None
