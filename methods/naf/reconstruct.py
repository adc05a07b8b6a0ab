"""Training loop of NAF (Zha et al. 2022, sections 2.2 and 2.3), on the shared renderer and field kernels."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from benchmark.api import ConeBeamGeometry, Projector, Reconstruction, Run, Scan, on_finer_grid, to_device
from benchmark.fields import (
    MLP,
    Attenuation,
    HashGrid,
    LossScale,
    Measurements,
    Misfit,
    RayBatch,
    RayLoss,
    Support,
    TinyCudaField,
    Variation,
    Weighting,
    data_consistent,
    field_volume,
    grown,
    products_in,
    rendering,
    tiny_cuda_name,
    variation_weight,
    voxel_positions,
)

from . import NafParams


class AttenuationField(nn.Module):
    """Field of NAF: positions [M, 3] (x y z [mm]) -> attenuation [M] (1/mm)."""

    lower: torch.Tensor  # [3] corner of the box [mm]
    extent: torch.Tensor  # [3]

    def __init__(self, params: NafParams, geometry: ConeBeamGeometry, mean: float, generator: torch.Generator, device: str = "cpu") -> None:
        super().__init__()
        lower, upper = torch.tensor(geometry.volume_bounds, dtype=torch.float32)
        self.register_buffer("lower", lower, persistent=False)
        self.register_buffer("extent", upper - lower, persistent=False)
        finest = max(params.finest or max(geometry.volume_shape), params.base)
        levels = params.levels or 1 + max(0, round(math.log2(finest / params.base)))
        sizes: dict[str, int] = {"levels": levels, "base": params.base, "finest": finest, "log2_entries": params.log2_entries}
        self.fused: TinyCudaField | None = None
        self.precision = params.precision
        if params.engine == "tinycudann":
            how = {"hidden": params.hidden, "layers": params.layers, "seed": generator.initial_seed()}
            self.fused = TinyCudaField(**sizes, **how, device=device)
        else:
            self.grid = HashGrid(**sizes, generator=generator)
            self.network = MLP(self.grid.out_features, hidden=params.hidden, layers=params.layers, skip=params.skip, generator=generator)
        self.attenuation = Attenuation(params.activation, mean)

    def forward(self, positions: torch.Tensor) -> torch.Tensor:
        points = (positions - self.lower) / self.extent
        return self.attenuation((self.fused(points) if self.fused else self._native(points))[:, 0])

    def _native(self, points: torch.Tensor) -> torch.Tensor:
        """Evaluate points in the unit cube [M, 3] -> float32 [M, 1]; the network's products are in the requested precision."""
        features = self.grid(points)
        with products_in(self.precision, points.device):
            return self.network(features).float()


class GridLoss:
    """Loss of whole random views of the field on the voxel grid, jittered within the voxels."""

    def __init__(self, params: NafParams, scan: Scan, device: str) -> None:
        self.projector = Projector(scan.geometry)
        self.values, self.geometry, self.device = torch.tensor(scan.projections, device=device), scan.geometry, device
        self.weighting, self.misfit = Weighting(scan, params.weighting), Misfit(scan, params)
        self.variation = Variation(scan, params.tv, self.values.numel(), device) if params.tv else None

    def __call__(self, field: AttenuationField, count: int, generator: torch.Generator) -> torch.Tensor:
        """Return the loss of `count` views, or all if there are fewer."""
        shift = (torch.rand(3, dtype=torch.float32, generator=generator) - 0.5).tolist()
        volume = field(voxel_positions(self.geometry, tuple(shift), self.device)).view(self.geometry.volume_shape)
        chosen = torch.randperm(self.geometry.views, generator=generator)[:count].sort().values
        rendered = self.projector.subset(chosen.numpy()).forward(volume)
        loss = self.misfit(self.weighting.residual(rendered, self.values[to_device(chosen, self.device)]))
        return loss + self.variation.of_volume(volume) if self.variation else loss


class Training:
    """Training of the field: optimiser and schedule. Random numbers are drawn on the CPU, so that they are the same on any device."""

    def __init__(self, scan: Scan, params: NafParams, seed: int, device: str = "cpu") -> None:
        self.scan, self.params, self.device, self.taken = scan, params, device, 0
        self.scale = LossScale.of(params.precision, device)
        self.steps = params.steps_for(scan.geometry.views)
        self.generator = torch.Generator().manual_seed(seed)
        measurements, self.support = Measurements(scan, device), Support.of(scan, device=device)
        self.field = AttenuationField(params, scan.geometry, measurements.mean_attenuation, self.generator, device).to(device)
        self.batch = RayBatch(device)
        self.by_rays = params.render == "rays"
        self.loss_of = RayLoss(scan, params, measurements, self.support, self.batch) if self.by_rays else GridLoss(params, scan, device)
        self.optimiser = torch.optim.Adam(self.field.parameters(), lr=params.learning_rate, betas=(0.9, 0.99), fused=True)

    @property
    def count(self) -> int:
        """Number of rays, or of views, of the next step."""
        first, last = (self.params.rays, self.params.rays_end) if self.by_rays else (self.params.views, self.params.views_end)
        return grown(first, last or first, self.params.growth, self.taken)

    def step(self) -> torch.Tensor:
        """Take one optimiser step; return its loss."""
        self.optimiser.param_groups[0]["lr"] = self.params.learning_rate * self.params.decay ** (self.taken / self.steps)
        loss = self.batch.attempt(self._backward, self.count if self.by_rays else 0)
        self.scale.unscale([self.optimiser])
        self.scale.step([self.optimiser])
        self.taken += 1
        return loss

    def _backward(self) -> torch.Tensor:
        """Compute loss and gradients of new random rays or views; return the loss."""
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.loss_of(self.field, self.count, self.generator)
        self.scale.backward(loss)
        return loss.detach()

    def volume(self, supersample: int = 2) -> torch.Tensor:
        """Return [z, y, x] (1/mm): the field's mean over each voxel."""
        return field_volume(self.field, self.scan.geometry, supersample, device=self.device, mask=self.support.mask)

    def state_dict(self) -> dict[str, Any]:
        return {
            "field": self.field.state_dict(),
            "mean_attenuation": self.field.attenuation.mean,
            "optimiser": self.optimiser.state_dict(),
            "taken": self.taken,
            "generator": self.generator.get_state(),
            "support": self.support.mask,
            "scale": self.scale.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.field.load_state_dict(state["field"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        self.taken = state["taken"]
        if "scale" in state:  # checkpoints written before there was one have none
            self.scale.load_state_dict(state["scale"])


def restored_field(state: dict[str, Any], params: NafParams, geometry: ConeBeamGeometry) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the field of a checkpoint: positions [M, 3] (x y z [mm]) -> attenuation [M]."""
    field = AttenuationField(params, geometry, state["mean_attenuation"], torch.Generator())
    field.load_state_dict(state["field"])
    support = Support(state["support"])
    return lambda positions: field(positions) * support.at((positions - field.lower) / field.extent)


def reconstruct(scan: Scan, params: NafParams, run: Run) -> Reconstruction:
    """Fit the field to the scan, sampled on its voxels or on finer ones."""
    return on_finer_grid(fitted, scan, params, run) if params.fine else fitted(scan, params, run)


def fitted(scan: Scan, params: NafParams, run: Run) -> Reconstruction:
    """Fit the field to the scan; the volume is its mean over each voxel, made consistent with the data."""
    tv = variation_weight(params.tv, scan, run)
    render = rendering(scan, params.render)
    training = Training(scan, params.model_copy(update={"tv": tv, "render": render}), run.seed, run.device)
    for step in run.steps(training.steps, training):
        loss = training.step()
        if step % 20 == 0:
            run.log(loss=loss)
        run.snapshot(lambda: training.volume(supersample=1).cpu().numpy())
    parameters = sum(p.numel() for p in training.field.parameters())
    info = {
        "parameters": parameters,
        "levels": (training.field.fused or training.field.grid).cells,
        "render": render,
        "tv": tv,
        "weighting": training.loss_of.weighting.by,
        "memory": training.batch.notes,
        **training.scale.notes(),
    }
    engine = tiny_cuda_name() if params.engine == "tinycudann" else "native"
    volume = training.volume()
    volume = data_consistent(volume, training.loss_of.misfit.tamed(scan, volume), params.refine)
    return Reconstruction(volume=volume.cpu().numpy(), engine=engine, info=info)
