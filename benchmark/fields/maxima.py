"""Soft maximum of Gaussians (instead of their sum) for maximum projections (MIP).

The field is V(x) = S_k a_k exp(-(x - mu_k)^T S_k^-1 (x - mu_k) / 2) with the soft maximum

    S_k p_k = T log(1 + sum_k (exp(p_k / T) - 1))

over the Gaussians, at a temperature T in the field's unit. A single Gaussian is unchanged and distant Gaussians
add nothing; S rises with every p; max p <= S <= max p + T log K, and S <= sum p. For T -> 0 the field is the largest Gaussian
everywhere, and then its maximum along a ray is the largest of the Gaussians' own maxima on the ray, which are closed form:
p_k = a_k exp(-|m x w|^2 / |w|^2 / 2) (see mixture.py). A pixel shows the soft maximum of these. For T > 0 a pixel is an upper bound
of the maximum of V along the ray, because it combines Gaussians at different depths; the excess is at most T log K.
The gradient is soft, too: dS / dp_k = exp((p_k - S) / T), 1 for a single Gaussian.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from benchmark.errors import InputError
from benchmark.fields.mixture import CUTOFF, Block, Mixture, grids, reach_of, whitening
from benchmark.kernels.dispatch import call
from benchmark.scan.geometry import ConeBeamGeometry


class MixtureMaxima:
    """Maximum projections of a mixture through every pixel: maxima(mixture, views) -> [view, v, u] [1/mm].

    `temperature` [1/mm] is that of the soft maximum; 0 gives exact maxima, without gradients. A ray sees a Gaussian where its largest
    value there is more than `cutoff` times its amplitude; Gaussians whose mean lies behind the source are not seen. Parts outside the
    box count. Differentiable with respect to all four parameters. Bitwise deterministic for any number of threads.
    """

    def __init__(self, geometry: ConeBeamGeometry, temperature: float, cutoff: float = CUTOFF) -> None:
        self.geometry, self.reach, self.temperature = geometry, reach_of(cutoff), _checked(temperature)
        self._vectors = geometry.vectors()  # [view, 4, 3]

    def __call__(self, mixture: Mixture, views: Sequence[int] | None = None) -> torch.Tensor:
        mixture.check()
        vectors = self._vectors if views is None else np.ascontiguousarray(self._vectors[np.asarray(views, dtype=np.int64)])
        where = (vectors, len(vectors), *self.geometry.detector_shape)
        return _soft(mixture, self.temperature, self.reach, "gaussian_peaks", where, (len(vectors), *self.geometry.detector_shape))


def voxelise_maxima(
    mixture: Mixture,
    geometry: ConeBeamGeometry,
    temperature: float,
    *,
    block: Block | None = None,
    supersample: int = 1,
    cutoff: float = CUTOFF,
) -> torch.Tensor:
    """Sample the soft maximum of a mixture on the geometry's voxels, or on a block of them: float32 [z, y, x] [1/mm]; see `voxelise`.

    `temperature` [1/mm] is that of the soft maximum.
    """
    mixture.check()
    reach, parts = reach_of(cutoff), []
    for grid in grids(geometry, block, supersample):
        parts.append(_soft(mixture, _checked(temperature), reach, "gaussian_soft_voxelise", (grid,), grid.shape))
    return functools.reduce(operator.add, parts) / supersample**3


def _soft(mixture: Mixture, temperature: float, reach: float, kernel: str, where: tuple[Any, ...], shape: tuple[int, ...]) -> torch.Tensor:
    inputs = (mixture.means, whitening(mixture), mixture.log_amplitudes.exp())
    if temperature > 0:
        return _Soft.apply(*inputs, temperature, reach, kernel, where, shape)
    return _Soft.apply(*(tensor.detach() for tensor in inputs), temperature, reach, kernel, where, shape)


def _checked(temperature: float) -> float:
    if not 0 <= temperature < float("inf"):
        raise InputError("temperature", expected="a number from 0", found=f"{temperature:g}")
    return temperature


class _Soft(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        means: torch.Tensor,
        matrices: torch.Tensor,
        amplitudes: torch.Tensor,
        temperature: float,
        reach: float,
        kernel: str,
        where: tuple[Any, ...],
        shape: tuple[int, ...],
    ) -> torch.Tensor:
        inputs = [tensor.detach().contiguous() for tensor in (means, matrices, amplitudes)]
        numbers = (reach, temperature)
        soft = torch.empty(shape, dtype=torch.float32, device=means.device)
        call(kernel, *where, means.shape[0], *inputs, *numbers, soft)
        ctx.save_for_backward(*inputs, soft)
        ctx.kernel, ctx.where, ctx.numbers = kernel, where, numbers
        return soft

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        *inputs, soft = ctx.saved_tensors
        answers = [torch.empty_like(tensor) for tensor in inputs]
        call(f"{ctx.kernel}_backward", *ctx.where, inputs[0].shape[0], *inputs, *ctx.numbers, soft, gradient.contiguous(), *answers)
        return (*answers, None, None, None, None, None)
