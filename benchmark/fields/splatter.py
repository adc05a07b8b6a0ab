"""Coloured Gaussians seen by pinhole cameras: colour and opacity of every pixel by alpha blending, nearest Gaussian first.

Along a ray o + t d a Gaussian is at most exp(-q / 2), q = |m x w|^2 / |w|^2 with m = M (mu - o), w = M d and M = S^-1/2: the ray's
least distance in standard deviations. Its opacity there is the Gaussian's own times that. No footprint is linearised, as in the
line integrals of benchmark.fields.mixture. Blending is that of Kerbl et al. 2023 (arXiv 2308.04079, equation 3): sorted by the depth
of the means, C = sum_k c_k alpha_k prod_{j < k} (1 - alpha_j).

Plain torch, by tiles of 8 x 8 pixels that know which Gaussians reach them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from benchmark.ct.geometry import ConeBeamGeometry
from benchmark.errors import InputError
from benchmark.fields.mixture import Mixture, whitening

TILE = 8  # [pixels] along an edge
FAINTEST = 1 / 255  # opacity below which a pixel does not see a Gaussian
OPAQUE = 0.99  # most of a pixel that one Gaussian covers, so that what is behind it keeps a gradient


class Splats(NamedTuple):
    """The parameters of K Gaussians, each a float32 tensor that may require gradients."""

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
    """Colour (over black) and opacity of every pixel, float32 [view, v, u, 4]. Gaussians whose mean is behind the camera are not seen.

    Gradients flow to all five parameters. Deterministic on the CPU. On the splats' device.
    """
    splats.check()
    vectors = torch.from_numpy(geometry.vectors()).float().to(splats.means.device)
    chosen = range(geometry.views) if views is None else views
    matrices = whitening(Mixture(splats.means, splats.quaternions, splats.log_scales, splats.opacities))
    return torch.stack([_view(splats, matrices, vectors[view], geometry.detector_shape) for view in chosen])


def _view(splats: Splats, matrices: torch.Tensor, vectors: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """[v, u, 4] of one camera: source, detector centre and steps [4, 3]."""
    source, centre, u, v = vectors
    tiles = tile_lists(splats, vectors, shape)
    rows, columns = (-(-count // TILE) for count in shape)
    padded = torch.cat([splats.opacities, splats.opacities.new_zeros(1)])[tiles]  # [tile, place]; no opacity where a list is shorter
    members = tiles.clamp(max=len(splats.means) - 1)
    towards = torch.einsum("kij,kj->ki", matrices, splats.means - source)[members]  # m, [tile, place, 3]
    across = [torch.einsum("kij,j->ki", matrices, axis)[members] for axis in (centre - source, u, v)]
    corners = (torch.arange(count, device=tiles.device) * TILE for count in (rows, columns))
    first_row, first_column = torch.meshgrid(*corners, indexing="ij")
    middle = (TILE - 1) / 2
    i = (first_column.reshape(-1) + middle - (shape[1] - 1) / 2)[:, None, None]
    j = (first_row.reshape(-1) + middle - (shape[0] - 1) / 2)[:, None, None]
    ray = (across[0] + i * across[1] + j * across[2], across[1], across[2])  # w at the tile's middle, and its steps
    beside = [torch.linalg.cross(towards, part) for part in ray]
    squares = _quadratic(*beside) / _quadratic(*ray)  # [tile, place, pixel]
    alpha = (padded[..., None] * torch.exp(-0.5 * squares)).clamp(max=OPAQUE)
    alpha = torch.where(alpha >= FAINTEST, alpha, 0.0)
    passed = torch.log1p(-alpha).cumsum(1)
    weights = alpha * torch.exp(torch.cat([torch.zeros_like(passed[:, :1]), passed[:, :-1]], 1))
    shown = torch.cat([splats.colours, torch.ones_like(splats.colours[:, :1])], 1)[members]  # [tile, place, 4]
    pixels = weights.transpose(1, 2) @ shown  # [tile, pixel, 4]
    image = pixels.view(rows, columns, TILE, TILE, 4).transpose(1, 2).reshape(rows * TILE, columns * TILE, 4)
    return image[: shape[0], : shape[1]]


def _quadratic(at: torch.Tensor, along_u: torch.Tensor, along_v: torch.Tensor) -> torch.Tensor:
    """|at + i along_u + j along_v|^2 for the pixels (j, i) of a tile about its middle: [tile, place, 3] -> [tile, place, pixel]."""
    steps = torch.arange(TILE, device=at.device) - (TILE - 1) / 2
    j, i = (axis.reshape(-1) for axis in torch.meshgrid(steps, steps, indexing="ij"))
    terms = torch.stack([torch.ones_like(i), 2 * i, 2 * j, i * i, j * j, 2 * i * j])
    pairs = ((at, at), (at, along_u), (at, along_v), (along_u, along_u), (along_v, along_v), (along_u, along_v))
    return torch.stack([(a * b).sum(-1) for a, b in pairs], -1) @ terms


@torch.no_grad()
def tile_lists(splats: Splats, vectors: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """The Gaussians that may reach each tile, nearest first: indices [tile, place], K where a list has ended.

    A Gaussian counts as the ball beyond which its opacity is too faint.
    """
    source, centre, u, v = vectors.double()
    to_pixel = torch.linalg.inv(torch.stack([u, v, centre - source], 1))  # x - source -> (i t, j t, t)
    across, depth = to_pixel[:2], to_pixel[2]
    away = splats.means.double() - source
    visible = splats.opacities > FAINTEST
    reach = torch.sqrt(2 * torch.log((splats.opacities.double() / FAINTEST).clamp(min=1)))
    radii = reach * splats.log_scales.double().amax(1).exp()
    t, margin = away @ depth, radii * depth.norm()
    visible &= t > 0
    surrounds = t <= margin  # the ball reaches past the camera: anywhere in the picture
    bounds = []
    for axis, count in zip(across, (shape[1], shape[0]), strict=True):
        low, high = _shadow(away @ axis, t, radii, axis, depth)
        low, high = (torch.where(surrounds, limit, edge) for limit, edge in ((-math.inf, low), (math.inf, high)))
        first = torch.floor((low + (count - 1) / 2) / TILE)
        last = torch.floor((high + (count - 1) / 2) / TILE)
        places = torch.arange(-(-count // TILE), device=t.device)[:, None]
        bounds.append((places >= first) & (places <= last))  # [tiles along the axis, K]
    order = torch.argsort(t, stable=True)
    met = (bounds[1][:, None] & bounds[0][None] & visible)[..., order].flatten(0, 1)  # [tile, K], nearest first
    longest = max(1, int(met.sum(1).max()))
    lists = torch.full((len(met), longest), len(splats.means), device=t.device)
    tile, place = torch.nonzero(met, as_tuple=True)
    lists[tile, (met.cumsum(1) - 1)[tile, place]] = order[place]
    return lists


def _shadow(
    beside: torch.Tensor, t: torch.Tensor, radii: torch.Tensor, axis: torch.Tensor, depth: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Least and greatest pixel coordinate of balls in front of the camera: where the plane (axis - x depth) y = 0 touches them."""
    a = t.square() - radii.square() * depth.dot(depth)
    b = beside * t - radii.square() * axis.dot(depth)
    c = beside.square() - radii.square() * axis.dot(axis)
    root = torch.sqrt((b.square() - a * c).clamp(min=0))
    return (b - root) / a, (b + root) / a
