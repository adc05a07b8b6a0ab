"""Isotropic 3-D total variation and its proximal operator: a prior for piecewise constant volumes."""

from __future__ import annotations

import math

import numpy as np
import torch

from benchmark.errors import InputError
from benchmark.kernels.dispatch import call


class TotalVariation:
    """Isotropic total variation TV(x) = sum over voxels of w |G x| (G = forward differences) of volumes of one shape [z, y, x].

    `spacing` (z, y, x) corrects the differences of oblong voxels relative to the geometric mean: its unit cancels, and TV has the unit of
    x. `weights` w >= 0 are float32 [z, y, x] (default: 1). Volumes and weights lie on `device`. `prox` keeps its dual field between
    calls: in an outer iteration, whose arguments change little, a few inner iterations are enough.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
        device: torch.device | str = "cpu",
        weights: torch.Tensor | None = None,
    ) -> None:
        mean = math.prod(spacing) ** (1 / 3)
        self.shape = tuple(shape)
        self._scale = np.array([mean / s if n > 1 else 0.0 for s, n in zip(spacing, shape, strict=True)], dtype=np.float32)
        self._lipschitz = max(float(4 * (self._scale**2).sum()), 1e-12)  # of G G^T
        self._dual = torch.zeros(3, *shape, dtype=torch.float32, device=device)  # p of the last call
        self._slices = np.zeros(shape[0])
        self._weights = None if weights is None else self._checked(weights)

    def value(self, x: torch.Tensor) -> float:
        """Return TV(x) of x, float32 [z, y, x]."""
        call("tv_value", self._checked(x), self.shape, self._scale, self._weights, self._slices)
        return float(self._slices.sum())

    def gradient(self, x: torch.Tensor, smoothing: float) -> torch.Tensor:
        """Return the gradient of TV at x [z, y, x]; lengths |G x| below `smoothing` (> 0, unit of x) count quadratically (Huber).

        That is the gradient of the Moreau envelope of the weighted TV: G^T p with p = G x / smoothing projected onto each voxel's ball.
        """
        x, dual = self._checked(x), torch.zeros_like(self._dual)
        call("tv_dual", x, self.shape, self._scale, self._weights, 1 / smoothing, 0.0, dual, dual)  # without momentum p is q
        slope, nothing = torch.empty_like(x), torch.zeros_like(x)
        call("tv_primal", nothing, dual, self.shape, self._scale, -1.0, -math.inf, slope)
        return slope

    def prox(self, target: torch.Tensor, weight: float, *, iterations: int = 10, nonnegative: bool = True) -> torch.Tensor:
        """Return argmin over x (x >= 0 if `nonnegative`) of |x - target|^2 / 2 + weight TV(x).

        Computed by `iterations` steps of the fast gradient projection (Beck & Teboulle 2009, doi 10.1109/TIP.2009.2028250), starting from
        the dual field of the last call.
        """
        floor = 0.0 if nonnegative else -math.inf
        if weight <= 0:
            return target.clamp(min=0) if nonnegative else target.clone()
        target, x = self._checked(target), torch.empty(self.shape, dtype=torch.float32, device=target.device)
        p, q, t = self._dual, self._dual.clone(), 1.0

        def primal(dual: torch.Tensor) -> None:
            call("tv_primal", target, dual, self.shape, self._scale, weight, floor, x)

        step = 1 / (self._lipschitz * weight)
        for _ in range(iterations):
            primal(q)
            t_next = (1 + math.sqrt(1 + 4 * t * t)) / 2
            call("tv_dual", x, self.shape, self._scale, self._weights, step, (t - 1) / t_next, p, q)
            t = t_next
        primal(p)
        return x

    def restart(self) -> None:
        """Forget the dual field of earlier calls."""
        self._dual.zero_()

    def _checked(self, volume: torch.Tensor) -> torch.Tensor:
        shape = tuple(volume.shape)
        if shape != self.shape or volume.dtype != torch.float32 or not volume.is_contiguous():
            raise InputError("total variation", expected=f"a contiguous float32 volume {self.shape}", found=f"{volume.dtype} {shape}")
        return volume
