"""Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon): momentum whose update is made orthogonal, for weight matrices.

torch.optim.Muon takes two-dimensional parameters only; convolutions are matrices here too, [out, in * kernel].
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch

STEPS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic Newton-Schulz iteration


def orthogonalised(matrices: torch.Tensor) -> torch.Tensor:
    """Return matrices [n, rows, columns] with their singular values pushed towards 1."""
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    for _ in range(STEPS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Optimiser for weight matrices: momentum whose update is made orthogonal (Jordan et al. 2024, kellerjordan.github.io/posts/muon).

    Parameters need two or more dimensions, the first of which is the output; convolutions count as [out, in * kernel].
    """

    def __init__(self, parameters: Iterable[torch.Tensor], lr: float = 0.02, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            same_shape: dict[tuple[int, int], list[tuple[torch.Tensor, torch.Tensor]]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                momentum = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
                momentum.lerp_(parameter.grad, 1 - group["momentum"])
                update = parameter.grad.lerp(momentum, group["momentum"]).flatten(1)  # Nesterov
                same_shape[(update.shape[0], update.shape[1])].append((parameter, update))
            for (rows, columns), entries in same_shape.items():
                updates = orthogonalised(torch.stack([update for _, update in entries]))
                for (parameter, _), update in zip(entries, updates, strict=True):
                    parameter.add_(update.view_as(parameter), alpha=-group["lr"] * max(1.0, rows / columns) ** 0.5)
