"""Training loop of ZeroRF-DIP on the shared renderer: attenuation instead of radiance, Beer-Lambert instead of alpha."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

from benchmark.api import ConeBeamGeometry, Reconstruction, Run, Scan
from benchmark.fields import (
    LossScale,
    Measurements,
    RayBatch,
    RayLoss,
    Support,
    data_consistent,
    field_volume,
    guided_fit,
    rendering,
    variation_weight,
)

from . import ZeroRFParams
from .field import TensorialField, is_released, restored
from .losses import GridLoss, GrowingRayLoss
from .training import FineTuning, Stage, Training


class Ensemble:
    """Ensemble of fields from different frozen noise, trained one after the other; the volume is the mean of the finished fields.

    Random numbers are drawn on the CPU, so that they are the same on any device.
    """

    def __init__(self, scan: Scan, params: ZeroRFParams, seed: int, device: str = "cpu") -> None:
        self.scan, self.params, self.device = scan, params, device
        self.scale = LossScale.of(params.precision, device)
        self.generator = torch.Generator().manual_seed(seed)
        self.measurements = Measurements(scan, device)
        self.mean_attenuation = self.measurements.mean_attenuation
        self.support, self.batch = Support.of(scan, device=device), RayBatch(device)
        by_grid = params.render == "grid"
        self.loss_of: GridLoss | GrowingRayLoss = GridLoss(params, scan, device) if by_grid else GrowingRayLoss(params, self.by_rays)
        self.seeds = torch.randint(1 << 31, (params.members_for(scan.geometry.views),), generator=self.generator).tolist()
        self.generating, self.finetuning = params.steps_for(scan.geometry.views), params.finetuning_for(scan.geometry.views)  # steps
        self.steps = len(self.seeds) * (self.generating + self.finetuning)
        self.finished: list[TensorialField] = []
        self.total = torch.zeros(scan.geometry.volume_shape, dtype=torch.float32, device=device)  # of the finished ones
        self.stage: Stage = self._new_member()

    @functools.cached_property
    def by_rays(self) -> RayLoss:
        return RayLoss(self.scan, self.params, self.measurements, self.support, self.batch)

    def _new_member(self) -> Training:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seeds[len(self.finished)])
            field = TensorialField(self.params, self.scan.geometry, self.mean_attenuation).to(self.device)
            return Training(field, self.params, self.generating, self.loss_of, self.scale)

    def step(self) -> torch.Tensor:
        """Take one step of the present member; return its last loss."""
        for _ in range(self.stage.batches):
            loss = self.batch.attempt(self._backward, self.stage.rays)
            self.stage.update()
        if self.stage.taken == self.stage.steps * self.stage.batches:
            if isinstance(self.stage, Training) and self.finetuning:
                self.stage = self._fine_tuning(self.stage.mean)
            else:
                self._finish(self.stage.mean)
                if len(self.finished) < len(self.seeds):
                    self.stage = self._new_member()
        return loss

    def _fine_tuning(self, field: TensorialField) -> FineTuning:
        return FineTuning(field, self.finetuning, self.params.finetune_rays, self.by_rays, self.scale)

    def _backward(self) -> torch.Tensor:
        """Compute loss and gradients of the present member; return the loss."""
        self.stage.field.zero_grad(set_to_none=True)
        loss = self.stage.loss(self.generator)
        self.scale.backward(loss)
        return loss.detach()

    def _finish(self, field: TensorialField) -> None:
        self.finished.append(field)
        self.total = self.total + self._volume_of(field)

    def volume(self, supersample: int = 2) -> torch.Tensor:
        """Return [z, y, x] (1/mm), from the member in training as long as none is finished.

        A field fitted by rays is averaged over each voxel (supersample^3 points in it), a field fitted on the grid is sampled
        on the grid.
        """
        return self.total / len(self.finished) if self.finished else self._volume_of(self.stage.mean, supersample)

    @torch.no_grad()
    def _volume_of(self, field: TensorialField, supersample: int = 2) -> torch.Tensor:
        if self.params.render == "grid" and not field.released:
            return field.volume(self.support)
        return field_volume(field.at_points(), self.scan.geometry, supersample, device=self.device, mask=self.support.mask)

    def state_dict(self) -> dict[str, Any]:
        return {
            "finished": [field.state_dict() for field in self.finished],
            "training": self.stage.state_dict(),
            "generator": self.generator.get_state(),
            "seeds": self.seeds,
            "mean_attenuation": self.mean_attenuation,
            "support": self.support.mask,
            "scale": self.scale.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for saved in state["finished"]:
            self._finish(self._restored(saved))
        if is_released(state["training"]["mean"]):
            self.stage = self._fine_tuning(self.stage.mean)
        self.stage.load_state_dict(state["training"])
        self.generator.set_state(state["generator"])
        self.seeds = state["seeds"]
        if "scale" in state:  # checkpoints written before there was one have none
            self.scale.load_state_dict(state["scale"])

    def _restored(self, saved: dict[str, Any]) -> TensorialField:
        return restored(saved, self.params, self.scan.geometry, self.mean_attenuation).to(self.device)


def restored_field(state: dict[str, Any], params: ZeroRFParams, geometry: ConeBeamGeometry) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the field of a checkpoint: positions [M, 3] (x y z [mm]) -> mean attenuation [M] of the finished members."""
    fields = state["finished"] or [state["training"]["mean"]]
    members = [restored(saved, params, geometry, state["mean_attenuation"]).at_points() for saved in fields]
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
        run.snapshot(lambda: ensemble.volume(supersample=1).cpu().numpy())
    volume = ensemble.volume()
    tamed = ensemble.loss_of.misfit.tamed(scan, volume)
    volume = guided_fit(data_consistent(volume, tamed, params.refine), tamed, guided, run)
    parameters = sum(p.numel() for p in ensemble.stage.field.parameters())
    info = {
        "parameters": parameters,
        "members": max(1, len(ensemble.finished)),
        "steps": ensemble.generating,
        "finetune": ensemble.finetuning,
        "render": render,
        "tv": tv,
        "guided": guided,
        "weighting": ensemble.loss_of.weighting.by,
        "memory": ensemble.batch.notes,
        **ensemble.scale.notes(),
    }
    return Reconstruction(volume=volume.cpu().numpy(), info=info)
