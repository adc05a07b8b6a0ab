"""Coloured Gaussians seen by pinhole cameras: colour and opacity of every pixel by alpha blending, nearest Gaussian first.

Along a ray o + t d a Gaussian is at most exp(-q / 2), q = |m x w|^2 / |w|^2 with m = M (mu - o), w = M d and M = S^-1/2: the ray's
least distance in standard deviations. The opacity alpha along the ray is the Gaussian's own times this factor. As in the line
integrals of benchmark.fields.mixture, no footprint is linearised. Blending follows Kerbl et al. 2023 (arXiv 2308.04079, equation 3):
sorted by the depth of the means, C = sum_k c_k alpha_k prod_{j < k} (1 - alpha_j).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmark.errors import InputError
from benchmark.fields.mixture import Mixture, whitening
from benchmark.kernels.dispatch import call
from benchmark.scan.geometry import ConeBeamGeometry

FAINTEST = 1 / 255  # opacity below which a pixel does not see a Gaussian; the kernels' SPLAT_FAINTEST
OPAQUE = 0.99  # largest opacity of one Gaussian in a pixel, so that Gaussians behind it keep a gradient; the kernels' SPLAT_OPAQUE


class Splats(NamedTuple):
    """K coloured Gaussians. Tensors are float32 and may require gradients."""

    means: torch.Tensor  # [K, 3] x y z [mm]
    quaternions: torch.Tensor  # [K, 4] w x y z of the rotation R, of any length but 0
    log_scales: torch.Tensor  # [K, 3] log of the standard deviations along R's columns [mm]
    opacities: torch.Tensor  # [K] 0 .. 1
    colours: torch.Tensor  # [K, 3] red, green, blue, 0 .. 1

    def check(self) -> None:
        """Raise InputError unless the five tensors describe at least one Gaussian with finite numbers."""
        Mixture(self.means, self.quaternions, self.log_scales, self.opacities).check()
        if self.colours.shape != self.means.shape or not bool(torch.isfinite(self.colours).all()):
            raise InputError("splats", expected="finite colours [K, 3]", found=f"shape {tuple(self.colours.shape)}")


def splat(splats: Splats, geometry: ConeBeamGeometry, views: Sequence[int] | None = None) -> torch.Tensor:
    """Render coloured Gaussians by alpha blending, nearest first: colour (over black) and opacity, float32 [view, v, u, 4].

    On the splats' device. Gaussians whose mean is behind the camera are not seen. Differentiable with respect to all five parameters.
    Bitwise deterministic for any number of CPU threads (blending of Kerbl et al. 2023, arXiv 2308.04079; footprints are exact).
    """
    splats.check()
    vectors = geometry.vectors()  # [view, 4, 3]
    if views is not None:
        vectors = np.ascontiguousarray(vectors[np.asarray(views, dtype=np.int64)])
    matrices = whitening(Mixture(splats.means, splats.quaternions, splats.log_scales, splats.opacities))
    order = nearest_first(splats.means.detach(), vectors)
    return _Splat.apply(splats.means, matrices, splats.opacities, splats.colours, vectors, geometry.detector_shape, order)


def nearest_first(means: torch.Tensor, vectors: np.ndarray) -> torch.Tensor:
    """Return the indices of the means sorted by depth in each view, int64 [view, K]; equal depths keep their order."""
    source, centre, u, v = vectors.transpose(1, 0, 2)
    normal = np.cross(u, v)
    forward = torch.from_numpy(normal * np.sign(((centre - source) * normal).sum(1, keepdims=True))).to(means.device)
    x, y, z = means.double().T
    # Not a single matrix product, whose last bits depend on the column: equal means would not have equal depths.
    return torch.argsort(forward[:, :1] * x + forward[:, 1:2] * y + forward[:, 2:] * z, dim=1, stable=True)


class _Splat(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        means: torch.Tensor,
        matrices: torch.Tensor,
        opacities: torch.Tensor,
        colours: torch.Tensor,
        vectors: np.ndarray,
        detector: tuple[int, int],
        order: torch.Tensor,
    ) -> torch.Tensor:
        inputs = [tensor.detach().contiguous() for tensor in (means, matrices, opacities, colours)]
        shape = (len(vectors), *detector)
        images, left = (torch.empty(size, dtype=torch.float32, device=means.device) for size in ((*shape, 4), shape))
        last = torch.empty(shape, dtype=torch.int32, device=means.device)
        ctx.setting = (vectors, *shape, means.shape[0])
        ctx.save_for_backward(*inputs, order, left, last)
        call("splat", *ctx.setting, *inputs, order, images, left, last)
        return images

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        answers = [torch.empty_like(tensor) for tensor in ctx.saved_tensors[:4]]
        call("splat_backward", *ctx.setting, *ctx.saved_tensors, gradient.contiguous(), *answers)
        return (*answers, None, None, None)
