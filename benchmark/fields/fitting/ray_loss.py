"""Training loss by rays, shared by all methods."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch.utils.checkpoint import checkpoint

from benchmark.fields.fitting.measurements import Measurements
from benchmark.fields.fitting.ray_batch import RayBatch
from benchmark.fields.fitting.residuals import Misfit, Weighting
from benchmark.fields.fitting.training_params import FieldParams
from benchmark.fields.fitting.variation import Variation
from benchmark.fields.support import Support
from benchmark.projection.compositing import Mode
from benchmark.projection.importance import importance_integral
from benchmark.projection.marching import Field, line_integral
from benchmark.projection.rays import Rays
from benchmark.scan.scan import Scan

SAMPLES_PER_VOXEL = 1.5


class RayLoss:
    """Training loss by random rays: the mean loss of the residuals of jittered integrals through the support, plus total variation.

    `loss(field, count, generator)` takes `count` rays, or as many as the memory allows (`batch`); `field` maps positions [M, 3]
    (x y z [mm]) to attenuation [M] [1/mm]. `params.tv` must be a number: `variation_weight` resolves 'auto'.
    """

    def __init__(self, scan: Scan, params: FieldParams, measurements: Measurements, support: Support, batch: RayBatch) -> None:
        self.params, self.measurements, self.batch = params, measurements, batch
        self.samples = params.samples or math.ceil(SAMPLES_PER_VOXEL * max(scan.geometry.volume_shape))
        self.bounds, self.occupancy = scan.geometry.volume_bounds, support.mask
        self.mode: Mode = "max" if scan.composite == "max" else "sum"
        self.weighting, self.misfit = Weighting(scan, params.weighting), Misfit(scan, params)
        device = measurements.values.device
        self.variation = Variation(scan, params.tv, len(measurements.values), device) if params.tv else None

    def __call__(self, field: Field, count: int, generator: torch.Generator) -> torch.Tensor:
        """Return the loss of `count` rays, or as many as the memory allows; `field` maps positions [M, 3] (x y z [mm]) to mu [M]."""
        rays, values = self.measurements.draw(self.batch.allowed(count), generator)
        loss = self.misfit(self.weighting.residual(self.rendered(field, rays, generator), values))
        return loss + self.variation.of_field(field, generator) if self.variation else loss

    def rendered(self, field: Field, rays: Rays, generator: torch.Generator) -> torch.Tensor:
        """Return the integrals or maxima of the field along rays, by the kind of the scan's views: [N]."""
        evaluate = recomputed(field) if self.params.checkpointing else field
        how: dict[str, Any] = {"samples": self.samples, "jitter": generator, "occupancy": self.occupancy, "mode": self.mode}
        if self.params.importance:
            return importance_integral(evaluate, rays, self.bounds, importance=self.params.importance, **how)
        return line_integral(evaluate, rays, self.bounds, **how)


def rendering(scan: Scan, wanted: Literal["rays", "grid"]) -> Literal["rays", "grid"]:
    """Return how to compare a field with a scan: 'rays' or 'grid' as `wanted`, but 'rays' for views that are not line integrals."""
    return wanted if scan.composite == "sum" else "rays"


def recomputed(field: Field) -> Field:
    """Return the field with gradient checkpointing: its backward pass recomputes activations instead of storing them."""
    return lambda positions: checkpoint(field, positions, use_reentrant=False, preserve_rng_state=False)
