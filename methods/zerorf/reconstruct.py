"""The training loop of ZeroRF-DIP on the shared renderer: attenuation instead of radiance, Beer-Lambert instead of alpha."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from benchmark.api import ConeBeamGeometry, Reconstruction, Run, Scan
from benchmark.fields import (
    MLP,
    Attenuation,
    LossScale,
    Measurements,
    Muon,
    RayBatch,
    RayLoss,
    Support,
    data_consistent,
    field_volume,
    guided_fit,
    rendering,
    variation_weight,
)
from methods.zerorf import ZeroRFParams
from methods.zerorf.generator import new_generator
from methods.zerorf.losses import GridLoss, GrowingRayLoss


class TensorialField(nn.Module):
    """Generator, features of its tensors, network and activation: attenuation (1/mm) on a grid or at points."""

    lower: torch.Tensor  # [3] corner of the box, x y z [mm]
    extent: torch.Tensor  # [3]

    def __init__(self, params: ZeroRFParams, geometry: ConeBeamGeometry, mean: float) -> None:
        super().__init__()
        self.generator = new_generator(params, geometry)
        self.summed, self.bias = params.reduction == "sum", params.bias
        self.network = MLP(params.features * (1 if self.summed else self.generator.groups), hidden=params.hidden, layers=params.layers)
        self.attenuation = Attenuation(params.activation, mean)
        lower, upper = torch.tensor(geometry.volume_bounds, dtype=torch.float32)
        self.register_buffer("lower", lower, persistent=False)
        self.register_buffer("extent", upper - lower, persistent=False)

    def volume(self, support: Support) -> torch.Tensor:
        """[z, y, x] over the whole box at the support's resolution, 0 outside of it."""
        return support.fill(self._density(self.generator.at_voxels(support)))

    def at_points(self) -> Callable[[torch.Tensor], torch.Tensor]:
        """A function from positions [M, 3] (x y z [mm]) to attenuation [M]; the tensors are generated once."""
        features = self.generator.encoder()
        return lambda positions: self._density(features((positions - self.lower) / self.extent))

    def _density(self, features: torch.Tensor) -> torch.Tensor:
        """Features [M, groups * features] -> attenuation [M]."""
        if self.summed:
            features = features.t().unflatten(0, (self.generator.groups, -1)).sum(0).t()
        return self.attenuation(self.network(features)[:, 0] + self.bias)


class Training:
    """Optimisers, their schedule and the running mean of the weights; `scale` is that of the loss."""

    def __init__(self, field: TensorialField, params: ZeroRFParams, scale: LossScale) -> None:
        self.field, self.params, self.scale, self.taken = field, params, scale, 0
        self.mean = copy.deepcopy(field)
        matrices = [p for p in field.parameters() if p.ndim >= 2 and params.muon]
        others = [p for p in field.parameters() if p.ndim < 2 or not params.muon]
        self.optimisers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(others, lr=params.learning_rate, betas=(0.9, 0.98), weight_decay=params.weight_decay, fused=True)
        ]
        if matrices:
            self.optimisers.append(Muon(matrices, lr=params.muon))
        self.rates = [optimiser.param_groups[0]["lr"] for optimiser in self.optimisers]

    def _set_rates(self) -> None:
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, self.taken / self.params.steps)))
        for optimiser, rate in zip(self.optimisers, self.rates, strict=True):
            optimiser.param_groups[0]["lr"] = rate * (self.params.decay + (1 - self.params.decay) * cosine)

    def step(self) -> None:
        """Use the gradients that the field has now."""
        self.scale.unscale(self.optimisers)
        nn.utils.clip_grad_norm_(self.field.parameters(), self.params.clip)
        self._set_rates()
        self.scale.step(self.optimisers)
        self.taken += 1
        keep = min(self.params.average, self.taken / (9 + self.taken))  # short memory at first
        with torch.no_grad():
            for mean, now in zip(self.mean.parameters(), self.field.parameters(), strict=True):
                mean.lerp_(now, 1 - keep)

    def state_dict(self) -> dict[str, Any]:
        optimisers = [optimiser.state_dict() for optimiser in self.optimisers]
        return {"field": self.field.state_dict(), "mean": self.mean.state_dict(), "optimisers": optimisers, "taken": self.taken}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.field.load_state_dict(state["field"])
        self.mean.load_state_dict(state["mean"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.taken = state["taken"]


class Ensemble:
    """Fields from different frozen noise, trained one after the other; the volume is the mean of those that are finished.

    Random numbers are drawn on the CPU, so that they are the same on any device.
    """

    def __init__(self, scan: Scan, params: ZeroRFParams, seed: int, device: str = "cpu") -> None:
        self.scan, self.params, self.device = scan, params, device
        self.scale = LossScale.of(params.precision, device)
        self.generator = torch.Generator().manual_seed(seed)
        measurements = Measurements(scan, device)
        self.mean_attenuation = measurements.mean_attenuation
        self.support, self.batch = Support.of(scan, device=device), RayBatch(device)
        if params.render == "grid":
            self.loss_of: GridLoss | GrowingRayLoss = GridLoss(params, scan, device)
        else:
            self.loss_of = GrowingRayLoss(params, RayLoss(scan, params, measurements, self.support, self.batch))
        self.seeds = torch.randint(1 << 31, (params.members_for(scan.geometry.views),), generator=self.generator).tolist()
        self.steps = len(self.seeds) * params.steps
        self.finished: list[TensorialField] = []
        self.total = torch.zeros(scan.geometry.volume_shape, device=device)  # of the finished ones
        self.training = self._new_member()

    def _new_member(self) -> Training:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seeds[len(self.finished)])
            return Training(self._new_field(), self.params, self.scale)

    def _new_field(self) -> TensorialField:
        return TensorialField(self.params, self.scan.geometry, self.mean_attenuation).to(self.device)

    def step(self) -> torch.Tensor:
        """One optimiser step of the present member; its loss."""
        loss = self.batch.attempt(self._backward, self.loss_of.rays_at(self.training.taken))
        self.training.step()
        if self.training.taken == self.params.steps:
            self._finish(self.training.mean)
            if len(self.finished) < len(self.seeds):
                self.training = self._new_member()
        return loss

    def _backward(self) -> torch.Tensor:
        """Loss and gradients of the present member."""
        self.training.field.zero_grad(set_to_none=True)
        loss = self.loss_of(self.training.field, self.training.taken, self.generator)
        self.scale.backward(loss)
        return loss.detach()

    def _finish(self, field: TensorialField) -> None:
        self.finished.append(field)
        self.total = self.total + self._volume_of(field)

    def volume(self) -> torch.Tensor:
        """[z, y, x] (1/mm); of the member in training as long as none is finished."""
        return self.total / len(self.finished) if self.finished else self._volume_of(self.training.mean)

    @torch.no_grad()
    def _volume_of(self, field: TensorialField) -> torch.Tensor:
        if self.params.render == "grid":
            return field.volume(self.support)
        return field_volume(field.at_points(), self.scan.geometry, device=self.device) * self.support.mask

    def state_dict(self) -> dict[str, Any]:
        return {
            "finished": [field.state_dict() for field in self.finished],
            "training": self.training.state_dict(),
            "generator": self.generator.get_state(),
            "seeds": self.seeds,
            "mean_attenuation": self.mean_attenuation,
            "support": self.support.mask,
            "scale": self.scale.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for saved in state["finished"]:
            field = self._new_field()
            field.load_state_dict(saved)
            self._finish(field)
        self.training.load_state_dict(state["training"])
        self.generator.set_state(state["generator"])
        self.seeds = state["seeds"]
        if "scale" in state:  # checkpoints written before there was one have none
            self.scale.load_state_dict(state["scale"])


def restored_field(state: dict[str, Any], params: ZeroRFParams, geometry: ConeBeamGeometry) -> Callable[[torch.Tensor], torch.Tensor]:
    """The field of a checkpoint: positions [M, 3] (x y z [mm]) -> mean attenuation [M] of the members that were finished."""
    members = []
    for saved in state["finished"] or [state["training"]["mean"]]:
        member = TensorialField(params, geometry, state["mean_attenuation"])
        member.load_state_dict(saved)
        members.append(member.at_points())
    support = Support(state["support"])
    lower, upper = torch.tensor(geometry.volume_bounds, dtype=torch.float32)

    def field(positions: torch.Tensor) -> torch.Tensor:
        return sum(member(positions) for member in members) / len(members) * support.at((positions - lower) / (upper - lower))

    return field


def reconstruct(scan: Scan, params: ZeroRFParams, run: Run) -> Reconstruction:
    """Fit each member's generator to the scan; the volume is the mean of their fields, made consistent with the data."""
    tv, guided = variation_weight(params.tv, scan, run), variation_weight(params.guided, scan, run)
    render = rendering(scan, params.render)
    ensemble = Ensemble(scan, params.model_copy(update={"tv": tv, "render": render}), run.seed, run.device)
    for step in run.steps(ensemble.steps, ensemble):
        loss = ensemble.step()
        if step % 5 == 0:
            run.log(loss=loss)
        run.snapshot(lambda: ensemble.volume().cpu().numpy())
    volume = guided_fit(data_consistent(ensemble.volume(), scan, params.refine), scan, guided, run)
    parameters = sum(p.numel() for p in ensemble.training.field.parameters())
    info = {
        "parameters": parameters,
        "members": max(1, len(ensemble.finished)),
        "render": render,
        "tv": tv,
        "guided": guided,
        "weighting": ensemble.loss_of.weighting.by,
        "memory": ensemble.batch.notes,
        **ensemble.scale.notes(),
    }
    return Reconstruction(volume=volume.cpu().numpy(), info=info)
