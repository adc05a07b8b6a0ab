"""Plain-torch twins of the kernels: the reference for their values (tests) and their speed, and the network on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from benchmark.fields.hash_grid import HashGrid
from benchmark.fields.mixture import Mixture, whitening
from benchmark.fields.mlp import MLP
from benchmark.fields.splatter import FAINTEST, OPAQUE, Splats
from benchmark.scan.geometry import ConeBeamGeometry


def hash_grid(grid: HashGrid, points: torch.Tensor) -> torch.Tensor:
    """Return HashGrid's features [M, 2 * levels] at points [M, 3] in the unit cube."""
    return torch.cat([_level(grid.table, level, points) for level in grid.levels], 1)


def _level(table: torch.Tensor, level: Any, points: torch.Tensor) -> torch.Tensor:
    scaled = (points * level.scale).clamp(0, level.scale - 1e-3)
    low = scaled.floor()
    fraction, low = scaled - low, low.long()
    features = torch.zeros(len(points), table.shape[1], dtype=torch.float32, device=points.device)
    corners = torch.arange(8, device=points.device)
    for bits in torch.stack([corners & 1, corners >> 1 & 1, corners >> 2], 1):
        at = low + bits
        if level.hashed:
            row = (at[:, 0] ^ (at[:, 1] * 2654435761) ^ (at[:, 2] * 805459861)) & (level.entries - 1)
        else:
            row = at[:, 0] + level.resolution * (at[:, 1] + level.resolution * at[:, 2])
        features = features + torch.where(bits.bool(), fraction, 1 - fraction).prod(1, keepdim=True) * table[level.offset + row]
    return features


def mlp(network: MLP, features: torch.Tensor) -> torch.Tensor:
    """Return an MLP's outputs by torch's linear layers: [M, inputs] -> [M, outputs]."""
    return network.by_layers(features)


def vm_encode(points: torch.Tensor, planes: Sequence[torch.Tensor], lines: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the features of benchmark.fields.vm_encode [M, 3 * channels] at points [M, 3] in the unit cube."""
    x, y, z = (points * 2 - 1).unbind(1)
    how: dict[str, Any] = {"align_corners": False, "padding_mode": "border"}
    parts = []
    for plane, line, row, column, along in zip(planes, lines, (y, z, z), (x, y, x), (z, x, y), strict=True):
        on_plane = F.grid_sample(plane[None], torch.stack([column, row], -1)[None, None], **how)[0, :, 0]
        on_line = F.grid_sample(line[None, :, :, None], torch.stack([torch.zeros_like(along), along], -1)[None, None], **how)[0, :, 0]
        parts.append(on_plane * on_line)
    return torch.cat(parts).t()


def vm_grid(planes: Sequence[torch.Tensor], lines: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the features of benchmark.fields.vm_grid at every voxel: [z * y * x, 3 * channels]."""
    (yx, zy, zx), (z, x, y) = planes, lines
    products = [yx[:, None] * z[:, :, None, None], zy[..., None] * x[:, None, None], zx[:, :, None] * y[:, None, :, None]]
    return torch.cat(products).flatten(1).t()


def splat(splats: Splats, geometry: ConeBeamGeometry) -> torch.Tensor:
    """Return the pictures of benchmark.fields.splat [view, v, u, 4], in the splats' own precision.

    Every Gaussian is evaluated for every pixel: for small pictures.
    """
    matrices = whitening(Mixture(splats.means, splats.quaternions, splats.log_scales, splats.opacities))
    vectors = torch.from_numpy(geometry.vectors()).to(splats.means)
    return torch.stack([_picture(splats, matrices, view, geometry.detector_shape) for view in vectors])


def _picture(splats: Splats, matrices: torch.Tensor, vectors: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """Return the picture [v, u, 4] of one camera: source, detector centre and steps [4, 3]."""
    source, centre, u, v = vectors
    depth = (splats.means.detach() - source) @ torch.linalg.inv(torch.stack([u, v, centre - source], 1))[2]  # the detector is at 1
    order = torch.argsort(depth, stable=True)
    order = order[depth[order] > 0]
    steps = (torch.arange(count, dtype=u.dtype, device=u.device) - (count - 1) / 2 for count in shape)
    j, i = torch.meshgrid(*steps, indexing="ij")
    rays = centre - source + i[..., None] * u + j[..., None] * v
    along = torch.einsum("kij,vuj->vuki", matrices[order], rays)
    beside = torch.linalg.cross(torch.einsum("kij,kj->ki", matrices[order], splats.means[order] - source).expand_as(along), along)
    squares = beside.square().sum(-1) / along.square().sum(-1)
    alpha = (splats.opacities[order] * torch.exp(-0.5 * squares)).clamp(max=OPAQUE)
    alpha = torch.where(alpha >= FAINTEST, alpha, 0.0)
    left = torch.cat([torch.ones_like(alpha[..., :1]), (1 - alpha).cumprod(-1)[..., :-1]], -1)
    shown = torch.cat([splats.colours, torch.ones_like(splats.colours[:, :1])], 1)[order]
    return (left * alpha) @ shown
