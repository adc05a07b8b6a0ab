"""NAF against itself in plain torch: the time to a given quality."""

from __future__ import annotations

import time

import torch

from benchmark.api import composite_rays_xray, march, psnr_against, reference_scan
from benchmark.fields import RayLoss, plain
from methods.naf import NafParams
from methods.naf.reconstruct import AttenuationField, Training


def speed(size: int = 64, views: int = 50) -> dict[str, float]:
    """naf_time_to_quality_over_torch: CPU seconds of the default preset to 1 dB below its final volume PSNR, over those of the
    same steps with the same field in plain torch. A step of that computes the same (checked), so that it needs as many.
    """
    scan, truth = reference_scan(size, views)
    psnr = psnr_against(truth)
    training, spent, curve = Training(scan, NafParams.model_validate({}), seed=0), 0.0, []
    for step in range(training.steps):
        begin = time.process_time()
        training.step()
        spent += time.process_time() - begin
        if step % 100 == 99:
            with torch.no_grad():
                curve.append((step + 1, spent, psnr(training.volume())))
    steps, ours, _ = next(point for point in curve if point[2] >= curve[-1][2] - 1)
    return {"naf_time_to_quality_over_torch": ours / (steps * _torch_step(training))}


def _torch_step(training: Training, repeats: int = 10) -> float:
    """CPU seconds of a step in plain torch. Raises AssertionError if it renders something else."""
    field, loss_of = training.field, training.loss_of
    assert isinstance(loss_of, RayLoss)
    seconds = 0.0
    for repeat in range(repeats + 1):
        rays, values = loss_of.measurements.draw(training.rays, training.generator)
        begin = time.process_time()
        samples = march(rays, loss_of.bounds, samples=loss_of.samples, jitter=training.generator)
        dt = samples.ts[:, 1].view(len(values), -1)
        rendered = (_at_points(field, samples.positions).view(dt.shape) * dt).sum(1)
        training.optimiser.zero_grad(set_to_none=True)
        (rendered - values).square().mean().backward()
        seconds += (time.process_time() - begin) * (repeat > 0)  # the first is to warm up
        with torch.no_grad():
            expected = composite_rays_xray(field(samples.positions), samples.ts, samples.rays)
        torch.testing.assert_close(rendered.detach(), expected, rtol=1e-3, atol=1e-4)
        begin = time.process_time()
        training.optimiser.step()
        seconds += (time.process_time() - begin) * (repeat > 0)
    return seconds / repeats


def _at_points(field: AttenuationField, positions: torch.Tensor) -> torch.Tensor:
    features = plain.hash_grid(field.grid, (positions - field.lower) / field.extent)
    return field.attenuation(plain.mlp(field.network, features)[:, 0])
