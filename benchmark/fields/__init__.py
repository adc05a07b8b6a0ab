"""Differentiable building blocks for neural methods: hash grid, vector-matrix features, Gaussian mixture, small network, training.

Kernels are C++ (forward and backward, deterministic for any number of threads) with twins in `torch_twins`. `fitting` is what training
loops share. docs/fields.md lists every name.
Features cross between them feature-major: a [points, features] tensor whose transpose is contiguous.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.fields.attenuation import Attenuation
    from benchmark.fields.fitting.consistency import data_consistent, data_consistent_mean
    from benchmark.fields.fitting.guided import guided_fit
    from benchmark.fields.fitting.measurements import Measurements
    from benchmark.fields.fitting.muon import Muon
    from benchmark.fields.fitting.precision import LossScale, products_in
    from benchmark.fields.fitting.ray_batch import RayBatch
    from benchmark.fields.fitting.ray_loss import RayLoss, rendering
    from benchmark.fields.fitting.residuals import Weighting, ramp_filtered, ssim
    from benchmark.fields.fitting.training_params import FieldParams, Precision, why_not
    from benchmark.fields.fitting.variation import Variation, total_variation, variation_weight
    from benchmark.fields.hash_grid import HashGrid
    from benchmark.fields.maxima import MixtureMaxima, voxelise_maxima
    from benchmark.fields.mixture import Mixture, MixtureProjector, mixture_line_integrals, rotations, voxelise
    from benchmark.fields.mixture_points import mixture_values
    from benchmark.fields.mlp import MLP
    from benchmark.fields.splatter import Splats, splat
    from benchmark.fields.support import Support
    from benchmark.fields.tiny_cuda import TinyCudaField, tiny_cuda_name
    from benchmark.fields.vector_matrix import vm_encode, vm_grid
    from benchmark.fields.volume import field_volume, voxel_positions

_LAZY = {
    "Attenuation": "attenuation",
    "FieldParams": "fitting.training_params",
    "HashGrid": "hash_grid",
    "LossScale": "fitting.precision",
    "MLP": "mlp",
    "Measurements": "fitting.measurements",
    "Mixture": "mixture",
    "MixtureMaxima": "maxima",
    "MixtureProjector": "mixture",
    "Muon": "fitting.muon",
    "Precision": "fitting.training_params",
    "RayBatch": "fitting.ray_batch",
    "RayLoss": "fitting.ray_loss",
    "Splats": "splatter",
    "Support": "support",
    "TinyCudaField": "tiny_cuda",
    "Variation": "fitting.variation",
    "Weighting": "fitting.residuals",
    "data_consistent": "fitting.consistency",
    "data_consistent_mean": "fitting.consistency",
    "field_volume": "volume",
    "guided_fit": "fitting.guided",
    "mixture_line_integrals": "mixture",
    "mixture_values": "mixture_points",
    "products_in": "fitting.precision",
    "ramp_filtered": "fitting.residuals",
    "rendering": "fitting.ray_loss",
    "rotations": "mixture",
    "splat": "splatter",
    "ssim": "fitting.residuals",
    "tiny_cuda_name": "tiny_cuda",
    "total_variation": "fitting.variation",
    "variation_weight": "fitting.variation",
    "vm_encode": "vector_matrix",
    "vm_grid": "vector_matrix",
    "voxel_positions": "volume",
    "voxelise": "mixture",
    "voxelise_maxima": "maxima",
    "why_not": "fitting.training_params",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"benchmark.fields.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'benchmark.fields' has no attribute '{name}'")


__all__ = [
    "Attenuation",
    "FieldParams",
    "HashGrid",
    "LossScale",
    "MLP",
    "Measurements",
    "Mixture",
    "MixtureMaxima",
    "MixtureProjector",
    "Muon",
    "Precision",
    "RayBatch",
    "RayLoss",
    "Splats",
    "Support",
    "TinyCudaField",
    "Variation",
    "Weighting",
    "data_consistent",
    "data_consistent_mean",
    "field_volume",
    "guided_fit",
    "mixture_line_integrals",
    "mixture_values",
    "products_in",
    "ramp_filtered",
    "rendering",
    "rotations",
    "splat",
    "ssim",
    "tiny_cuda_name",
    "total_variation",
    "variation_weight",
    "vm_encode",
    "vm_grid",
    "voxel_positions",
    "voxelise",
    "voxelise_maxima",
    "why_not",
]
