"""The training loop of NAF (Zha et al. 2022, sections 2.2 and 2.3), on the shared renderer and field kernels."""

from __future__ import annotations

import math

import torch

from benchmark.api import ConeBeamGeometry, Projector, Reconstruction, Run, Scan, line_integral
from benchmark.fields import MLP, Attenuation, HashGrid, Measurements, Support, data_consistent, field_volume, voxel_positions
from methods.naf import NafParams


class AttenuationField:
    """Positions [M, 3] (x y z [mm]) -> attenuation [M] (1/mm)."""

    def __init__(self, params: NafParams, geometry: ConeBeamGeometry, mean: float, generator: torch.Generator) -> None:
        lower, upper = torch.tensor(geometry.volume_bounds, dtype=torch.float32)
        self.lower, self.extent = lower, upper - lower
        finest = max(params.finest or max(geometry.volume_shape), params.base)
        levels = params.levels or 1 + max(0, round(math.log2(finest / params.base)))
        self.grid = HashGrid(levels=levels, base=params.base, finest=finest, log2_entries=params.log2_entries, generator=generator)
        self.network = MLP(self.grid.out_features, hidden=params.hidden, layers=params.layers, skip=params.skip, generator=generator)
        self.attenuation = Attenuation(params.activation, mean)

    def __call__(self, positions: torch.Tensor) -> torch.Tensor:
        return self.attenuation(self.network(self.grid((positions - self.lower) / self.extent))[:, 0])

    def parameters(self) -> list[torch.Tensor]:
        return [*self.grid.parameters(), *self.network.parameters()]


class RayLoss:
    """Mean squared residual of random rays, marched with jitter through what may hold matter."""

    def __init__(self, params: NafParams, scan: Scan, measurements: Measurements, support: Support) -> None:
        self.measurements, self.count, self.occupancy = measurements, params.rays, support.mask
        self.samples = params.samples or math.ceil(1.5 * max(scan.geometry.volume_shape))
        self.bounds = scan.geometry.volume_bounds

    def __call__(self, field: AttenuationField, generator: torch.Generator) -> torch.Tensor:
        rays, values = self.measurements.draw(self.count, generator)
        rendered = line_integral(field, rays, self.bounds, samples=self.samples, jitter=generator, occupancy=self.occupancy)
        return (rendered - values).square().mean()


class GridLoss:
    """Mean squared residual of whole random views of the field on the voxel grid, jittered within the voxels."""

    def __init__(self, params: NafParams, scan: Scan) -> None:
        self.projector, self.views = Projector(scan.geometry), min(params.views, scan.geometry.views)
        self.values, self.geometry = torch.tensor(scan.projections), scan.geometry

    def __call__(self, field: AttenuationField, generator: torch.Generator) -> torch.Tensor:
        shift = (torch.rand(3, generator=generator) - 0.5).tolist()
        volume = field(voxel_positions(self.geometry, tuple(shift))).view(self.geometry.volume_shape)
        chosen = torch.randperm(self.geometry.views, generator=generator)[: self.views].sort().values
        return (self.projector.subset(chosen.numpy()).forward(volume) - self.values[chosen]).square().mean()


def reconstruct(scan: Scan, params: NafParams, run: Run) -> Reconstruction:
    """Fit the field to the scan; the volume is its mean over each voxel, made consistent with the data."""
    generator = torch.Generator().manual_seed(run.seed)
    measurements = Measurements(scan)
    field = AttenuationField(params, scan.geometry, measurements.mean_attenuation, generator)
    support = Support.of(scan)
    loss_of = RayLoss(params, scan, measurements, support) if params.render == "rays" else GridLoss(params, scan)
    optimiser = torch.optim.Adam(field.parameters(), lr=params.learning_rate, betas=(0.9, 0.99), fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: params.decay ** (step / params.steps))
    for step in run.steps(params.steps):
        loss = loss_of(field, generator)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 20 == 0:
            run.log(loss=float(loss.detach()))
        run.snapshot(lambda: (field_volume(field, scan.geometry, supersample=1) * support.mask).numpy())
    info = {"parameters": sum(p.numel() for p in field.parameters()), "levels": field.grid.cells, "render": params.render}
    volume = data_consistent(field_volume(field, scan.geometry) * support.mask, scan, params.refine)
    return Reconstruction(volume=volume.numpy(), info=info)
