"""A mixture of 3-D Gaussians as a field: V(x) = sum_k a_k exp(-(x - mu_k)^T S_k^-1 (x - mu_k) / 2), S_k = R_k diag(s_k^2) R_k^T.

Its line integrals are closed form: along o + t d, with M = S^-1/2, m = M (mu - o) and w = M d, a Gaussian integrates to
a sqrt(2 pi) |d| / |w| exp(-|m x w|^2 / |w|^2 / 2). Unlike in splatting, no footprint is linearised (R2-Gaussian, Zha et al. 2024,
arXiv 2405.20693, corrects the resulting bias in CT), and each pixel follows its real ray.
"""

from __future__ import annotations

import ctypes
import functools
import math
import operator
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmark.errors import InputError
from benchmark.kernels.declarations import GaussianGrid
from benchmark.kernels.dispatch import call
from benchmark.kernels.transfer import to_device
from benchmark.projection.rays import Rays
from benchmark.scan.geometry import ConeBeamGeometry

CUTOFF = 1e-4
"""Default cut-off of mixtures: a Gaussian is left out where it is less than this share of its amplitude."""
RAY_PAIRS = 1 << 22  # rays times Gaussians at once
Block = tuple[slice, slice, slice]


class Mixture(NamedTuple):
    """K Gaussians, V(x) = sum_k a_k exp(-(x - mu_k)^T S_k^-1 (x - mu_k) / 2), S_k = R_k diag(s_k^2) R_k^T.

    Tensors are float32 and may require gradients.
    """

    means: torch.Tensor  # [K, 3] x y z [mm]
    quaternions: torch.Tensor  # [K, 4] w x y z of the rotation R, of any length but 0
    log_scales: torch.Tensor  # [K, 3] log of the standard deviations along R's columns [mm]
    log_amplitudes: torch.Tensor  # [K] log of a [1/mm]

    @property
    def size(self) -> int:
        """Number of Gaussians."""
        return self.means.shape[0]

    def check(self) -> None:
        """Raise InputError unless the four tensors describe at least one Gaussian with finite numbers."""
        found = [tuple(tensor.shape) for tensor in self]
        count = self.means.shape[0] if self.means.ndim else 0
        if found != [(count, 3), (count, 4), (count, 3), (count,)] or any(tensor.dtype != torch.float32 for tensor in self):
            raise InputError("mixture", expected="float32 [K, 3], [K, 4], [K, 3] and [K]", found=f"{found}, {self.means.dtype}")
        if count == 0:
            raise InputError("mixture", expected="at least one Gaussian", found="none left", fix="Prune less, or start from more.")
        if not bool(torch.stack([tensor.detach().sum() for tensor in self]).isfinite().all()):
            raise InputError("mixture", expected="finite parameters", found="NaN or Inf", fix="Lower the learning rates.")


def rotations(quaternions: torch.Tensor) -> torch.Tensor:
    """Return the rotation matrices [K, 3, 3] of quaternions [K, 4] (w x y z) of any length."""
    w, x, y, z = torch.nn.functional.normalize(quaternions, dim=1).unbind(1)
    rows = (
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    )  # fmt: skip
    return torch.stack(rows, 1).view(-1, 3, 3)


def whitening(mixture: Mixture) -> torch.Tensor:
    """Return M [K, 3, 3] [1/mm] with S^-1 = M^T M: a Gaussian's own axes in standard deviations."""
    return rotations(mixture.quaternions).transpose(1, 2) * (-mixture.log_scales).exp()[:, :, None]


class MixtureProjector:
    """Closed-form line integrals of a mixture through every pixel: projector(mixture, views) -> [view, v, u], on `device`.

    A ray sees a Gaussian where its integral is more than `cutoff` times that through the mean, so that each keeps all but about this
    share of its mass. The integral covers the whole line; Gaussians whose mean lies behind the source are not seen. Differentiable
    with respect to all four parameters. Bitwise deterministic for any number of CPU threads.
    """

    def __init__(self, geometry: ConeBeamGeometry, cutoff: float = CUTOFF, device: torch.device | str = "cpu") -> None:
        self.geometry, self.reach = geometry, reach_of(cutoff)
        self._vectors = geometry.vectors()  # [view, 4, 3]
        source, centre, u, v = torch.from_numpy(self._vectors).unbind(1)
        rows, columns = geometry.detector_shape
        i, j = (torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in (columns, rows))
        rays = (centre - source)[:, None, None] + j[:, None, None] * v[:, None, None] + i[:, None] * u[:, None, None]
        self._lengths = (math.sqrt(2 * math.pi) * rays.norm(dim=-1)).float().to(device)  # [view, v, u]

    def __call__(self, mixture: Mixture, views: Sequence[int] | None = None) -> torch.Tensor:
        mixture.check()
        vectors, lengths = self._vectors, self._lengths
        if views is not None:
            chosen = np.asarray(views, dtype=np.int64)
            vectors, lengths = np.ascontiguousarray(vectors[chosen]), lengths[to_device(torch.from_numpy(chosen), lengths.device)]
        images = _Project.apply(mixture.means, whitening(mixture), mixture.log_amplitudes.exp(), vectors, lengths.shape, self.reach)
        return lengths * images


def mixture_line_integrals(mixture: Mixture, rays: Rays) -> torch.Tensor:
    """Return the line integrals [N] of a mixture along any rays, by plain torch: every Gaussian for every ray, so for few rays."""
    mixture.check()
    matrices, weights = whitening(mixture), math.sqrt(2 * math.pi) * mixture.log_amplitudes.exp()
    parts = []
    for first in range(0, len(rays), max(1, RAY_PAIRS // mixture.size)):
        some = rays[first : first + max(1, RAY_PAIRS // mixture.size)]
        towards = torch.einsum("kij,nkj->nki", matrices, mixture.means - some.origins[:, None])
        along = torch.einsum("kij,nj->nki", matrices, some.directions)
        squares = along.square().sum(-1)
        apart = torch.linalg.cross(towards, along).square().sum(-1) / squares
        parts.append((weights * squares.rsqrt() * (-0.5 * apart).exp()).sum(1))
    return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float32, device=mixture.means.device)


def voxelise(
    mixture: Mixture, geometry: ConeBeamGeometry, *, block: Block | None = None, supersample: int = 1, cutoff: float = CUTOFF
) -> torch.Tensor:
    """Sample a mixture on the geometry's voxels, or on a block (z, y, x slices) of them: float32 [z, y, x] [1/mm].

    Values at the voxel centres, or means over supersample^3 points per voxel. A Gaussian counts where it is more than `cutoff` times
    its amplitude. Differentiable with respect to all four parameters. Bitwise deterministic for any number of CPU threads.
    """
    mixture.check()
    matrices, amplitudes, reach = whitening(mixture), mixture.log_amplitudes.exp(), reach_of(cutoff)
    parts = [_Voxelise.apply(mixture.means, matrices, amplitudes, grid, reach) for grid in grids(geometry, block, supersample)]
    return functools.reduce(operator.add, parts) / supersample**3


def grids(geometry: ConeBeamGeometry, block: Block | None, supersample: int) -> Iterator[Grid]:
    """Yield, for each of the supersample^3 points in a voxel, the grid of this point in all voxels or in a block (z, y, x slices)."""
    block = block or (slice(None), slice(None), slice(None))
    axes = [geometry.voxel_centres(axis)[part] for axis, part in enumerate(block)]  # z, y, x
    offsets = (np.arange(supersample) + 0.5) / supersample - 0.5
    for shift in np.stack(np.meshgrid(offsets, offsets, offsets), -1).reshape(-1, 3):
        lower = [float(axis[0] + part * spacing) for axis, part, spacing in zip(axes, shift, geometry.volume_spacing, strict=True)]
        yield Grid.of([len(axis) for axis in axes], lower, geometry.volume_spacing)


def reach_of(cutoff: float) -> float:
    """Return the squared distance q in standard deviations at which exp(-q / 2) equals the cut-off."""
    if not 0 < cutoff < 1:
        raise InputError("cutoff", expected="more than 0 and less than 1", found=f"{cutoff:g}")
    return -2 * math.log(cutoff)


class Grid(GaussianGrid):
    """Grid points in the kernels' form: number, first point and step [mm] along x, y, z."""

    @classmethod
    def of(cls, shape: Sequence[int], lower: Sequence[float], step: Sequence[float]) -> Grid:
        """Return the grid with these numbers along z, y, x."""
        return cls((ctypes.c_int * 3)(*shape[::-1]), (ctypes.c_float * 3)(*lower[::-1]), (ctypes.c_float * 3)(*step[::-1]))

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers of points along z, y, x."""
        return tuple(self.n[::-1])


class _Project(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        means: torch.Tensor,
        matrices: torch.Tensor,
        amplitudes: torch.Tensor,
        vectors: np.ndarray,
        shape: torch.Size,
        reach: float,
    ) -> torch.Tensor:
        inputs = [tensor.detach().contiguous() for tensor in (means, matrices, amplitudes)]
        ctx.save_for_backward(*inputs)
        ctx.setting, ctx.reach = (vectors, *shape, means.shape[0]), reach
        images = torch.empty(shape, dtype=torch.float32, device=means.device)
        call("gaussian_project", *ctx.setting, *inputs, ctx.reach, images)
        return images

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        inputs = ctx.saved_tensors
        answers = [torch.empty_like(tensor) for tensor in inputs]
        call("gaussian_project_backward", *ctx.setting, *inputs, ctx.reach, gradient.contiguous(), *answers)
        return (*answers, None, None, None)


class _Voxelise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, means: torch.Tensor, matrices: torch.Tensor, amplitudes: torch.Tensor, grid: Grid, reach: float) -> torch.Tensor:
        inputs = [tensor.detach().contiguous() for tensor in (means, matrices, amplitudes)]
        ctx.save_for_backward(*inputs)
        ctx.grid, ctx.reach = grid, reach
        volume = torch.empty(grid.shape, dtype=torch.float32, device=means.device)
        call("gaussian_voxelise", grid, means.shape[0], *inputs, ctx.reach, volume)
        return volume

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        inputs = ctx.saved_tensors
        answers = [torch.empty_like(tensor) for tensor in inputs]
        call("gaussian_voxelise_backward", ctx.grid, inputs[0].shape[0], *inputs, ctx.reach, gradient.contiguous(), *answers)
        return (*answers, None, None)
