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
    """Return matrices [n, rows, columns] with their singular values pushed towards 1.

    A step is x <- p(G) x, a polynomial of G = x x^T, so that G <- p(G) G p(G): all steps are taken on G, and x is multiplied once.
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    gram, product = x @ x.mT, None
    for step in range(STEPS):
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=-2, dim2=-1).add_(a)
        product = factor if product is None else factor @ product
        if step < STEPS - 1:
            gram = factor @ gram @ factor
    x = product @ x
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
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not parameters:
                continue
            gradients = [parameter.grad for parameter in parameters]
            momenta = [self._momentum(parameter) for parameter in parameters]
            torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
            same_shape: dict[tuple[int, int], list[tuple[torch.Tensor, torch.Tensor]]] = defaultdict(list)
            for parameter, update in zip(parameters, torch._foreach_lerp(gradients, momenta, group["momentum"]), strict=True):  # Nesterov
                same_shape[(update.shape[0], update[0].numel())].append((parameter, update.flatten(1)))
            for (rows, columns), entries in same_shape.items():
                updates = orthogonalised(torch.stack([update for _, update in entries]))
                steps = [update.view_as(parameter) for (parameter, _), update in zip(entries, updates, strict=True)]
                torch._foreach_add_([parameter for parameter, _ in entries], steps, alpha=-group["lr"] * max(1.0, rows / columns) ** 0.5)

    def _momentum(self, parameter: torch.Tensor) -> torch.Tensor:
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        return state["momentum"]
