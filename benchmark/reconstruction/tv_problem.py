"""Total-variation problem in scale-free form, and its solution by FISTA."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator

import torch

from benchmark.machine.engine import Engine
from benchmark.projection.operators import operators
from benchmark.reconstruction.total_variation import TotalVariation
from benchmark.scan.geometry import ConeBeamGeometry


class TvProblem:
    """Problem min F(x) = |A x - b|^2 / (2 kappa) + weight m TV(x), x >= 0 if `nonnegative`; `fista` solves it.

    kappa = the mean of A^T A 1 over the voxels and m = the attenuation [1/mm] of the constant volume that fits the data best make `weight`
    a pure number: independent of length unit, contrast, and numbers of views and pixels. `projections` [view, v, u] determine the device.
    """

    def __init__(self, geometry: ConeBeamGeometry, projections: torch.Tensor, *, nonnegative: bool = True, engine: Engine = "auto") -> None:
        self.projector = operators(geometry, engine, str(projections.device))
        self.data, self.nonnegative = projections, nonnegative
        chords = self.projector.forward(torch.ones(geometry.volume_shape, dtype=torch.float32, device=projections.device))
        reach = self.projector.adjoint(chords)
        self.kappa = float(reach.double().mean())
        self.lipschitz = float(reach.max()) / self.kappa  # A >= 0: the largest row sum of A^T A bounds its norm
        self.attenuation = float((projections.double() * chords).sum() / chords.double().square().sum())
        self.variation = TotalVariation(geometry.volume_shape, geometry.volume_spacing, projections.device)

    def weigh(self, weights: torch.Tensor) -> None:
        """Weigh each voxel's gradient by `weights`, float32 [z, y, x], from now on."""
        geometry = self.projector.geometry
        self.variation = TotalVariation(geometry.volume_shape, geometry.volume_spacing, self.data.device, weights)

    def misfit(self, projected: torch.Tensor) -> float:
        """Return |A x - b|^2 / (2 kappa), given A x."""
        return float((projected - self.data).double().square().sum()) / (2 * self.kappa)

    def objective(self, x: torch.Tensor, weight: float) -> float:
        """Return F(x) of a volume [z, y, x]."""
        return self.misfit(self.projector.forward(x)) + weight * self.attenuation * self.variation.value(x)


@dataclasses.dataclass
class Iterate:
    """State of FISTA after `steps` steps: the volume x [z, y, x], F(x), and the relative decrease of F over the last ten steps."""

    x: torch.Tensor
    objective: float = math.inf
    steps: int = 0
    decrement: float = math.inf


WINDOW = 10  # [steps] over which the objective's decrement is measured


def fista(
    problem: TvProblem, weight: float, steps: Iterable[int], *, tolerance: float, inner: int, start: torch.Tensor | None = None
) -> Iterator[Iterate]:
    """Minimise a TvProblem: yield an Iterate after every step of FISTA with adaptive restart.

    Ends when `steps` (such as `run.steps(100)`) ends, or when the objective falls by less than `tolerance` (relative) over ten steps.
    `inner` is the number of iterations of each proximal step, `start` the first volume [z, y, x] (default: 0). One A and one A^T a
    step (Beck & Teboulle 2009, doi 10.1137/080716542; O'Donoghue & Candes 2015, doi 10.1007/s10208-013-9150-3).
    """
    strength = weight * problem.attenuation
    x = torch.zeros(problem.projector.geometry.volume_shape, dtype=torch.float32, device=problem.data.device) if start is None else start
    projected = problem.projector.forward(x)
    y, projected_y, t = x, projected, 1.0
    history: list[float] = []
    for _ in steps:
        gradient = problem.projector.adjoint(projected_y - problem.data).div_(problem.kappa * problem.lipschitz)
        new = problem.variation.prox(y - gradient, strength / problem.lipschitz, iterations=inner, nonnegative=problem.nonnegative)
        new_projected = problem.projector.forward(new)
        objective = problem.misfit(new_projected) + strength * problem.variation.value(new)
        if history and objective > history[-1]:
            t = 1.0
        t_next = (1 + math.sqrt(1 + 4 * t * t)) / 2
        momentum = (t - 1) / t_next
        y = torch.lerp(x, new, 1 + momentum)
        projected_y = torch.lerp(projected, new_projected, 1 + momentum)
        x, projected, t = new, new_projected, t_next
        history.append(objective)
        decrement = (history[-1 - WINDOW] - objective) / max(objective, 1e-30) if len(history) > WINDOW else math.inf
        yield Iterate(x, objective, len(history), decrement)
        if abs(decrement) < tolerance:
            return
