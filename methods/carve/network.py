"""Networks from a carving to Gaussians: 3-D U-Nets (the identity before training), and a small network applied to each voxel."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import nn

from benchmark.api import ConeBeamGeometry

from . import CarveParams

CELLS = 4  # along each edge of the grid that a bottleneck codes, whatever the carving grid is
OUTPUTS = 11  # of the small network: quaternion 4, log scales 3, level 1, offset 3
convolution, linear = functools.partial(nn.Conv3d, dtype=torch.float32), functools.partial(nn.Linear, dtype=torch.float32)


class Carved(Protocol):
    """Carving of a scan before any training: the carving grid, the visual hull on it, and features [count, z, y, x]."""

    @property
    def geometry(self) -> ConeBeamGeometry: ...

    @property
    def mask(self) -> torch.Tensor: ...

    def features(self, count: int) -> torch.Tensor: ...

    def state_dict(self) -> dict[str, Any]: ...


class UNet(nn.Module):
    """U-Net: features [F, z, y, x] -> features + a residual, 0 before training (Ronneberger et al. 2015, arXiv 1505.04597)."""

    def __init__(self, features: int, channels: int, levels: int, norm: str = "none", bottleneck: int = 0) -> None:
        super().__init__()
        widths = [channels << level for level in range(levels)]
        self.down = nn.ModuleList(_block(before, after, norm) for before, after in zip([features, *widths], widths, strict=False))
        self.up = nn.ModuleList(_block(deep + wide, wide, norm) for wide, deep in zip(widths, widths[1:], strict=False))
        self.middle = Bottleneck(widths[-1], bottleneck) if bottleneck else nn.Identity()
        self.last = convolution(widths[0], features, 1)
        _silence(self.last)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        x, kept = features[None], []
        for index, block in enumerate(self.down):
            if index:
                x = F.interpolate(x, size=[-(-count // 2) for count in x.shape[2:]], mode="area")
            x = block(x)
            kept.append(x)
        x = self.middle(x)
        for block, skipped in zip(reversed(self.up), reversed(kept[:-1]), strict=True):
            x = block(torch.cat([F.interpolate(x, size=skipped.shape[2:]), skipped], 1))
        return features + self.last(x)[0]


class Bottleneck(nn.Module):
    """Code of the whole grid, `size` numbers, whose decoding is added to the coarsest features; 0 before training.

    The grid is averaged to CELLS along each edge first, so that one network fits every carving grid.
    """

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.encode, self.decode = linear(channels * CELLS**3, size), linear(size, channels * CELLS**3)
        _silence(self.decode)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        cells = F.adaptive_avg_pool3d(x, CELLS)
        decoded = self.decode(F.silu(self.encode(cells.flatten(1)))).view(cells.shape)
        return x + F.interpolate(decoded, size=x.shape[2:])


class Norm(nn.Module):
    """Normalisation of features [1, channels, z, y, x]; a single voxel, which has no spread, stays as it is."""

    def __init__(self, kind: str, channels: int) -> None:
        super().__init__()
        groups = math.gcd(channels, max(1, channels // 4))
        self.inner = (
            nn.BatchNorm3d(channels, dtype=torch.float32) if kind == "batch" else nn.GroupNorm(groups, channels, dtype=torch.float32)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) if x[0, 0].numel() > 1 else x


def _block(before: int, after: int, norm: str) -> nn.Module:
    parts: list[nn.Module] = []
    for channels in (before, after):
        parts += [convolution(channels, after, 3, padding=1), *([] if norm == "none" else [Norm(norm, after)]), nn.SiLU()]
    return nn.Sequential(*parts)


def _silence(layer: nn.Conv3d | nn.Linear) -> None:
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)


class Shapes(NamedTuple):
    """Output of the small network for K voxels: the shape of each voxel's Gaussian, and its other numbers."""

    means: torch.Tensor  # [K, 3] x y z [mm]
    quaternions: torch.Tensor  # [K, 4]
    log_scales: torch.Tensor  # [K, 3] [mm]
    level: torch.Tensor  # [K] of which attenuation or opacity is made
    others: torch.Tensor  # [K, more]
    features: torch.Tensor  # [K, F] refined

    def strongest(self, strengths: torch.Tensor, prune: float, params: CarveParams) -> Shapes:
        """Return the shapes whose strength [K] is at least `prune`; at least `min_gaussians` and at most `max_gaussians`, the strongest."""
        kept = strengths.detach() >= prune
        wanted = max(int(kept.sum()), min(params.min_gaussians, len(kept)))
        if params.max_gaussians is not None:
            wanted = min(wanted, params.max_gaussians)
        if wanted != int(kept.sum()):
            kept = torch.zeros_like(kept)
            kept[torch.argsort(strengths.detach(), descending=True, stable=True)[:wanted]] = True
        return Shapes(*(part[kept] for part in self))


class Carver(nn.Module):
    """U-Nets, and the network from a voxel's features to one Gaussian, with `more` numbers beside the common ones."""

    def __init__(self, params: CarveParams, more: int = 0) -> None:
        super().__init__()
        self.params = params
        self.networks = nn.ModuleList(
            UNet(params.features, params.channels, params.levels, params.norm, params.bottleneck) for _ in range(params.networks)
        )
        last = linear(params.hidden, OUTPUTS + more)
        _silence(last)
        self.head = nn.Sequential(linear(params.features, params.hidden), nn.SiLU(), last)

    def refined(self, features: torch.Tensor) -> torch.Tensor:
        """Return refined features [F, z, y, x] -> [F, z, y, x]; the identity before training."""
        for network in self.networks:
            features = network(features)
        return features

    def forward(self, carving: Carved) -> Shapes:
        """Return one Gaussian for each voxel of the hull; before training it lies in the middle, as wide as the voxels' distance."""
        inside = self.refined(carving.features(self.params.features))[:, carving.mask].t()  # [K, F]
        numbers = self.head(inside)
        turn, scales, level, offset, others = numbers.split([4, 3, 1, 3, numbers.shape[1] - OUTPUTS], 1)
        edges = torch.tensor(carving.geometry.volume_spacing[::-1], dtype=torch.float32, device=inside.device)  # x y z [mm]
        return Shapes(
            means=centres(carving.geometry, carving.mask) + self.params.reach * edges * torch.tanh(offset),
            quaternions=torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float32, device=turn.device) + turn,
            log_scales=torch.log(self.params.width * edges) + self.params.stretch * torch.tanh(scales),
            level=inside[:, 0] + level[:, 0],
            others=others,
            features=inside,
        )


def centres(geometry: ConeBeamGeometry, mask: torch.Tensor) -> torch.Tensor:
    """Return the centres of the marked voxels, float32 [K, 3], x y z [mm]."""
    index = torch.nonzero(mask).flip(1)  # x y z
    lower = torch.tensor(geometry.volume_bounds[0], device=mask.device)
    spacing = torch.tensor(geometry.volume_spacing[::-1], dtype=torch.float64, device=mask.device)
    return (lower + (index.float() + 0.5) * spacing).float()
