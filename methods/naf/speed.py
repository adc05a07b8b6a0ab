"""Speed of NAF relative to plain torch: the time to a given quality."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from benchmark.api import Samples, composite_rays_xray, march, psnr_against, reference_scan
from benchmark.fields import RayLoss, tiny_cuda_name, torch_twins

from . import NafParams
from .reconstruct import Training


def ratios(size: int = 64, views: int = 50) -> dict[str, float]:
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


def training_step(device: str, size: int, views: int = 50) -> tuple[Callable[[], object], dict[str, Callable[[], Callable[[], object]]]]:
    """Return a step of the default preset, and makers of the same step in plain torch and with tiny-cuda-nn's field."""
    scan, _ = reference_scan(size, views)
    training = Training(scan, NafParams.model_validate({}), 0, device)

    def fused() -> Callable[[], object]:
        return Training(scan, NafParams.model_validate({"engine": "tinycudann"}), 0, device).step

    return training.step, {"the same in plain torch": lambda: TorchStep(training), tiny_cuda_name(): fused}


class TorchStep:
    """Step of the same training in plain torch; only the samples along the rays come from our march.

    Raise AssertionError if the rendered values differ.
    """

    def __init__(self, training: Training) -> None:
        assert isinstance(training.loss_of, RayLoss)
        self.training, self.loss_of = training, training.loss_of
        with torch.no_grad():
            samples, _ = self._drawn()
            expected = composite_rays_xray(training.field(samples.positions), samples.ts, samples.rays)
            torch.testing.assert_close(self._rendered(samples, len(expected)), expected, rtol=1e-3, atol=1e-4)

    def __call__(self) -> None:
        samples, values = self._drawn()
        self.training.optimiser.zero_grad(set_to_none=True)
        (self._rendered(samples, len(values)) - values).square().mean().backward()
        self.training.optimiser.step()

    def _drawn(self) -> tuple[Samples, torch.Tensor]:
        """Return samples along random rays, and the values measured along the rays [N]."""
        rays, values = self.loss_of.measurements.draw(self.training.count, self.training.generator)
        return march(rays, self.loss_of.bounds, samples=self.loss_of.samples, jitter=self.training.generator), values

    def _rendered(self, samples: Samples, rays: int) -> torch.Tensor:
        field = self.training.field
        features = torch_twins.hash_grid(field.grid, (samples.positions - field.lower) / field.extent)
        mu = field.attenuation(torch_twins.mlp(field.network, features)[:, 0])
        return (mu.view(rays, -1) * samples.ts[:, 1].view(rays, -1)).sum(1)


def _torch_step(training: Training, repeats: int = 10) -> float:
    """Return the CPU seconds of a step in plain torch."""
    step = TorchStep(training)
    step()  # to warm up
    begin = time.process_time()
    for _ in range(repeats):
        step()
    return (time.process_time() - begin) / repeats
