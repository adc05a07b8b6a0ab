"""Conjugate gradients on A^T A x = A^T p, started at zero; each residual is the smallest its Krylov space allows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
import torch

from benchmark.api import ConeBeamGeometry, Engine, Reconstruction, Run, Scan, ViewError, engine_name, held_back_views, operators

from . import CglsParams

PATIENCE = 5  # iterations without a better prediction before the search ends
FALLBACK = 10  # iterations, for scans too short to hold a view back


def reconstruct(scan: Scan, params: CglsParams, run: Run) -> Reconstruction:
    """Choose the number of iterations (unless given) on a part of the views, then iterate on all."""
    measured = torch.tensor(scan.projections, device=run.device)
    auto = params.iterations == "auto"
    choice = choose_iterations(scan, measured, params, run) if auto else Choice(int(params.iterations))
    volume, done = torch.zeros(scan.geometry.volume_shape, dtype=torch.float32, device=run.device), 0
    for volume, loss in cgls(scan.geometry, measured, run.steps(choice.iterations), params.engine):
        done += 1
        run.log(loss=loss)
        run.snapshot(lambda: finished(volume, params))  # noqa: B023 (called at once)
    info = {"iterations": done, "chosen": "held-back views" if auto else "given"}
    if choice.volume is not None and done < choice.iterations and run.budget.spent(run.used()):
        volume, info = choice.volume, info | {"iterations": choice.iterations, "budget": "spent: the held-back views are not in the volume"}
    return Reconstruction(volume=finished(volume, params), engine=engine_name(params.engine), info=info)


@dataclasses.dataclass(frozen=True)
class Choice:
    """Number of iterations, and the fit [z, y, x] after them without the held-back views, if any."""

    iterations: int
    volume: torch.Tensor | None = None


def choose_iterations(scan: Scan, measured: torch.Tensor, params: CglsParams, run: Run) -> Choice:
    """Return the iteration after which a fit without the held-back views predicts them best. Never sees a truth."""
    held = held_back_views(scan.geometry.angles)
    kept = np.setdiff1d(np.arange(scan.geometry.views), held)
    if kept.size < 2:
        return Choice(min(FALLBACK, params.most))
    check = ViewError(scan.geometry.subset(held), measured[held])
    errors: list[float] = []
    best = None
    for volume, loss in cgls(scan.geometry.subset(kept), measured[kept], run.steps(params.most), params.engine):
        errors.append(check.error(volume.clamp(min=0) if params.nonnegative else volume))
        run.log(loss=loss, held_back_error=errors[-1])
        if errors[-1] == min(errors):
            best = volume.clone()
        if len(errors) - 1 - int(np.argmin(errors)) >= PATIENCE:
            break
    return Choice(int(np.argmin(errors)) + 1, best) if errors else Choice(min(FALLBACK, params.most))


def cgls(
    geometry: ConeBeamGeometry, measured: torch.Tensor, steps: Iterable[int], engine: Engine = "auto"
) -> Iterator[tuple[torch.Tensor, float]]:
    """Yield the volume [z, y, x] (the same tensor, updated in place) and the mean squared residual after each iteration."""
    projector = operators(geometry, engine, str(measured.device))
    volume, residual = torch.zeros(geometry.volume_shape, dtype=torch.float32, device=measured.device), measured.clone()
    gradient = projector.adjoint(residual)
    direction, power = gradient.clone(), gradient.double().square().sum()
    for _ in steps:
        projected = projector.forward(direction)
        curvature = projected.double().square().sum()
        if curvature == 0 or power == 0:
            return  # exactly solved
        length = float(power / curvature)
        volume += length * direction
        residual -= length * projected
        gradient = projector.adjoint(residual)
        new_power = gradient.double().square().sum()
        direction = gradient + float(new_power / power) * direction
        power = new_power
        yield volume, float(residual.square().mean())


def finished(volume: torch.Tensor, params: CglsParams) -> np.ndarray:
    """Return a copy for the caller, [z, y, x]."""
    return (volume.clamp(min=0) if params.nonnegative else volume.clone()).cpu().numpy()
