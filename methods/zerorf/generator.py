"""TensorialGenerator (Shi et al. 2024, section 3.2): tensors from frozen noise through convolutional decoders, and their features.

Each generator has `at_voxels(support)`, which returns functions, each of which gives the features [voxels, groups * features] of the next
voxels of the support, and `encoder()`, which returns the features as a function of points [M, 3] (x, y, z in the unit cube).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from benchmark.api import ConeBeamGeometry
from benchmark.fields import Support, products_in, vm_encode, vm_grid

from . import ZeroRFParams

Shape = tuple[int, ...]
Encoder = Callable[[torch.Tensor], torch.Tensor]
CONVOLUTION = {n: functools.partial(kind, dtype=torch.float32) for n, kind in enumerate((nn.Conv1d, nn.Conv2d, nn.Conv3d), 1)}
LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}
PIXELS_PER_CELL, FEWEST_CELLS, MOST_CELLS = 40, 4, 20  # of the published noise
GROUPS = 8


class _Norm(nn.GroupNorm):
    """GroupNorm that takes groups of one value, such as those of a volume of one slice: the normalised value is then 0."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return torch.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)


def _norm(channels: int) -> nn.GroupNorm:
    return _Norm(math.gcd(GROUPS, channels), channels, dtype=torch.float32)


def _upsample(params: ZeroRFParams, dimensions: int) -> nn.Upsample:
    return nn.Upsample(scale_factor=2, mode="nearest" if params.upsampling == "nearest" else LINEAR[dimensions])


class ResidualBlock(nn.Module):
    """Norm, SiLU, convolution, twice, plus the input."""

    def __init__(self, dimensions: int, ins: int, outs: int) -> None:
        super().__init__()
        convolution = CONVOLUTION[dimensions]
        self.body = nn.Sequential(
            _norm(ins), nn.SiLU(), convolution(ins, outs, 3, padding=1), _norm(outs), nn.SiLU(), convolution(outs, outs, 3, padding=1)
        )
        self.shortcut = nn.Identity() if ins == outs else convolution(ins, outs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.shortcut(x) + self.body(x)


class SelfAttention(nn.Module):
    """Residual self-attention over all cells (one head) of a plane or a line."""

    def __init__(self, dimensions: int, channels: int) -> None:
        super().__init__()
        convolution = CONVOLUTION[dimensions]
        self.norm, self.asked = _norm(channels), convolution(channels, 3 * channels, 1)
        self.answer = convolution(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = self.asked(self.norm(x)).flatten(2).mT.chunk(3, -1)  # [1, cells, channels] each
        return x + self.answer(F.scaled_dot_product_attention(query, key, value).mT.reshape(x.shape))


class Decoder(nn.Module):
    """Decoder: frozen noise -> one tensor [features, *shape]; the resolution doubles between two entries of `channels`.

    With `attention`, the coarsest level begins with residual block, self-attention, residual block, as published.

    The noise is as coarse as the doublings allow for `shape`; what the decoder makes beyond it is cut off.
    """

    noise: torch.Tensor

    def __init__(self, params: ZeroRFParams, shape: Shape) -> None:
        super().__init__()
        dimensions, channels = len(shape), params.channels
        convolution, growth = CONVOLUTION[dimensions], 2 ** (len(channels) - 1)
        self.shape = shape
        self.register_buffer("noise", torch.randn(1, params.noise_channels, *(-(-n // growth) for n in shape), dtype=torch.float32))
        parts: list[nn.Module] = [convolution(params.noise_channels, channels[0], 3, padding=1)]
        ins = channels[0]
        if params.attention:
            parts += [ResidualBlock(dimensions, ins, ins), SelfAttention(dimensions, ins), ResidualBlock(dimensions, ins, ins)]
        for level, outs in enumerate(channels):
            if level:
                parts += [_upsample(params, dimensions), convolution(ins, ins, 3, padding=1)]
            for _ in range(params.blocks):
                parts.append(ResidualBlock(dimensions, ins, outs))
                ins = outs
        parts += [_norm(ins), nn.SiLU(), convolution(ins, params.features, 3, padding=1)]
        self.body = nn.Sequential(*parts)

    def forward(self) -> torch.Tensor:
        made = self.body(self.noise)[0]
        for axis, count in enumerate(self.shape, 1):
            made = made.narrow(axis, 0, count)
        return made


class Released(nn.Module):
    """Tensor [features, *shape] as a parameter, in place of the decoder that made it."""

    def __init__(self, made: torch.Tensor) -> None:
        super().__init__()
        self.released = nn.Parameter(made.detach().clone())

    def forward(self) -> torch.Tensor:
        return self.released


def _release(decoders: nn.ModuleList, params: ZeroRFParams) -> nn.ModuleList:
    with torch.no_grad():
        return nn.ModuleList(Released(made) for made in _decoded(decoders, params))


def _decoded(decoders: nn.ModuleList, params: ZeroRFParams) -> list[torch.Tensor]:
    """Return each decoder's tensor, float32; convolutions are in the requested precision."""
    with products_in(params.precision, next(decoders.parameters()).device):
        made = [decoder() for decoder in decoders]
    return [tensor.float() for tensor in made]


class PlanesAndLines(nn.Module):
    """Tensors 'xy z yz x zx y': three planes (y x, z y, z x) and the lines (z, x, y) that go with them, in vm_encode's order."""

    groups = 3

    def __init__(self, params: ZeroRFParams, shape: Shape) -> None:
        super().__init__()
        self.params = params
        self.planes = nn.ModuleList(Decoder(params, plane) for plane in plane_shapes(shape))
        self.lines = nn.ModuleList(Decoder(params, line) for line in line_shapes(shape))

    def release(self) -> None:
        """Turn the planes and lines, in their present state, into parameters."""
        self.planes, self.lines = _release(self.planes, self.params), _release(self.lines, self.params)

    def forward(self) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        return _decoded(self.planes, self.params), _decoded(self.lines, self.params)

    def on_grid(self, shape: Shape) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Return the planes and lines with one sample per voxel of a grid (z, y, x)."""
        planes, lines = self()
        planes = [resampled(plane, target) for plane, target in zip(planes, plane_shapes(shape), strict=True)]
        return planes, [resampled(line, target) for line, target in zip(lines, line_shapes(shape), strict=True)]

    def at_voxels(self, support: Support) -> torch.Tensor:
        return vm_grid(*self.on_grid(support.shape), support)

    def encoder(self) -> Encoder:
        planes, lines = self()
        return lambda points: vm_encode(points, planes, lines)


class TiledVolumes(nn.Module):
    """Tensors 'xyz xyz': 3-D tensors, the first over the box, others repeated along every axis (frequency-factorised, Chen et al. 2023,
    doi 10.1145/3618135). A band is the edge of one tile relative to half of the box's, as published; a tile's cells are voxels.
    """

    def __init__(self, params: ZeroRFParams, shape: Shape) -> None:
        super().__init__()
        self.params, self.groups = params, len(params.bands)
        self.volumes = nn.ModuleList(Decoder(params, tile_shape(shape, band)) for band in params.bands)

    def release(self) -> None:
        """Turn the tensors, in their present state, into parameters."""
        self.volumes = _release(self.volumes, self.params)

    def at_voxels(self, support: Support) -> torch.Tensor:
        return self.encoder()(support.points())

    def encoder(self) -> Encoder:
        volumes = _decoded(self.volumes, self.params)
        return lambda points: torch.cat([_tiled(volume, points, band) for volume, band in zip(volumes, self.params.bands, strict=True)]).t()


def _tiled(volume: torch.Tensor, points: torch.Tensor, band: float | None) -> torch.Tensor:
    """Return features [channels, M] of a tensor [channels, z, y, x] at points [M, 3]; the tiles meet in the middle of the box."""
    centred = points * 2 - 1
    places = centred if band is None else centred.remainder(band) / band * 2 - 1
    return F.grid_sample(volume[None], places[None, None, None], padding_mode="border", align_corners=False)[0, :, 0, 0]


def tile_shape(shape: Shape, band: float | None) -> Shape:
    """Return the cells of one tile (z, y, x)."""
    return shape if band is None else tuple(math.ceil(n * band / 2) for n in shape)


GENERATORS: dict[str, type[PlanesAndLines] | type[TiledVolumes]] = {"xy z yz x zx y": PlanesAndLines, "xyz xyz": TiledVolumes}


def new_generator(params: ZeroRFParams, geometry: ConeBeamGeometry) -> PlanesAndLines | TiledVolumes:
    """Return a generator of the requested tensor configuration."""
    return GENERATORS[params.tensors](params, tensor_shape(params, geometry))


def tensor_shape(params: ZeroRFParams, geometry: ConeBeamGeometry) -> Shape:
    """Return the cells (z, y, x) of the tensors along the box's edges: the volume's, or the size that the noise grows to."""
    longest = max(geometry.volume_shape)
    if params.noise is None:
        return geometry.volume_shape
    published = min(max(max(geometry.detector_shape) // PIXELS_PER_CELL, FEWEST_CELLS), MOST_CELLS)
    cells = published if params.noise == "detector" else params.noise
    return tuple(max(1, round(n / longest * cells * 2 ** (len(params.channels) - 1))) for n in geometry.volume_shape)


def plane_shapes(volume_shape: Shape) -> tuple[Shape, Shape, Shape]:
    z, y, x = volume_shape
    return (y, x), (z, y), (z, x)


def line_shapes(volume_shape: Shape) -> tuple[Shape, Shape, Shape]:
    z, y, x = volume_shape
    return (z,), (x,), (y,)


def resampled(tensor: torch.Tensor, shape: Shape) -> torch.Tensor:
    """Return a plane or line [features, *] on another grid over the same extent, without aliasing."""
    if tuple(tensor.shape[1:]) == shape:
        return tensor
    image = tensor[None] if len(shape) == 2 else tensor[None, :, None]
    target = shape if len(shape) == 2 else (1, *shape)
    return F.interpolate(image, target, mode="bilinear", antialias=True).view(tensor.shape[0], *shape)
