"""All that a plug-in may import. Cheap: no torch at import; heavy names are resolved on first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pydantic import Field

from benchmark.errors import InputError, MissingDependency, one_line
from benchmark.machine.engine import Engine
from benchmark.plugins.hooks import hookimpl
from benchmark.plugins.specs import DatasetParams, DatasetSpec, MethodSpec, MetricSpec, Params, ReporterSpec, SpeedSpec, TvWeight
from benchmark.records.record import RunRecord, RunSpec
from benchmark.scan.case import Case
from benchmark.scan.geometry import ConeBeamGeometry, parallel_distances
from benchmark.scan.reconstruction import Reconstruction
from benchmark.scan.scan import Composite, Scan

if TYPE_CHECKING:
    from benchmark.acquisition.ellipsoids import Ellipsoids
    from benchmark.acquisition.measured import Measured, MeasuredParams, binned, measured_case, usual_bin
    from benchmark.acquisition.noise import add_noise
    from benchmark.acquisition.reference import psnr_against, reference_scan
    from benchmark.acquisition.simulated import SimulatedParams, heldout_angles, simulated_case, training_angles
    from benchmark.acquisition.voxels import Voxels
    from benchmark.exchange.naf import read_naf
    from benchmark.exchange.r2 import read_r2
    from benchmark.files.arrays import read_npy
    from benchmark.files.pickles import read_plain_pickle
    from benchmark.files.swc import Morphology, read_swc
    from benchmark.files.volume import read_volume_file, volume_format
    from benchmark.kernels.transfer import to_device
    from benchmark.projection.compositing import composite_max, composite_rays_xray
    from benchmark.projection.importance import importance_integral, importance_march
    from benchmark.projection.marching import Samples, line_integral, march
    from benchmark.projection.operators import engine_name, operators
    from benchmark.projection.projector import Projector
    from benchmark.projection.rays import Rays, view_rays
    from benchmark.projection.tigre import tigre_fdk
    from benchmark.reconstruction.bound import upper_bound
    from benchmark.reconstruction.fdk import filtered_backprojection, not_circular
    from benchmark.reconstruction.held_back import ViewError, held_back_views
    from benchmark.reconstruction.ordered_subsets import OrderedSubsets
    from benchmark.reconstruction.total_variation import TotalVariation
    from benchmark.reconstruction.tv_problem import Iterate, TvProblem, fista
    from benchmark.reconstruction.tv_weight import TvChoice, choose_tv_weight
    from benchmark.runtime.context import Run
    from benchmark.scan.hounsfield import MU_WATER, attenuation
    from benchmark.scan.noise_level import noise_level, noise_of_means, scan_noise
    from benchmark.scan.viewpoints import AXES, camera_geometry, orbit_directions
    from benchmark.scan.views import heldout_views, training_views
    from benchmark.scan_folder.load import open_scan_folder
    from benchmark.storage.cache import cached_arrays
    from benchmark.storage.download import Package, Progress, fetch_member

_LAZY = {
    "Projector": "benchmark.projection.projector",
    "operators": "benchmark.projection.operators",
    "engine_name": "benchmark.projection.operators",
    "tigre_fdk": "benchmark.projection.tigre",
    "Rays": "benchmark.projection.rays",
    "view_rays": "benchmark.projection.rays",
    "importance_integral": "benchmark.projection.importance",
    "importance_march": "benchmark.projection.importance",
    "line_integral": "benchmark.projection.marching",
    "march": "benchmark.projection.marching",
    "Samples": "benchmark.projection.marching",
    "composite_rays_xray": "benchmark.projection.compositing",
    "composite_max": "benchmark.projection.compositing",
    "add_noise": "benchmark.acquisition.noise",
    "noise_level": "benchmark.scan.noise_level",
    "noise_of_means": "benchmark.scan.noise_level",
    "scan_noise": "benchmark.scan.noise_level",
    "Ellipsoids": "benchmark.acquisition.ellipsoids",
    "OrderedSubsets": "benchmark.reconstruction.ordered_subsets",
    "Measured": "benchmark.acquisition.measured",
    "MeasuredParams": "benchmark.acquisition.measured",
    "measured_case": "benchmark.acquisition.measured",
    "binned": "benchmark.acquisition.measured",
    "usual_bin": "benchmark.acquisition.measured",
    "MU_WATER": "benchmark.scan.hounsfield",
    "attenuation": "benchmark.scan.hounsfield",
    "read_volume_file": "benchmark.files.volume",
    "volume_format": "benchmark.files.volume",
    "read_naf": "benchmark.exchange.naf",
    "read_npy": "benchmark.files.arrays",
    "read_plain_pickle": "benchmark.files.pickles",
    "read_r2": "benchmark.exchange.r2",
    "heldout_views": "benchmark.scan.views",
    "training_views": "benchmark.scan.views",
    "open_scan_folder": "benchmark.scan_folder.load",
    "Package": "benchmark.storage.download",
    "Progress": "benchmark.storage.download",
    "SimulatedParams": "benchmark.acquisition.simulated",
    "heldout_angles": "benchmark.acquisition.simulated",
    "training_angles": "benchmark.acquisition.simulated",
    "AXES": "benchmark.scan.viewpoints",
    "upper_bound": "benchmark.reconstruction.bound",
    "camera_geometry": "benchmark.scan.viewpoints",
    "orbit_directions": "benchmark.scan.viewpoints",
    "Morphology": "benchmark.files.swc",
    "read_swc": "benchmark.files.swc",
    "Voxels": "benchmark.acquisition.voxels",
    "cached_arrays": "benchmark.storage.cache",
    "fetch_member": "benchmark.storage.download",
    "simulated_case": "benchmark.acquisition.simulated",
    "psnr_against": "benchmark.acquisition.reference",
    "reference_scan": "benchmark.acquisition.reference",
    "Run": "benchmark.runtime.context",
    "TotalVariation": "benchmark.reconstruction.total_variation",
    "to_device": "benchmark.kernels.transfer",
    "TvProblem": "benchmark.reconstruction.tv_problem",
    "Iterate": "benchmark.reconstruction.tv_problem",
    "fista": "benchmark.reconstruction.tv_problem",
    "TvChoice": "benchmark.reconstruction.tv_weight",
    "choose_tv_weight": "benchmark.reconstruction.tv_weight",
    "ViewError": "benchmark.reconstruction.held_back",
    "held_back_views": "benchmark.reconstruction.held_back",
    "filtered_backprojection": "benchmark.reconstruction.fdk",
    "not_circular": "benchmark.reconstruction.fdk",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'benchmark.api' has no attribute '{name}'")


__all__ = [
    "AXES",
    "Case",
    "Composite",
    "ConeBeamGeometry",
    "DatasetParams",
    "DatasetSpec",
    "Ellipsoids",
    "Engine",
    "Field",
    "InputError",
    "Iterate",
    "Measured",
    "MeasuredParams",
    "MU_WATER",
    "MethodSpec",
    "MetricSpec",
    "MissingDependency",
    "Morphology",
    "OrderedSubsets",
    "Package",
    "Params",
    "Progress",
    "Projector",
    "Rays",
    "Reconstruction",
    "ReporterSpec",
    "Run",
    "RunRecord",
    "RunSpec",
    "Samples",
    "Scan",
    "SimulatedParams",
    "SpeedSpec",
    "TotalVariation",
    "TvChoice",
    "TvProblem",
    "TvWeight",
    "ViewError",
    "Voxels",
    "add_noise",
    "attenuation",
    "binned",
    "cached_arrays",
    "camera_geometry",
    "choose_tv_weight",
    "composite_max",
    "composite_rays_xray",
    "engine_name",
    "fetch_member",
    "filtered_backprojection",
    "fista",
    "held_back_views",
    "heldout_angles",
    "heldout_views",
    "hookimpl",
    "importance_integral",
    "importance_march",
    "line_integral",
    "march",
    "measured_case",
    "noise_level",
    "noise_of_means",
    "not_circular",
    "one_line",
    "open_scan_folder",
    "operators",
    "orbit_directions",
    "parallel_distances",
    "psnr_against",
    "read_naf",
    "read_npy",
    "read_plain_pickle",
    "read_r2",
    "read_swc",
    "read_volume_file",
    "reference_scan",
    "scan_noise",
    "simulated_case",
    "tigre_fdk",
    "to_device",
    "training_angles",
    "training_views",
    "upper_bound",
    "usual_bin",
    "view_rays",
    "volume_format",
]
