"""Voxel grid <-> projections: the operator A and its exact transpose, differentiable in torch.

A is Joseph's method (1982, doi 10.1109/TMI.1982.4307572); the transpose uses the same weights, so that
<A x, y> = <x, A^T y>, and each is the other's gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from benchmark.errors import InputError
from benchmark.kernels.dispatch import call, runs_on
from benchmark.machine import counters
from benchmark.scan.geometry import ConeBeamGeometry


class Projector:
    """Linear operator A of one geometry: `forward` maps a volume to line integrals, `adjoint` is its transpose.

    Both take float32 tensors on the CPU or a CUDA device and are differentiable to any order. CPU results are bitwise equal for any number
    of threads; on a GPU the last bits of `adjoint` differ from run to run. `path` is 'separable' (for detector rows parallel to z,
    about four times faster) or 'rays'; the default follows from the geometry. A is Joseph's method (1982, doi
    10.1109/TMI.1982.4307572). Raises InputError for tensors of another shape.
    """

    def __init__(self, geometry: ConeBeamGeometry, path: str | None = None) -> None:
        self.geometry = geometry
        self._views, self._spacing = geometry.voxel_vectors(), np.array(geometry.volume_spacing[::-1])
        separable = bool(np.allclose(self._views[:, 2, 2], 0, atol=1e-9) and np.allclose(self._views[:, 3, :2], 0, atol=1e-9))
        self.path = path or ("separable" if separable and self._cone_is_flat() else "rays")
        if self.path not in ("separable", "rays") or (self.path == "separable" and not separable):
            raise InputError("projector.path", expected="'rays', or 'separable' for detector rows parallel to z", found=f"'{self.path}'")

    def _cone_is_flat(self) -> bool:
        """Return whether no ray is steeper than 45 degrees: Joseph's method needs a dominant axis in the xy plane."""
        source, centre, _, v = self._views.transpose(1, 0, 2)
        rise = np.abs(centre[:, 2] - source[:, 2]) + self.geometry.detector_shape[0] / 2 * np.abs(v[:, 2])
        return bool((rise <= np.abs(centre[:, :2] - source[:, :2]).max(1) * 0.7).all())

    def subset(self, indices: Sequence[int] | np.ndarray) -> Projector:
        """Return the projector of only these views."""
        return Projector(self.geometry.subset(indices), self.path)

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        """Return A x: volume [z, y, x] [1/mm] -> line integrals [view, v, u] (dimensionless)."""
        return _Project.apply(self._checked("volume", volume, self.geometry.volume_shape), self)

    def adjoint(self, projections: torch.Tensor) -> torch.Tensor:
        """Return A^T p: projections [view, v, u] -> [z, y, x]."""
        return _Backproject.apply(self._checked("projections", projections, self.geometry.projection_shape), self)

    def _checked(self, name: str, tensor: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        if tuple(tensor.shape) != shape or tensor.dtype != torch.float32 or not runs_on(tensor.device):
            found = f"{tensor.dtype} {tuple(tensor.shape)} on {tensor.device}"
            raise InputError(f"projector: {name}", expected=f"float32 {shape} on the CPU or a CUDA device", found=found)
        return tensor

    def _call(self, kernel: str, volume: torch.Tensor, projections: torch.Tensor) -> None:
        shape, counts = self.geometry.volume_shape, self.geometry.projection_shape
        counters.count("forward_views" if kernel == "project" else "adjoint_views", self.geometry.views)
        call(f"{kernel}_{self.path}", volume, shape, self._spacing, self._views, *counts, projections)


class _Project(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, volume: torch.Tensor, projector: Projector) -> torch.Tensor:
        ctx.projector = projector
        out = torch.empty(projector.geometry.projection_shape, dtype=torch.float32, device=volume.device)
        projector._call("project", volume.detach().contiguous(), out)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:  # type: ignore[override]
        return _Backproject.apply(gradient, ctx.projector), None


class _Backproject(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, projections: torch.Tensor, projector: Projector) -> torch.Tensor:
        ctx.projector = projector
        out = torch.empty(projector.geometry.volume_shape, dtype=torch.float32, device=projections.device)
        projector._call("backproject", out, projections.detach().contiguous())
        return out

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:  # type: ignore[override]
        return _Project.apply(gradient, ctx.projector), None
