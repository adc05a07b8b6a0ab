"""Carving of one scan: as a deep prior with networks trained on that scan, or with pretrained networks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from benchmark.api import ConeBeamGeometry, Reconstruction, Run, Scan
from benchmark.fields import Mixture, Splats, Support, data_consistent, mixture_values, voxelise

from . import CarveParams
from .attenuation import attenuating
from .colour import COLOURS, ColourCarving, coloured, extinction
from .fit import example_of, load_fitted
from .hull import Carving, alone, carving_geometry, hull
from .network import Carved, Carver
from .training import Training

REFINE = 50  # corrections after a fit to the scan itself


class Fit:
    """A scan in training, its Gaussians and its volume."""

    def __init__(self, scan: Scan, params: CarveParams, seed: int, device: str = "cpu") -> None:
        self.scan, self.example = scan, example_of(scan, scan, params, device)
        self.training = Training([self.example], params, seed, device)
        self.support = hull(scan, params.threshold, device)

    def gaussians(self) -> Found:
        """Return the Gaussians from the networks in their present state."""
        return found(self.training.carver, self.example.carving)

    def volume(self, supersample: int = 2) -> torch.Tensor:
        """Return [z, y, x] (1/mm): the mean of attenuation or extinction over each voxel of the hull."""
        return voxelise(as_mixture(self.gaussians().gaussians), self.scan.geometry, supersample=supersample) * self.support.mask

    def state_dict(self) -> dict[str, Any]:
        return self.training.state_dict() | {"support": self.support.mask}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.training.load_state_dict(state)


class Found(NamedTuple):
    """Gaussians that a carving has become, and the networks' numbers of each voxel, [K, features]."""

    gaussians: Mixture | Splats
    latent: torch.Tensor


@torch.no_grad()
def found(carver: Carver, carving: Carved) -> Found:
    """Return the Gaussians of a carving after pruning. Raise InputError if none is left."""
    shapes = carver.eval()(carving)
    if isinstance(carving, ColourCarving):
        shapes = shapes.strongest(torch.sigmoid(shapes.level), carver.params.prune, carver.params)
        return Found(coloured(shapes), shapes.features)
    assert isinstance(carving, Carving)
    shapes = shapes.strongest(F.softplus(shapes.level), carver.params.prune, carver.params)
    return Found(attenuating(shapes, carving.mean, carver.params), shapes.features)


def as_mixture(gaussians: Mixture | Splats) -> Mixture:
    """Return the mixture that a volume samples."""
    return extinction(gaussians) if isinstance(gaussians, Splats) else gaussians


def reconstruct(scan: Scan, params: CarveParams, run: Run) -> Reconstruction:
    """Train the networks on the scan, unless weights are given; the volume is the Gaussians' mean over each voxel.

    The volume is made consistent with line integrals.
    """
    if not scan.projections.max() > 0 and scan.composite == "sum":  # air
        return Reconstruction(np.zeros(scan.geometry.volume_shape, np.float32), info={"gaussians": 0})
    scan = alone(scan)
    fit = Fit(scan, params, run.seed, run.device)
    if run.weights is not None:
        load_fitted(fit.training.carver, run.weights, params)
    for step in run.steps(params.steps if run.weights is None else 0, fit):
        loss, count = fit.training.step()
        if step % 10 == 0:
            run.log(loss=loss, gaussians=count)
        run.snapshot(lambda: fit.volume(supersample=1).cpu().numpy())
    (gaussians, latent), volume = fit.gaussians(), fit.volume()
    if scan.composite == "sum":
        corrections = (REFINE if run.weights is None else 0) if params.refine is None else params.refine
        volume = data_consistent(volume, scan, corrections)
    info = {
        "gaussians": len(gaussians.means),
        "hull": float(fit.example.carving.mask.float().mean()),
        "carving_grid": list(fit.example.carving.mask.shape),
        "parameters": sum(tensor.numel() for tensor in fit.training.carver.parameters()),
    }
    if fit.training.limit.notes:
        info["memory"] = fit.training.limit.notes
    parts = {**gaussians._asdict(), "latent": latent, "hull": fit.support.mask}
    arrays = {name: part.cpu().numpy() for name, part in parts.items()}
    return Reconstruction(volume.cpu().numpy(), info=info, arrays=arrays)


def restored(state: dict[str, Any], params: CarveParams, geometry: ConeBeamGeometry) -> Found:
    """Return the Gaussians of a checkpoint."""
    kind, more = (ColourCarving, COLOURS) if "colours" in state["carving"] else (Carving, 0)
    carver = Carver(params, more)
    carver.load_state_dict(state["carver"])
    return found(carver, kind(carving_geometry(geometry, params.voxels), **state["carving"]))


def restored_gaussians(state: dict[str, Any], params: CarveParams, geometry: ConeBeamGeometry) -> dict[str, np.ndarray]:
    """Return the Gaussians of a checkpoint as arrays, named as in Reconstruction.arrays."""
    gaussians, latent = restored(state, params, geometry)
    return {name: part.numpy() for name, part in {**gaussians._asdict(), "latent": latent}.items()}


def restored_field(state: dict[str, Any], params: CarveParams, geometry: ConeBeamGeometry) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the field of a checkpoint: positions [M, 3] (x y z [mm]) -> attenuation or extinction [M], 0 outside of the hull."""
    mixture = as_mixture(restored(state, params, geometry).gaussians)
    support = Support(state["support"])
    lower, upper = torch.tensor(geometry.volume_bounds, dtype=torch.float32)

    def field(positions: torch.Tensor) -> torch.Tensor:
        return mixture_values(mixture, positions) * support.at((positions - lower) / (upper - lower))

    return field
