"""Parameters, their optimiser and adaptive density control: clone, split and prune (Kerbl et al. 2023, arXiv 2308.04079, section 5).

A split keeps mass and second moments: a Gaussian of standard deviation s along its longest axis becomes two at +-0.6 s with
0.8 s. The published form draws both from the parent at random, which changes the projections at once. Where the field is the
Gaussians' maximum, halves keep the amplitude.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from benchmark.api import Composite
from benchmark.fields import Mixture, rotations

from . import GaussiansParams

APART, NARROW = 0.6, 0.8  # squares sum to 1
CALMER = 0.6  # learning rates for maxima relative to line integrals: a pixel depends on one Gaussian, not on the sum of all
JITTER = 0.1  # of a clone, in standard deviations: equal Gaussians would stay equal


class Population:
    """Mixture in training: Adam with a rate for each parameter group, and rounds of density control."""

    def __init__(
        self,
        mixture: Mixture,
        params: GaussiansParams,
        bounds: torch.Tensor,
        edge: float,
        mean_attenuation: float,
        composite: Composite = "sum",
    ) -> None:
        self.params, self.bounds, self.edge, self.faint = params, bounds, edge, params.prune * mean_attenuation
        self.composite = composite
        self.cap = params.cap or (mixture.size if params.weights else 2 * mixture.size)
        self.mixture = Mixture(*(tensor.clone().requires_grad_() for tensor in mixture))
        rates = (params.means_rate * edge, params.quaternions_rate, params.scales_rate, params.amplitudes_rate)
        self.rates, self.taken = [rate * (CALMER if composite == "max" else 1.0) for rate in rates], 0
        self.optimiser = self._new_optimiser()
        # Summed length of the means' gradients since the last round.
        self.pull = torch.zeros(mixture.size, dtype=torch.float32, device=mixture.means.device)

    def _new_optimiser(self) -> torch.optim.Optimizer:
        groups = [{"params": [tensor], "lr": rate} for tensor, rate in zip(self.mixture, self.rates, strict=True)]
        return torch.optim.Adam(groups, betas=(0.9, 0.99), eps=1e-15, fused=True)

    def step(self, loss: torch.Tensor) -> None:
        for group, rate in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = rate * self.params.decay ** (self.taken / self.params.steps)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        means = self.mixture.means
        assert means.grad is not None
        self.pull += means.grad.norm(dim=1)
        self.optimiser.step()
        self.taken += 1
        with torch.no_grad():
            means.clamp_(self.bounds[0], self.bounds[1])
            self.mixture.log_scales.clamp_(*(math.log(limit * self.edge) for limit in (self.params.smallest, self.params.largest)))

    def state_dict(self) -> dict[str, Any]:
        mixture = [tensor.detach() for tensor in self.mixture]
        return {"mixture": mixture, "optimiser": self.optimiser.state_dict(), "pull": self.pull, "taken": self.taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        device = self.mixture.means.device
        self.mixture = Mixture(*(tensor.to(device, copy=True).requires_grad_() for tensor in state["mixture"]))
        self.optimiser = self._new_optimiser()
        self.optimiser.load_state_dict(state["optimiser"])
        self.pull, self.taken = state["pull"].to(device), state["taken"]

    @torch.no_grad()
    def control(self, generator: torch.Generator) -> None:
        """Run one round: faint Gaussians are pruned, those with the largest gradients of the means become two, within the cap."""
        kept = torch.nonzero(self.mixture.log_amplitudes.exp() >= self.faint)[:, 0]
        self._rebuild(kept, None)
        count = self.mixture.size
        room = min(self.cap - count, round(self.params.grow * count))
        if room > 0:
            parents = self.pull.topk(room).indices.sort().values
            self._rebuild(torch.arange(count, device=parents.device), self._halve(parents, generator))
        self.pull.zero_()

    def _halve(self, parents: torch.Tensor, generator: torch.Generator) -> Mixture:
        """Turn the parents into first halves, in place, and return the second halves."""
        means, quaternions, log_scales, log_amplitudes = (tensor[parents] for tensor in self.mixture)
        widest, axis = log_scales.max(1)
        wide = widest > math.log(self.params.split * self.edge)
        direction = rotations(quaternions).gather(2, axis[:, None, None].expand(-1, 3, 1))[:, :, 0]
        shift = APART * widest.exp()[:, None] * direction
        random = torch.randn(len(parents), 3, dtype=torch.float32, generator=generator).to(means.device)
        random = JITTER * log_scales.exp().mean(1, keepdim=True) * random
        shift = torch.where(wide[:, None], shift, random)
        less = torch.full((len(parents), 1), math.log(NARROW), dtype=torch.float32, device=means.device)
        narrowed = log_scales.scatter_add(1, axis[:, None], less)
        log_scales = torch.where(wide[:, None], narrowed, log_scales)
        if self.composite == "sum":
            log_amplitudes = log_amplitudes - torch.full_like(widest, math.log(2)).masked_fill(wide, math.log(2 * NARROW))
        for tensor, values in zip(self.mixture, (means - shift, quaternions, log_scales, log_amplitudes), strict=True):
            tensor[parents] = values
        return Mixture(means + shift, quaternions, log_scales, log_amplitudes)

    def _rebuild(self, kept: torch.Tensor, added: Mixture | None) -> None:
        """Keep these Gaussians with their optimiser state, and add new ones without state."""
        tensors = []
        for n, group in enumerate(self.optimiser.param_groups):
            old = group["params"][0]
            state = self.optimiser.state.pop(old, {})
            new = old.detach()[kept]
            extra = new[:0] if added is None else added[n]
            new = torch.cat([new, extra]).requires_grad_()
            if state:
                moments = {name: torch.cat([state[name][kept], torch.zeros_like(extra)]) for name in ("exp_avg", "exp_avg_sq")}
                self.optimiser.state[new] = {**state, **moments}
            group["params"] = [new]
            tensors.append(new)
        self.mixture = Mixture(*tensors)
        self.pull = torch.cat([self.pull[kept], self.pull.new_zeros(0 if added is None else added.size)])
        self.mixture.check()
