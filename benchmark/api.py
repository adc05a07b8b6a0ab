"""All that a plug-in may import. Cheap: no torch at import; heavy names are resolved on first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pydantic import Field

from benchmark.ct.geometry import ConeBeamGeometry, parallel_distances
from benchmark.errors import InputError, MissingDependency, one_line
from benchmark.hooks import hookimpl
from benchmark.types import (
    Case,
    Composite,
    DatasetParams,
    DatasetSpec,
    Engine,
    MethodSpec,
    MetricSpec,
    Params,
    Reconstruction,
    ReporterSpec,
    RunRecord,
    RunSpec,
    Scan,
    TvWeight,
)

if TYPE_CHECKING:
    from benchmark.cache import cached_arrays
    from benchmark.ct.acquisition import SimulatedParams, heldout_angles, simulated_case, training_angles
    from benchmark.ct.algebraic import OrderedSubsets
    from benchmark.ct.bound import upper_bound
    from benchmark.ct.composite import composite_max, composite_rays_xray
    from benchmark.ct.ellipsoids import Ellipsoids
    from benchmark.ct.fdk import filtered_backprojection, not_circular
    from benchmark.ct.held_back import ViewError, held_back_views
    from benchmark.ct.hounsfield import attenuation
    from benchmark.ct.importance import importance_integral, importance_march
    from benchmark.ct.integrate import Samples, line_integral, march
    from benchmark.ct.measured import Measured, MeasuredParams, binned, measured_case, usual_bin
    from benchmark.ct.noise import add_noise
    from benchmark.ct.noise_level import noise_level, noise_of_means, scan_noise
    from benchmark.ct.operators import engine_name, operators
    from benchmark.ct.projector import Projector
    from benchmark.ct.rays import Rays, view_rays
    from benchmark.ct.reference import psnr_against, reference_scan
    from benchmark.ct.simulate import Voxels
    from benchmark.ct.tigre import tigre_fdk
    from benchmark.ct.total_variation import TotalVariation
    from benchmark.ct.transfer import to_device
    from benchmark.ct.tv_problem import Iterate, TvProblem, fista
    from benchmark.ct.tv_weight import TvChoice, choose_tv_weight
    from benchmark.ct.viewpoints import AXES, camera_geometry, orbit_directions
    from benchmark.ct.views import heldout_views, training_views
    from benchmark.download import Package, fetch_member
    from benchmark.files.arrays import read_npy
    from benchmark.files.pickles import read_plain_pickle
    from benchmark.files.swc import Morphology, read_swc
    from benchmark.files.volume import read_volume_file, volume_format
    from benchmark.run_context import Run
    from benchmark.scan_folder.load import open_scan_folder

_LAZY = {
    "Projector": "benchmark.ct.projector",
    "operators": "benchmark.ct.operators",
    "engine_name": "benchmark.ct.operators",
    "tigre_fdk": "benchmark.ct.tigre",
    "Rays": "benchmark.ct.rays",
    "view_rays": "benchmark.ct.rays",
    "importance_integral": "benchmark.ct.importance",
    "importance_march": "benchmark.ct.importance",
    "line_integral": "benchmark.ct.integrate",
    "march": "benchmark.ct.integrate",
    "Samples": "benchmark.ct.integrate",
    "composite_rays_xray": "benchmark.ct.composite",
    "composite_max": "benchmark.ct.composite",
    "add_noise": "benchmark.ct.noise",
    "noise_level": "benchmark.ct.noise_level",
    "noise_of_means": "benchmark.ct.noise_level",
    "scan_noise": "benchmark.ct.noise_level",
    "Ellipsoids": "benchmark.ct.ellipsoids",
    "OrderedSubsets": "benchmark.ct.algebraic",
    "Measured": "benchmark.ct.measured",
    "MeasuredParams": "benchmark.ct.measured",
    "measured_case": "benchmark.ct.measured",
    "binned": "benchmark.ct.measured",
    "usual_bin": "benchmark.ct.measured",
    "attenuation": "benchmark.ct.hounsfield",
    "read_volume_file": "benchmark.files.volume",
    "volume_format": "benchmark.files.volume",
    "read_npy": "benchmark.files.arrays",
    "read_plain_pickle": "benchmark.files.pickles",
    "heldout_views": "benchmark.ct.views",
    "training_views": "benchmark.ct.views",
    "open_scan_folder": "benchmark.scan_folder.load",
    "Package": "benchmark.download",
    "SimulatedParams": "benchmark.ct.acquisition",
    "heldout_angles": "benchmark.ct.acquisition",
    "training_angles": "benchmark.ct.acquisition",
    "AXES": "benchmark.ct.viewpoints",
    "upper_bound": "benchmark.ct.bound",
    "camera_geometry": "benchmark.ct.viewpoints",
    "orbit_directions": "benchmark.ct.viewpoints",
    "Morphology": "benchmark.files.swc",
    "read_swc": "benchmark.files.swc",
    "Voxels": "benchmark.ct.simulate",
    "cached_arrays": "benchmark.cache",
    "fetch_member": "benchmark.download",
    "simulated_case": "benchmark.ct.acquisition",
    "psnr_against": "benchmark.ct.reference",
    "reference_scan": "benchmark.ct.reference",
    "Run": "benchmark.run_context",
    "TotalVariation": "benchmark.ct.total_variation",
    "to_device": "benchmark.ct.transfer",
    "TvProblem": "benchmark.ct.tv_problem",
    "Iterate": "benchmark.ct.tv_problem",
    "fista": "benchmark.ct.tv_problem",
    "TvChoice": "benchmark.ct.tv_weight",
    "choose_tv_weight": "benchmark.ct.tv_weight",
    "ViewError": "benchmark.ct.held_back",
    "held_back_views": "benchmark.ct.held_back",
    "filtered_backprojection": "benchmark.ct.fdk",
    "not_circular": "benchmark.ct.fdk",
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
    "MethodSpec",
    "MetricSpec",
    "MissingDependency",
    "Morphology",
    "OrderedSubsets",
    "Package",
    "Params",
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
    "read_npy",
    "read_plain_pickle",
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
