"""Training of the networks: their optimiser, and examples from one scan or many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import torch

from benchmark.fields import Halving

from . import CarveParams
from .network import Carved, Carver

WARM_UP = 20  # steps until the full learning rate
CLIP = 1.0  # largest norm of the gradient


class Example(Protocol):
    """Example: the networks' input from a scan, and the views compared with their Gaussians."""

    more: int  # numbers of each Gaussian beside the common ones

    @property
    def carving(self) -> Carved: ...

    def loss(self, carver: Carver, progress: float, generator: torch.Generator, views: int) -> tuple[torch.Tensor, int]:
        """Return the loss of so many random views, and the number of Gaussians. `progress` is 0 at the start and 1 at the end."""


class Training:
    """Networks and their optimiser. Random numbers are drawn on the CPU, so that they are the same on any device."""

    def __init__(self, examples: Sequence[Example], params: CarveParams, seed: int, device: str = "cpu") -> None:
        self.examples, self.params = examples, params
        self.taken, self.planned = 0, params.steps
        self.limit = Halving(params.views, 1, "views")
        self.generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.carver = Carver(params, examples[0].more).to(device)
        self.optimiser = torch.optim.Adam(self.carver.parameters(), lr=params.learning_rate, betas=(0.9, 0.99), fused=True)

    def step(self) -> tuple[torch.Tensor, int]:
        """Take one optimiser step on one example; return its loss and its number of Gaussians."""
        progress = min(1.0, self.taken / self.planned)
        index = int(torch.randint(len(self.examples), (), generator=self.generator)) if len(self.examples) > 1 else 0
        drawn = self.generator.get_state()

        def attempt() -> tuple[torch.Tensor, int]:
            self.generator.set_state(drawn)  # fewer views after memory ran out, but of the same draw
            self.optimiser.zero_grad(set_to_none=True)
            loss, count = self.examples[index].loss(self.carver, progress, self.generator, self.limit.most)
            loss.backward()
            return loss.detach(), count

        self.carver.train()
        loss, count = self.limit.attempt(attempt, self.params.views)
        torch.nn.utils.clip_grad_norm_(self.carver.parameters(), CLIP)
        self.optimiser.param_groups[0]["lr"] = self.params.learning_rate * self._schedule(progress)
        self.optimiser.step()
        self.taken += 1
        return loss, count

    def _schedule(self, progress: float) -> float:
        """Return the factor on the learning rate, with a warm-up, because Adam's first steps have full length for any gradient."""
        cosine = 0.5 * (1 + math.cos(math.pi * progress))
        return min(1.0, (self.taken + 1) / WARM_UP) * (self.params.decay + (1 - self.params.decay) * cosine)

    def state_dict(self) -> dict[str, Any]:
        return {
            "carver": self.carver.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "taken": self.taken,
            "carving": self.examples[0].carving.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.carver.load_state_dict(state["carver"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        self.taken = state["taken"]
