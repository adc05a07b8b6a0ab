"""The training loop of ZeroRF-DIP on the shared renderer: attenuation instead of radiance, Beer-Lambert instead of alpha."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from torch import nn

from benchmark.api import ConeBeamGeometry, Projector, Reconstruction, Run, Scan, line_integral
from benchmark.fields import MLP, Attenuation, Measurements, Muon, data_consistent, field_volume, ramp_filtered, vm_encode, vm_grid
from methods.zerorf import ZeroRFParams
from methods.zerorf.generator import Generator, line_shapes, plane_shapes, resampled


class TensorialField(nn.Module):
    """Generator, vector-matrix features, network and activation: attenuation (1/mm) on a grid or at points."""

    def __init__(self, params: ZeroRFParams, geometry: ConeBeamGeometry, mean: float) -> None:
        super().__init__()
        self.generator = Generator(params, geometry.volume_shape)
        self.network = MLP(3 * params.features, hidden=params.hidden, layers=params.layers)
        self.attenuation = Attenuation(params.activation, mean)
        lower, upper = torch.tensor(geometry.volume_bounds, dtype=torch.float32)
        self.lower, self.extent = lower, upper - lower

    def volume(self, shape: tuple[int, int, int]) -> torch.Tensor:
        """[z, y, x] over the whole box at any resolution."""
        planes, lines = self.generator()
        planes = [resampled(plane, target) for plane, target in zip(planes, plane_shapes(shape), strict=True)]
        lines = [resampled(line, target) for line, target in zip(lines, line_shapes(shape), strict=True)]
        return self.attenuation(self.network(vm_grid(planes, lines))[:, 0]).view(shape)

    def at_points(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """A function from positions [M, 3] (x y z [mm]) to attenuation [M]; planes and lines are generated once."""
        planes, lines = self.generator()

        def field(positions: torch.Tensor) -> torch.Tensor:
            return self.attenuation(self.network(vm_encode((positions - self.lower) / self.extent, planes, lines))[:, 0])

        return field


class GridLoss:
    """Mean squared residual of whole views of the field on the voxel grid, at half resolution first; relative to the data."""

    def __init__(self, params: ZeroRFParams, scan: Scan) -> None:
        self.params, self.first_fine = params, round(params.coarse * params.steps)
        values = torch.tensor(scan.projections)
        self.scale = 1 / max(float(values.square().mean()), 1e-12)
        self.fine = Projector(scan.geometry), values
        self.coarse = self.fine
        if self.first_fine and min(scan.geometry.detector_shape) >= 2:
            z, y, x = (-(-n // 2) for n in scan.geometry.volume_shape)
            half = scan.geometry.binned(2).with_volume((z, y, x))
            self.coarse = Projector(half), nn.functional.avg_pool2d(values, 2)

    def __call__(self, field: TensorialField, step: int, generator: torch.Generator) -> torch.Tensor:
        projector, values = self.coarse if step < self.first_fine else self.fine
        volume = field.volume(projector.geometry.volume_shape)
        views = projector.geometry.views
        if self.params.views is not None and self.params.views < views:
            chosen = torch.randperm(views, generator=generator)[: self.params.views].sort().values
            projector, values = projector.subset(chosen.numpy()), values[chosen]
        power = self.params.sharpen * (1 - step / self.params.steps)  # the plain residual has the last word
        return ramp_filtered(projector.forward(volume) - values, power).square().mean() * self.scale


class RayLoss:
    """Mean squared residual of random rays, more of them as training goes on (Shi et al. 2024: x4 twice, at steps 50 and 100)."""

    def __init__(self, params: ZeroRFParams, scan: Scan, measurements: Measurements) -> None:
        self.measurements, self.bounds = measurements, scan.geometry.volume_bounds
        self.counts = (params.rays, round(math.sqrt(params.rays * params.rays_end)), params.rays_end)
        self.samples = params.samples or math.ceil(1.5 * max(scan.geometry.volume_shape))
        self.scale = 1 / max(float(measurements.values.square().mean()), 1e-12)

    def __call__(self, field: TensorialField, step: int, generator: torch.Generator) -> torch.Tensor:
        rays, values = self.measurements.draw(self.counts[(step >= 50) + (step >= 100)], generator)
        rendered = line_integral(field.at_points(), rays, self.bounds, samples=self.samples, jitter=generator)
        return (rendered - values).square().mean() * self.scale


class Training:
    """Optimisers, their schedule and the running mean of the weights."""

    def __init__(self, field: TensorialField, params: ZeroRFParams) -> None:
        self.field, self.params, self.taken = field, params, 0
        self.mean = copy.deepcopy(field)
        matrices = [p for p in field.parameters() if p.ndim >= 2 and params.muon]
        others = [p for p in field.parameters() if p.ndim < 2 or not params.muon]
        self.optimisers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(others, lr=params.learning_rate, betas=(0.9, 0.98), weight_decay=params.weight_decay, fused=True)
        ]
        if matrices:
            self.optimisers.append(Muon(matrices, lr=params.muon))
        self.schedules = [torch.optim.lr_scheduler.LambdaLR(o, self._rate) for o in self.optimisers]

    def _rate(self, step: int) -> float:
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.params.steps)))
        return self.params.decay + (1 - self.params.decay) * cosine

    def step(self, loss: torch.Tensor) -> None:
        self.field.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.field.parameters(), self.params.clip)
        for optimiser, schedule in zip(self.optimisers, self.schedules, strict=True):
            optimiser.step()
            schedule.step()
        self.taken += 1
        keep = min(self.params.average, self.taken / (9 + self.taken))  # short memory at first
        with torch.no_grad():
            for mean, now in zip(self.mean.parameters(), self.field.parameters(), strict=True):
                mean.lerp_(now, 1 - keep)


class Member:
    """One field, its training and its volume."""

    def __init__(self, scan: Scan, params: ZeroRFParams, mean: float, seed: int) -> None:
        self.scan, self.params = scan, params
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.field = TensorialField(params, scan.geometry, mean)
        self.training = Training(self.field, params)

    @torch.no_grad()
    def volume(self) -> torch.Tensor:
        if self.params.render == "grid":
            return self.training.mean.volume(self.scan.geometry.volume_shape)
        return field_volume(self.training.mean.at_points(), self.scan.geometry)


def reconstruct(scan: Scan, params: ZeroRFParams, run: Run) -> Reconstruction:
    """Fit each member's generator to the scan; the volume is the mean of their fields, made consistent with the data."""
    generator = torch.Generator().manual_seed(run.seed)
    measurements = Measurements(scan)
    loss_of = GridLoss(params, scan) if params.render == "grid" else RayLoss(params, scan, measurements)
    seeds = torch.randint(1 << 31, (params.members,), generator=generator).tolist()
    member, total, finished = Member(scan, params, measurements.mean_attenuation, seeds[0]), torch.zeros(scan.geometry.volume_shape), 0

    def mean_volume() -> torch.Tensor:
        """Of the finished members; of the only one there is, before."""
        return total / finished if finished else member.volume()

    for step in run.steps(params.members * params.steps):
        loss = loss_of(member.field, step % params.steps, generator)
        member.training.step(loss)
        if step % 5 == 0:
            run.log(loss=float(loss.detach()))
        if member.training.taken == params.steps:
            total, finished = total + member.volume(), finished + 1
            if finished < params.members:
                member = Member(scan, params, measurements.mean_attenuation, seeds[finished])
        run.snapshot(lambda: mean_volume().numpy())
    info = {"parameters": sum(p.numel() for p in member.field.parameters()), "members": max(1, finished), "render": params.render}
    return Reconstruction(volume=data_consistent(mean_volume(), scan, params.refine).numpy(), info=info)
