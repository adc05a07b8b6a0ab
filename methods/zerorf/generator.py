"""TensorialGenerator (Shi et al. 2024, section 3.2): planes and lines from frozen noise through convolutional decoders."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from methods.zerorf import ZeroRFParams

Shape = tuple[int, ...]
CONVOLUTION = {1: nn.Conv1d, 2: nn.Conv2d}
GROUPS = 8


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(GROUPS, channels), channels)


def _upsample(params: ZeroRFParams, dimensions: int) -> nn.Upsample:
    mode = "nearest" if params.upsampling == "nearest" else {1: "linear", 2: "bilinear"}[dimensions]
    return nn.Upsample(scale_factor=2, mode=mode)


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
    """Each cell plus what it takes from all the others (one head), on a plane or a line."""

    def __init__(self, dimensions: int, channels: int) -> None:
        super().__init__()
        convolution = CONVOLUTION[dimensions]
        self.norm, self.asked = _norm(channels), convolution(channels, 3 * channels, 1)
        self.answer = convolution(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = self.asked(self.norm(x)).flatten(2).mT.chunk(3, -1)  # [1, cells, channels] each
        return x + self.answer(F.scaled_dot_product_attention(query, key, value).mT.reshape(x.shape))


class Decoder(nn.Module):
    """Frozen noise -> one tensor [features, *shape]; the resolution doubles between two entries of `channels`.

    With `attention`, the coarsest level begins with residual block, self-attention, residual block, as published.

    The noise is as coarse as the doublings allow for `shape`; what the decoder makes beyond it is cut off.
    """

    noise: torch.Tensor

    def __init__(self, params: ZeroRFParams, shape: Shape) -> None:
        super().__init__()
        dimensions, channels = len(shape), params.channels
        convolution, growth = CONVOLUTION[dimensions], 2 ** (len(channels) - 1)
        self.shape = shape
        self.register_buffer("noise", torch.randn(1, params.noise_channels, *(-(-n // growth) for n in shape)))
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


class Generator(nn.Module):
    """Three planes (y x, z y, z x) and the lines (z, x, y) that go with them, in the order of benchmark.fields.vm_encode."""

    def __init__(self, params: ZeroRFParams, volume_shape: tuple[int, int, int]) -> None:
        super().__init__()
        planes, lines = plane_shapes(volume_shape), line_shapes(volume_shape)
        self.lower_precision = params.precision == "bfloat16"
        self.planes = nn.ModuleList(Decoder(params, shape) for shape in planes)
        self.lines = nn.ModuleList(Decoder(params, shape) for shape in lines)

    def forward(self) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        with torch.autocast(next(self.parameters()).device.type, torch.bfloat16, enabled=self.lower_precision):
            planes, lines = [plane() for plane in self.planes], [line() for line in self.lines]
        return [plane.float() for plane in planes], [line.float() for line in lines]


def plane_shapes(volume_shape: tuple[int, int, int]) -> tuple[Shape, Shape, Shape]:
    z, y, x = volume_shape
    return (y, x), (z, y), (z, x)


def line_shapes(volume_shape: tuple[int, int, int]) -> tuple[Shape, Shape, Shape]:
    z, y, x = volume_shape
    return (z,), (x,), (y,)


def resampled(tensor: torch.Tensor, shape: Shape) -> torch.Tensor:
    """A plane or line [features, *] on another grid over the same extent, without aliasing."""
    if tuple(tensor.shape[1:]) == shape:
        return tensor
    image = tensor[None] if len(shape) == 2 else tensor[None, :, None]
    target = shape if len(shape) == 2 else (1, *shape)
    return F.interpolate(image, target, mode="bilinear", antialias=True).view(tensor.shape[0], *shape)
