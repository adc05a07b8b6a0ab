# Written by docs/stubs.py (make docs) from the table of benchmark.fields.
# ruff: noqa

# Encodings and networks
from benchmark.fields.hash_grid import HashGrid as HashGrid
from benchmark.fields.vector_matrix import vm_encode as vm_encode
from benchmark.fields.vector_matrix import vm_grid as vm_grid
from benchmark.fields.vector_matrix import vm_network as vm_network
from benchmark.fields.mlp import MLP as MLP
from benchmark.fields.attenuation import Attenuation as Attenuation
from benchmark.fields.tiny_cuda import TinyCudaField as TinyCudaField
from benchmark.fields.tiny_cuda import tiny_cuda_name as tiny_cuda_name
from benchmark.fields import torch_twins as torch_twins

# Gaussian mixtures
from benchmark.fields.mixture import Mixture as Mixture
from benchmark.fields.mixture import MixtureProjector as MixtureProjector
from benchmark.fields.mixture import mixture_line_integrals as mixture_line_integrals
from benchmark.fields.mixture_points import mixture_values as mixture_values
from benchmark.fields.mixture import voxelise as voxelise
from benchmark.fields.maxima import MixtureMaxima as MixtureMaxima
from benchmark.fields.maxima import voxelise_maxima as voxelise_maxima
from benchmark.fields.mixture import rotations as rotations
from benchmark.fields.mixture import CUTOFF as CUTOFF
from benchmark.fields.splatter import Splats as Splats
from benchmark.fields.splatter import splat as splat

# Training
from benchmark.fields.fitting.training_params import FieldParams as FieldParams
from benchmark.fields.fitting.training_params import skip_reason as skip_reason
from benchmark.fields.fitting.training_params import Growth as Growth
from benchmark.fields.fitting.training_params import grown as grown
from benchmark.fields.fitting.measurements import Measurements as Measurements
from benchmark.fields.fitting.ray_loss import RayLoss as RayLoss
from benchmark.fields.fitting.ray_loss import rendering as rendering
from benchmark.fields.fitting.ray_batch import Halving as Halving
from benchmark.fields.fitting.ray_batch import RayBatch as RayBatch
from benchmark.fields.fitting.residuals import Weighting as Weighting
from benchmark.fields.fitting.residuals import Misfit as Misfit
from benchmark.fields.fitting.residuals import ramp_filtered as ramp_filtered
from benchmark.fields.fitting.residuals import ssim as ssim
from benchmark.fields.fitting.variation import Variation as Variation
from benchmark.fields.fitting.variation import total_variation as total_variation
from benchmark.fields.fitting.variation import variation_weight as variation_weight
from benchmark.fields.fitting.muon import Muon as Muon
from benchmark.fields.fitting.training_params import Precision as Precision
from benchmark.fields.fitting.precision import products_in as products_in
from benchmark.fields.fitting.precision import LossScale as LossScale

# From a field to a volume
from benchmark.fields.support import Support as Support
from benchmark.fields.volume import voxel_positions as voxel_positions
from benchmark.fields.volume import field_volume as field_volume
from benchmark.fields.fitting.consistency import data_consistent as data_consistent
from benchmark.fields.fitting.consistency import corrections_memory as corrections_memory
from benchmark.fields.fitting.consistency import data_consistent_mean as data_consistent_mean
from benchmark.fields.fitting.consistency import data_consistent_finer as data_consistent_finer
from benchmark.fields.fitting.guided import guided_fit as guided_fit

from benchmark.plugins.exports import Exports

EXPORTS: Exports
__all__ = [
    "Attenuation",
    "CUTOFF",
    "FieldParams",
    "Growth",
    "Halving",
    "HashGrid",
    "LossScale",
    "MLP",
    "Measurements",
    "Misfit",
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
    "corrections_memory",
    "data_consistent",
    "data_consistent_finer",
    "data_consistent_mean",
    "field_volume",
    "grown",
    "guided_fit",
    "mixture_line_integrals",
    "mixture_values",
    "products_in",
    "ramp_filtered",
    "rendering",
    "rotations",
    "skip_reason",
    "splat",
    "ssim",
    "tiny_cuda_name",
    "torch_twins",
    "total_variation",
    "variation_weight",
    "vm_encode",
    "vm_grid",
    "vm_network",
    "voxel_positions",
    "voxelise",
    "voxelise_maxima",
]
