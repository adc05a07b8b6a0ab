# Written by docs/stubs.py (make docs) from the table of benchmark.api.
# ruff: noqa

# Declaring plug-ins
from benchmark.plugins.hooks import hookimpl as hookimpl
from benchmark.plugins.specs import MethodSpec as MethodSpec
from benchmark.plugins.specs import DatasetSpec as DatasetSpec
from benchmark.plugins.specs import MetricSpec as MetricSpec
from benchmark.plugins.specs import ReporterSpec as ReporterSpec
from benchmark.plugins.specs import ScanFormatSpec as ScanFormatSpec
from benchmark.plugins.specs import SpeedSpec as SpeedSpec

# Parameters
from benchmark.plugins.specs import Params as Params
from pydantic import Field as Field
from benchmark.plugins.specs import DatasetParams as DatasetParams
from benchmark.acquisition.simulated import SimulatedParams as SimulatedParams
from benchmark.acquisition.measured import MeasuredParams as MeasuredParams
from benchmark.machine.engine import Engine as Engine
from benchmark.plugins.specs import TvWeight as TvWeight
from benchmark.plugins.specs import Fine as Fine
from benchmark.plugins.specs import Heldout as Heldout
from benchmark.plugins.specs import Offer as Offer

# The run and its result
from benchmark.runtime.context import Run as Run
from benchmark.scan.reconstruction import Reconstruction as Reconstruction
from benchmark.runtime.parts import run_part as run_part
from benchmark.scan.reconstruction import FINE as FINE
from benchmark.scan.reconstruction import averaged as averaged

# The scan and its geometry
from benchmark.scan.scan import Scan as Scan
from benchmark.scan.scan import Composite as Composite
from benchmark.scan.geometry import ConeBeamGeometry as ConeBeamGeometry
from benchmark.scan.geometry import parallel_distances as parallel_distances
from benchmark.scan.viewpoints import camera_geometry as camera_geometry
from benchmark.scan.viewpoints import orbit_directions as orbit_directions
from benchmark.scan.viewpoints import AXES as AXES
from benchmark.scan.depths import maximum_positions as maximum_positions

# Photographs
from benchmark.photographs.cameras import Cameras as Cameras
from benchmark.photographs.cameras import read_cameras as read_cameras
from benchmark.photographs.frame_file import count_frames as count_frames
from benchmark.photographs.cameras import about_z as about_z
from benchmark.photographs.frame import Frame as Frame
from benchmark.photographs.pose import Pose as Pose

# Projecting volumes
from benchmark.projection.projector import Projector as Projector
from benchmark.projection.operators import operators as operators
from benchmark.projection.operators import engine_name as engine_name

# Integrating fields along rays
from benchmark.projection.rays import Rays as Rays
from benchmark.projection.rays import view_rays as view_rays
from benchmark.projection.marching import line_integral as line_integral
from benchmark.projection.importance import importance_integral as importance_integral
from benchmark.projection.marching import march as march
from benchmark.projection.marching import Samples as Samples
from benchmark.projection.compositing import composite_rays_xray as composite_rays_xray

# Solvers
from benchmark.reconstruction.fdk import filtered_backprojection as filtered_backprojection
from benchmark.reconstruction.fdk import not_circular as not_circular
from benchmark.projection.tigre import tigre_fdk as tigre_fdk
from benchmark.reconstruction.ordered_subsets import OrderedSubsets as OrderedSubsets
from benchmark.reconstruction.total_variation import TotalVariation as TotalVariation
from benchmark.reconstruction.tv_problem import TvProblem as TvProblem
from benchmark.reconstruction.tv_problem import fista as fista
from benchmark.reconstruction.tv_subsets import subset_steps as subset_steps
from benchmark.reconstruction.tv_problem import Iterate as Iterate
from benchmark.reconstruction.tv_weight import choose_tv_weight as choose_tv_weight
from benchmark.reconstruction.tv_weight import TvChoice as TvChoice
from benchmark.reconstruction.coarser import coarser as coarser
from benchmark.reconstruction.coarser import pyramid as pyramid
from benchmark.reconstruction.coarser import upsampled as upsampled
from benchmark.reconstruction.held_back import held_back_views as held_back_views
from benchmark.reconstruction.held_back import ViewError as ViewError
from benchmark.reconstruction.bound import upper_bound as upper_bound
from benchmark.reconstruction.finer import on_finer_grid as on_finer_grid

# Noise
from benchmark.scan.noise_level import scan_noise as scan_noise
from benchmark.scan.noise_level import noise_of_means as noise_of_means
from benchmark.acquisition.noise import add_noise as add_noise

# Making test data
from benchmark.scan.case import Case as Case
from benchmark.scan.case import case_name as case_name
from benchmark.acquisition.ellipsoids import Ellipsoids as Ellipsoids
from benchmark.acquisition.voxels import Voxels as Voxels
from benchmark.scan.hounsfield import attenuation as attenuation
from benchmark.scan.hounsfield import MU_WATER as MU_WATER
from benchmark.acquisition.simulated import simulated_case as simulated_case
from benchmark.acquisition.simulated import training_angles as training_angles
from benchmark.acquisition.simulated import heldout_angles as heldout_angles
from benchmark.acquisition.measured import Measured as Measured
from benchmark.acquisition.measured import measured_case as measured_case
from benchmark.acquisition.measured import choose_views as choose_views
from benchmark.scan.views import training_views as training_views
from benchmark.scan.views import heldout_views as heldout_views
from benchmark.acquisition.measured import binned as binned
from benchmark.acquisition.measured import usual_bin as usual_bin

# Reading files
from benchmark.files.volume import read_volume_file as read_volume_file
from benchmark.files.frames import open_frames as open_frames
from benchmark.files.volume import read_placed_volume as read_placed_volume
from benchmark.files.volume import PlacedVolume as PlacedVolume
from benchmark.files.volume import volume_format as volume_format
from benchmark.scan_folder.load import open_scan_folder as open_scan_folder
from benchmark.exchange.naf import read_naf as read_naf
from benchmark.exchange.r2 import read_r2 as read_r2
from benchmark.files.arrays import read_npy as read_npy
from benchmark.files.pickles import read_plain_pickle as read_plain_pickle
from benchmark.files.swc import read_swc as read_swc
from benchmark.files.swc import Morphology as Morphology

# Reading what a scanner wrote
from benchmark.scan_folder.draft import ScanDraft as ScanDraft
from benchmark.scan_folder.draft import numbered_images as numbered_images
from benchmark.files.settings import Settings as Settings
from benchmark.storage.text import read_text as read_text
from benchmark.files.zeiss import read_zeiss as read_zeiss
from benchmark.files.zeiss import reference_image as reference_image

# Downloads and the cache
from benchmark.storage.download import Package as Package
from benchmark.storage.download import fetch_member as fetch_member
from benchmark.storage.download import Progress as Progress
from benchmark.storage.cache import cached_arrays as cached_arrays

# Runs and results
from benchmark.records.record import RunSpec as RunSpec
from benchmark.records.record import RunRecord as RunRecord
from benchmark.records.results import Results as Results

# Devices and speed
from benchmark.kernels.transfer import to_device as to_device
from benchmark.acquisition.reference import reference_scan as reference_scan
from benchmark.acquisition.reference import psnr_against as psnr_against

# Errors
from benchmark.errors import InputError as InputError
from benchmark.errors import MissingDependency as MissingDependency
from benchmark.errors import one_line as one_line

from benchmark.plugins.exports import Exports

EXPORTS: Exports
__all__ = [
    "AXES",
    "Cameras",
    "Case",
    "Composite",
    "ConeBeamGeometry",
    "DatasetParams",
    "DatasetSpec",
    "Ellipsoids",
    "Engine",
    "FINE",
    "Field",
    "Fine",
    "Frame",
    "Heldout",
    "InputError",
    "Iterate",
    "MU_WATER",
    "Measured",
    "MeasuredParams",
    "MethodSpec",
    "MetricSpec",
    "MissingDependency",
    "Morphology",
    "Offer",
    "OrderedSubsets",
    "Package",
    "Params",
    "PlacedVolume",
    "Pose",
    "Progress",
    "Projector",
    "Rays",
    "Reconstruction",
    "ReporterSpec",
    "Results",
    "Run",
    "RunRecord",
    "RunSpec",
    "Samples",
    "Scan",
    "ScanDraft",
    "ScanFormatSpec",
    "Settings",
    "SimulatedParams",
    "SpeedSpec",
    "TotalVariation",
    "TvChoice",
    "TvProblem",
    "TvWeight",
    "ViewError",
    "Voxels",
    "about_z",
    "add_noise",
    "attenuation",
    "averaged",
    "binned",
    "cached_arrays",
    "camera_geometry",
    "case_name",
    "choose_tv_weight",
    "choose_views",
    "coarser",
    "composite_rays_xray",
    "count_frames",
    "engine_name",
    "fetch_member",
    "filtered_backprojection",
    "fista",
    "held_back_views",
    "heldout_angles",
    "heldout_views",
    "hookimpl",
    "importance_integral",
    "line_integral",
    "march",
    "maximum_positions",
    "measured_case",
    "noise_of_means",
    "not_circular",
    "numbered_images",
    "on_finer_grid",
    "one_line",
    "open_frames",
    "open_scan_folder",
    "operators",
    "orbit_directions",
    "parallel_distances",
    "psnr_against",
    "pyramid",
    "read_cameras",
    "read_naf",
    "read_npy",
    "read_placed_volume",
    "read_plain_pickle",
    "read_r2",
    "read_swc",
    "read_text",
    "read_volume_file",
    "read_zeiss",
    "reference_image",
    "reference_scan",
    "run_part",
    "scan_noise",
    "simulated_case",
    "subset_steps",
    "tigre_fdk",
    "to_device",
    "training_angles",
    "training_views",
    "upper_bound",
    "upsampled",
    "usual_bin",
    "view_rays",
    "volume_format",
]
