"""The training loop of the Gaussian mixture (Zha et al. 2024, section 4), on closed-form projections."""

from __future__ import annotations

import math

import torch

from benchmark.api import Reconstruction, Run, Scan
from benchmark.fields import Measurements, Mixture, MixtureProjector, data_consistent, ramp_filtered, voxelise
from methods.gaussians import GaussiansParams
from methods.gaussians.density import Population
from methods.gaussians.losses import ssim, total_variation
from methods.gaussians.start import start_mixture

TV_TIMES_VIEWS = 0.25


class Objective:
    """Residual and SSIM of some random views, and the total variation of a random block; all relative to the scan's scale."""

    def __init__(self, scan: Scan, params: GaussiansParams, mean_attenuation: float) -> None:
        self.params, self.geometry = params, scan.geometry
        self.projector, self.values = MixtureProjector(scan.geometry, params.cutoff), torch.tensor(scan.projections)
        level = float(self.values.mean() if params.loss == "l1" else self.values.square().mean())
        self.level, self.range = max(abs(level), 1e-12), max(float(self.values.max()), 1e-12)
        self.edge = math.prod(scan.geometry.volume_spacing) ** (1 / 3)
        self.spacing = torch.tensor(scan.geometry.volume_spacing) / self.edge
        self.attenuation = mean_attenuation
        # The residual is a mean over views: its sum grows with them, what is known about volumes beforehand does not.
        self.tv = TV_TIMES_VIEWS / scan.geometry.views if params.tv is None else params.tv

    def __call__(self, mixture: Mixture, step: int, generator: torch.Generator) -> torch.Tensor:
        chosen = torch.randperm(self.geometry.views, generator=generator)[: self.params.views].sort().values
        rendered, values = self.projector(mixture, chosen.tolist()), self.values[chosen]
        residual = ramp_filtered(rendered - values, self.params.sharpen * (1 - step / self.params.steps))
        loss = (residual.abs() if self.params.loss == "l1" else residual.square()).mean() / self.level
        if self.params.ssim:
            loss = loss + self.params.ssim * (1 - ssim(rendered, values, self.range))
        if self.tv and min(self.geometry.volume_shape) > 1:
            loss = loss + self.tv * self._variation(mixture, generator)
        return loss

    def _variation(self, mixture: Mixture, generator: torch.Generator) -> torch.Tensor:
        """Relative to the mean attenuation over one voxel."""
        starts = [int(torch.randint(max(1, n - self.params.tv_block + 1), (), generator=generator)) for n in self.geometry.volume_shape]
        z, y, x = (slice(start, start + self.params.tv_block) for start in starts)
        block = voxelise(mixture, self.geometry, block=(z, y, x), cutoff=self.params.cutoff)
        return total_variation(block, self.spacing) / self.attenuation


def reconstruct(scan: Scan, params: GaussiansParams, run: Run) -> Reconstruction:
    """Fit the mixture to the scan; the volume is its mean over each voxel, made consistent with the data."""
    generator = torch.Generator().manual_seed(run.seed)
    mean = Measurements(scan).mean_attenuation
    mixture, start = start_mixture(scan, params, generator)
    objective = Objective(scan, params, mean)
    bounds = torch.tensor(scan.geometry.volume_bounds, dtype=torch.float32)
    population = Population(mixture, params, bounds, objective.edge, mean)
    for step in run.steps(params.steps):
        if step and step % params.every == 0 and step <= params.until * params.steps:
            population.control(generator)
        loss = objective(population.mixture, step, generator)
        population.step(loss)
        if step % 20 == 0:
            run.log(loss=float(loss.detach()), gaussians=population.mixture.size)
        run.snapshot(lambda: volume_of(population.mixture, scan, 1).numpy())
    info = {"gaussians": population.mixture.size, "parameters": 11 * population.mixture.size, "start": start}
    return Reconstruction(volume=data_consistent(volume_of(population.mixture, scan, 2), scan, params.refine).numpy(), info=info)


@torch.no_grad()
def volume_of(mixture: Mixture, scan: Scan, supersample: int) -> torch.Tensor:
    return voxelise(mixture, scan.geometry, supersample=supersample)
