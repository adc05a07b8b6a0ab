"""Training loop of the Gaussian mixture (Zha et al. 2024, section 4), on closed-form projections."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, SupportsFloat

import torch

from benchmark.api import FINE, ConeBeamGeometry, Reconstruction, Run, Scan, maximum_positions, scan_noise, to_device
from benchmark.fields import Measurements, Mixture, data_consistent_finer, ramp_filtered, ssim, total_variation

from . import GaussiansParams
from .density import Population
from .field import MixtureField
from .start import continued, start_mixture

TV_TIMES_VIEWS, TV_OF_NOISE = 0.25, 520.0
FINER = 2  # times the resolution of the volume: the mixture is sampled, and corrected, on that grid before it is averaged
TERMS = {"scale": "scale_reg"}  # names in the log that differ
REFINE, QUIET = 80, 0.005  # corrections by the data, as long as their noise is less than this part of the mean projection


def relative_noise(scan: Scan) -> float:
    """Return the standard deviation of a typical pixel's noise over the mean projection, from the scan alone."""
    return scan_noise(scan) / max(abs(float(scan.projections.mean())), 1e-12)


def usual_tv(scan: Scan) -> float:
    """Return the weight of the total variation, from the scan alone.

    The residual is a mean over views: its sum grows with their number, the prior on volumes does not. The variance of the noise
    lowers the weight of the data.
    """
    return (TV_TIMES_VIEWS + TV_OF_NOISE * relative_noise(scan) ** 2) / scan.geometry.views


def usual_refine(scan: Scan) -> int:
    """Return the number of final corrections by the data: fewer with more noise, and none for maxima."""
    if scan.composite != "sum":
        return 0
    return round(REFINE * min(1.0, (QUIET / max(relative_noise(scan), 1e-12)) ** 2))


class Objective:
    """Training objective: residual and SSIM of random views, total variation of a random block, and the Gaussians' size.

    All terms are relative to the scan's scale. Views are line integrals of the sum of the Gaussians, or maxima of their soft maximum.
    """

    def __init__(self, scan: Scan, params: GaussiansParams, mean_attenuation: float, device: str) -> None:
        self.params, self.geometry, self.values = params, scan.geometry, torch.tensor(scan.projections, device=device)
        self.range = max(float(self.values.max()), 1e-12)
        self.field = MixtureField(scan.composite, params.temperature * self.range, params.cutoff)
        self.projector = self.field.projector(scan.geometry, device)
        level = float(self.values.mean() if params.loss == "l1" else self.values.square().mean())
        self.level = max(abs(level), 1e-12)
        self.sharpen = params.sharpen if scan.composite == "sum" else 0.0  # an error of a maximum has no frequencies of its own
        self.edge = math.prod(scan.geometry.volume_spacing) ** (1 / 3)
        self.spacing = [length / self.edge for length in scan.geometry.volume_spacing]
        self.attenuation = mean_attenuation
        self.positions, self.maxima = (torch.tensor(array, device=device) for array in maximum_positions(scan))  # of known depth
        self.tv = usual_tv(scan) if params.tv is None else params.tv

    def __call__(self, mixture: Mixture, step: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Return the weighted terms by name; the loss is their sum."""
        chosen = torch.randperm(self.geometry.views, generator=generator)[: self.params.views].sort().values
        rendered, values = self.projector(mixture, chosen.tolist()), self.values[to_device(chosen, self.values.device)]
        residual = ramp_filtered(rendered - values, self.sharpen * (1 - step / self.params.steps))
        terms: dict[str, torch.Tensor] = {}
        terms[self.params.loss] = (residual.abs() if self.params.loss == "l1" else residual.square()).mean() / self.level
        if self.params.ssim:
            terms["ssim"] = self.params.ssim * (1 - ssim(rendered, values, self.range))
        if self.tv and min(self.geometry.volume_shape) > 1:
            terms["tv"] = self.tv * self._variation(mixture, generator)
        if self.params.depth and len(self.maxima):
            terms["depth"] = self.params.depth * self._depth(mixture, generator)
        if self.params.scale:
            terms["scale"] = self.params.scale * mixture.log_scales.exp().mean() / self.edge
        return terms

    def _depth(self, mixture: Mixture, generator: torch.Generator) -> torch.Tensor:
        """Return the mean difference of the field at the depths of random maxima from these, relative to their mean."""
        drawn = to_device(torch.randint(len(self.maxima), (self.params.depth_points,), generator=generator), self.maxima.device)
        found, wanted = self.field.at_depths(mixture, self.positions[drawn]), self.maxima[drawn]
        return (found - wanted).abs().mean() / self.maxima.mean()

    def _variation(self, mixture: Mixture, generator: torch.Generator) -> torch.Tensor:
        """Return the total variation relative to the mean attenuation over one voxel."""
        starts = [int(torch.randint(max(1, n - self.params.tv_block + 1), (), generator=generator)) for n in self.geometry.volume_shape]
        z, y, x = (slice(start, start + self.params.tv_block) for start in starts)
        return total_variation(self.field.volume(mixture, self.geometry, block=(z, y, x)), self.spacing) / self.attenuation


class Training:
    """Training of the mixture by its objective, with rounds of density control."""

    def __init__(self, scan: Scan, params: GaussiansParams, seed: int, device: str = "cpu", weights: dict[str, Any] | None = None) -> None:
        self.scan, self.params = scan, params
        self.generator = torch.Generator().manual_seed(seed)
        mean = Measurements(scan, device).mean_attenuation
        if weights is None:
            mixture, self.start = start_mixture(scan, params, self.generator, device)
        else:
            mixture, self.start = continued(weights, scan, params, device), "weights"
        self.objective = Objective(scan, params, mean, device)
        bounds = torch.tensor(scan.geometry.volume_bounds, dtype=torch.float32, device=device)
        self.population = Population(mixture, params, bounds, self.objective.edge, mean, scan.composite)

    def step(self) -> dict[str, torch.Tensor]:
        """Take one optimiser step, after a round of density control if due; return its loss and the terms of the loss."""
        taken = self.population.taken
        if taken and taken % self.params.every == 0 and taken <= self.params.until * self.params.steps:
            self.population.control(self.generator)
        terms = self.objective(self.population.mixture, taken, self.generator)
        loss = torch.stack(list(terms.values())).sum()
        self.population.step(loss)
        return {name: term.detach() for name, term in {"loss": loss, **terms}.items()}

    @torch.no_grad()
    def volume(self, geometry: ConeBeamGeometry) -> torch.Tensor:
        """Return [z, y, x] (1/mm): the field at the voxel centres of a geometry."""
        return self.objective.field.exact().volume(self.population.mixture, geometry)

    def state_dict(self) -> dict[str, Any]:
        field = self.objective.field
        kind = {"composite": field.composite, "temperature": field.temperature}
        return {"population": self.population.state_dict(), "generator": self.generator.get_state(), "field": kind}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.population.load_state_dict(state["population"])
        self.generator.set_state(state["generator"])


def shown(terms: Mapping[str, torch.Tensor], params: GaussiansParams) -> dict[str, SupportsFloat]:
    """Return the terms of the loss by the names under which they are logged; those that are off are 0."""
    return {
        f"loss/{TERMS.get(name, name)}": terms.get(name, 0.0) for name in (params.loss, "ssim", "tv", "scale", *({"depth"} & set(terms)))
    }


def restored_field(state: dict[str, Any], params: GaussiansParams, geometry: ConeBeamGeometry) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the field of a checkpoint: positions [M, 3] (x y z [mm]) -> attenuation [M]."""
    mixture, field = Mixture(*state["population"]["mixture"]), MixtureField(**state["field"]).exact()
    return lambda positions: field.at(mixture, positions)


def train(training: Training, run: Run) -> None:
    """Take the steps of a training, with its log, snapshots and checkpoints."""
    for step in run.steps(training.params.steps, training):
        terms = training.step()
        if step % 20 == 0:
            run.log(loss=terms.pop("loss"), **shown(terms, training.params), gaussians=training.population.mixture.size)
        run.snapshot(lambda: training.volume(training.scan.geometry).cpu().numpy())


def fit(scans: Sequence[Scan], params: GaussiansParams, run: Run) -> dict[str, Any]:
    """Fit a mixture to the scans in turn, each from where the one before it ended, such as the frames of a time series."""
    state: dict[str, Any] | None = None
    for scan in scans:
        training = Training(scan, params, run.seed, run.device, state)
        train(training, run)
        state = training.state_dict()
    assert state is not None
    return state


def reconstruct(scan: Scan, params: GaussiansParams, run: Run) -> Reconstruction:
    """Fit the mixture to the scan; the volume is its mean over each voxel, made consistent with the data."""
    training = Training(scan, params, run.seed, run.device, run.weights)
    train(training, run)
    count = training.population.mixture.size
    refine = usual_refine(scan) if params.refine is None else params.refine
    info = {"gaussians": count, "parameters": 11 * count, "start": training.start, "tv": training.objective.tv, "refine": refine}
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in training.population.mixture._asdict().items()}
    fine = data_consistent_finer(training.volume, scan, refine, FINER)
    arrays |= {FINE: fine.cpu().numpy()} if params.fine else {}
    volume = torch.nn.functional.avg_pool3d(fine[None, None], FINER)[0, 0]
    return Reconstruction(volume=volume.cpu().numpy(), info=info, arrays=arrays)
