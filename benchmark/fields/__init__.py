"""Differentiable building blocks for neural methods: hash grid, vector-matrix features, Gaussian mixture, small MLP, training.

Each has C++ kernels (forward and backward, deterministic for any number of threads) and a torch twin (`torch_twins`).
Features cross between them feature-major: a [points, features] tensor whose transpose is contiguous. After a change
here, `make docs` writes __init__.pyi, which type checkers and editors read.
"""

from __future__ import annotations

from typing import Any

from benchmark.plugins.exports import Exports

EXPORTS = Exports(
    "benchmark.fields",
    {
        "Encodings and networks": {
            "HashGrid": "benchmark.fields.hash_grid",
            "vm_encode": "benchmark.fields.vector_matrix",
            "vm_grid": "benchmark.fields.vector_matrix",
            "vm_network": "benchmark.fields.vector_matrix",
            "MLP": "benchmark.fields.mlp",
            "Attenuation": "benchmark.fields.attenuation",
            "TinyCudaField": "benchmark.fields.tiny_cuda",
            "tiny_cuda_name": "benchmark.fields.tiny_cuda",
            "torch_twins": "benchmark.fields",
        },
        "Gaussian mixtures": {
            "Mixture": "benchmark.fields.mixture",
            "MixtureProjector": "benchmark.fields.mixture",
            "mixture_line_integrals": "benchmark.fields.mixture",
            "mixture_values": "benchmark.fields.mixture_points",
            "voxelise": "benchmark.fields.mixture",
            "MixtureMaxima": "benchmark.fields.maxima",
            "voxelise_maxima": "benchmark.fields.maxima",
            "rotations": "benchmark.fields.mixture",
            "CUTOFF": "benchmark.fields.mixture",
            "Splats": "benchmark.fields.splatter",
            "splat": "benchmark.fields.splatter",
        },
        "Training": {
            "FieldParams": "benchmark.fields.fitting.training_params",
            "skip_reason": "benchmark.fields.fitting.training_params",
            "Growth": "benchmark.fields.fitting.training_params",
            "grown": "benchmark.fields.fitting.training_params",
            "Measurements": "benchmark.fields.fitting.measurements",
            "RayLoss": "benchmark.fields.fitting.ray_loss",
            "rendering": "benchmark.fields.fitting.ray_loss",
            "Halving": "benchmark.fields.fitting.ray_batch",
            "RayBatch": "benchmark.fields.fitting.ray_batch",
            "Weighting": "benchmark.fields.fitting.residuals",
            "Misfit": "benchmark.fields.fitting.residuals",
            "ramp_filtered": "benchmark.fields.fitting.residuals",
            "ssim": "benchmark.fields.fitting.residuals",
            "Variation": "benchmark.fields.fitting.variation",
            "total_variation": "benchmark.fields.fitting.variation",
            "variation_weight": "benchmark.fields.fitting.variation",
            "Muon": "benchmark.fields.fitting.muon",
            "Precision": "benchmark.fields.fitting.training_params",
            "products_in": "benchmark.fields.fitting.precision",
            "LossScale": "benchmark.fields.fitting.precision",
        },
        "From a field to a volume": {
            "Support": "benchmark.fields.support",
            "voxel_positions": "benchmark.fields.volume",
            "field_volume": "benchmark.fields.volume",
            "data_consistent": "benchmark.fields.fitting.consistency",
            "corrections_memory": "benchmark.fields.fitting.consistency",
            "data_consistent_mean": "benchmark.fields.fitting.consistency",
            "data_consistent_finer": "benchmark.fields.fitting.consistency",
            "guided_fit": "benchmark.fields.fitting.guided",
        },
    },
)

__all__ = EXPORTS.names  # type checkers read __init__.pyi


def __getattr__(name: str) -> Any:
    return EXPORTS.attribute(name)


def __dir__() -> list[str]:
    return EXPORTS.names
