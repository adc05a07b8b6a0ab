"""Small fused multilayer perceptron for fields: hidden layers with a leaky rectifier, linear output."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from benchmark.fields.layout import feature_major
from benchmark.kernels.dispatch import call

Setting = tuple[tuple[int, ...], int, int, float]  # a network's widths, layers, skip (-1: none) and slope, as kernels take them


class MLP(nn.Module):
    """Small fused multilayer perceptron: [M, inputs] -> [M, outputs] through `layers` linear maps with `hidden` units between them.

    `slope` is that of the leaky rectifier (0 = ReLU). `skip` names a layer that also gets the network's input (NAF: 2). Weights start
    uniform in +-1/sqrt(inputs of the layer), as torch's Linear. Fused and bitwise deterministic for any number of threads on the CPU in
    float32; layer by layer on a GPU and in half precision (see `products_in`), whose outputs are half precision, too.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int = 1,
        *,
        hidden: int = 32,
        layers: int = 3,
        slope: float = 0.01,
        skip: int | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.widths = [inputs, *[hidden] * (layers - 1), outputs]
        self.skip, self.slope = -1 if skip is None else skip, slope
        matrices = []
        for layer in range(layers):
            ins, outs = self.widths[layer] + (inputs if layer == self.skip else 0), self.widths[layer + 1]
            bound, weights = 1 / math.sqrt(ins), torch.empty(outs * (ins + 1), dtype=torch.float32)
            matrices.append(weights.uniform_(-bound, bound, generator=generator))
        self.weights = nn.Parameter(torch.cat(matrices))  # layer by layer: weight [out, in], bias [out]

    def layer(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return views of one layer's weight [out, in] and bias [out]."""
        at = 0
        for layer, outs in enumerate(self.widths[1:]):
            ins = self.widths[layer] + (self.widths[0] if layer == self.skip else 0)
            if layer == index:
                return self.weights[at : at + outs * ins].view(outs, ins), self.weights[at + outs * ins : at + outs * (ins + 1)]
            at += outs * (ins + 1)
        raise IndexError(index)

    @property
    def setting(self) -> Setting:
        """Return the kernels' arguments that describe the network."""
        return tuple(self.widths), len(self.widths) - 1, self.skip, self.slope

    def fused_on(self, device: torch.device) -> bool:
        """Return whether the project's own kernels evaluate the network on a device; elsewhere torch's library multiplies matrices."""
        return device.type == "cpu" and not torch.is_autocast_enabled("cpu")

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return _Fused.apply(values, self.weights, self.setting) if self.fused_on(values.device) else self.by_layers(values)

    def by_layers(self, values: torch.Tensor) -> torch.Tensor:
        """Evaluate the network by torch's linear layers, one after the other: [M, inputs] -> [M, outputs]."""
        first, last = values, len(self.widths) - 2
        for index in range(last + 1):
            if index == self.skip and index:
                values = torch.cat([values, first], 1)
            values = F.linear(values, *self.layer(index))
            values = F.leaky_relu(values, self.slope, inplace=True) if index < last else values  # the sums before it are not kept
        return values


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, weights: torch.Tensor, setting: Setting) -> torch.Tensor:
        major = feature_major(values)
        ctx.save_for_backward(major, weights)
        ctx.setting, (widths, *_) = setting, setting
        out = torch.empty(widths[-1], major.shape[1], dtype=torch.float32)
        call("mlp", major, major.shape[1], *setting, weights.detach(), weights.numel(), out)
        return out.t()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor, None]:  # type: ignore[override]
        major, weights = ctx.saved_tensors
        to_values = torch.empty_like(major) if ctx.needs_input_grad[0] else None
        to_weights = torch.empty_like(weights)
        known = (major, major.shape[1], *ctx.setting, weights.detach(), weights.numel())
        call("mlp_backward", *known, feature_major(gradient), to_values, to_weights)
        return None if to_values is None else to_values.t(), to_weights, None
