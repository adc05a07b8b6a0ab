"""Speed of ZeroRF relative to plain torch: one step of the default preset, and the time to a given quality."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

from benchmark.api import Scan, line_integral, march, psnr_against, reference_scan, view_rays
from benchmark.fields import torch_twins

from . import ZeroRFParams
from .field import TensorialField
from .losses import GrowingRayLoss
from .reconstruct import Ensemble

MOST_STEPS = 600  # by rays; more are not waited for, which flatters plain torch


def ratios() -> dict[str, float | tuple[Callable[[], object], Callable[[], object]]]:
    """Ratios by name. zerorf_step_over_torch: two callables to compare; zerorf_time_to_quality_over_torch: a ratio of CPU seconds."""
    step, others = training_step("cpu", 64)
    (step_of_twin,) = (make() for make in others.values())
    return {"zerorf_step_over_torch": (step, step_of_twin), "zerorf_time_to_quality_over_torch": time_to_quality()}


def training_step(device: str, size: int, views: int = 10) -> tuple[Callable[[], object], dict[str, Callable[[], Callable[[], object]]]]:
    """Return a step of the default preset at full resolution, and a maker of the same step in plain torch."""
    scan, _ = reference_scan(size, views)
    ensemble = Ensemble(scan, ZeroRFParams.model_validate({"steps": 10_000, "coarse": 0.0}), 0, device)
    return ensemble.step, {"the same in plain torch": lambda: _step_in_torch(ensemble)}


def _step_in_torch(ensemble: Ensemble) -> Callable[[], None]:
    """Return the step in plain torch. Raise AssertionError if its volume differs."""
    training, twin = ensemble.stage, TorchGrid(ensemble.stage.field, ensemble.scan, ensemble.device)
    with torch.no_grad():
        torch.testing.assert_close(training.field.volume(ensemble.support), twin.volume() * ensemble.support.mask, rtol=1e-3, atol=1e-5)

    def step() -> None:
        training.field.zero_grad(set_to_none=True)
        twin.loss().backward()
        training.update()

    return step


class TorchGrid:
    """Field on the voxel grid and its line integrals by torch operations: broadcast products, linear layers, grid_sample."""

    def __init__(self, field: TensorialField, scan: Scan, device: str = "cpu") -> None:
        self.field, self.shape = field, scan.geometry.volume_shape
        samples = march(view_rays(scan.geometry, device=device), scan.geometry.volume_bounds, samples=max(self.shape))
        self.where = ((samples.positions - field.lower) / field.extent * 2 - 1).view(1, 1, 1, -1, 3)
        self.dt = samples.ts[:, 1].reshape(-1, max(self.shape))
        self.values = torch.tensor(scan.projections, device=device).reshape(-1)[samples.rays[:, 1] > 0]

    def volume(self) -> torch.Tensor:
        features = torch_twins.vm_grid(*self.field.generator())
        return self.field.attenuation(torch_twins.mlp(self.field.network, features)[:, 0]).view(self.shape)

    def loss(self) -> torch.Tensor:
        sampled = F.grid_sample(self.volume()[None, None], self.where, align_corners=False, padding_mode="border")
        return ((sampled.view(self.dt.shape) * self.dt).sum(1) - self.values).square().mean()


def time_to_quality(size: int = 32, views: int = 50) -> float:
    """Return CPU seconds of the default preset's generator to 1 dB below its final volume PSNR, over those of plain torch by rays.

    The steps that training by rays needs are counted with our renderer, which computes the same thing; what a step takes in
    plain torch is measured. Training by rays that has not arrived after MOST_STEPS steps counts with those.
    """
    scan, truth = reference_scan(size, views)
    psnr = psnr_against(truth)
    ensemble = Ensemble(scan, ZeroRFParams.model_validate({"finetune": 0}), seed=0)
    spent, curve = 0.0, []
    for step in range(ensemble.steps):
        begin = time.process_time()
        ensemble.step()
        spent += time.process_time() - begin
        if step % 10 == 9 or step == ensemble.steps - 1:
            curve.append((spent, psnr(ensemble.volume())))
    goal = curve[-1][1] - 1
    ours = next(seconds for seconds, value in curve if value >= goal)

    by_rays = Ensemble(scan, ZeroRFParams.model_validate({"render": "rays", "members": 1, "steps": MOST_STEPS, "finetune": 0}), seed=0)
    steps = MOST_STEPS
    for step in range(MOST_STEPS):
        by_rays.step()
        if step % 25 == 24 and psnr(by_rays.volume()) >= goal:
            steps = step + 1
            break
    return ours / (steps * _torch_ray_step(by_rays))


def _torch_ray_step(ensemble: Ensemble) -> float:
    """Return CPU seconds of one step by rays in plain torch, the second of two. Raise AssertionError if its rendering differs."""
    training = ensemble.stage
    assert isinstance(ensemble.loss_of, GrowingRayLoss)
    loss_of = ensemble.loss_of.loss_of
    rays, values = loss_of.measurements.draw(ensemble.loss_of.rays_at(max(ensemble.loss_of.params.growth)), ensemble.generator)
    samples = march(rays, loss_of.bounds, samples=loss_of.samples)
    dt = samples.ts[:, 1].view(len(values), -1)
    with torch.no_grad():
        expected = line_integral(training.field.at_points(), rays, loss_of.bounds, samples=loss_of.samples)
        found = (_at_points(training.field, samples.positions).view(dt.shape) * dt).sum(1)
        torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-3)
    begin = time.process_time()
    training.field.zero_grad(set_to_none=True)
    mu = _at_points(training.field, samples.positions).view(dt.shape)
    ((mu * dt).sum(1) - values).square().mean().backward()
    training.update()
    return time.process_time() - begin


def _at_points(field: TensorialField, positions: torch.Tensor) -> torch.Tensor:
    """Evaluate the field by torch operations, as per-ray rendering in plain torch does it: [M, 3] (mm) -> [M]."""
    features = torch_twins.vm_encode((positions - field.lower) / field.extent, *field.generator())
    return field.attenuation(torch_twins.mlp(field.network, features)[:, 0])
