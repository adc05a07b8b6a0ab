"""Names that a plug-in may import, beside those of `benchmark.fields`; the manual's API reference explains each.

Cheap: every name is imported on first use, so that this module loads neither torch nor a file format. After a change here,
`make docs` writes api.pyi, which type checkers and editors read, and the page.
"""

from __future__ import annotations

from typing import Any

from benchmark.plugins.exports import Exports

EXPORTS = Exports(
    "benchmark.api",
    {
        "Declaring plug-ins": {
            "hookimpl": "benchmark.plugins.hooks",
            "MethodSpec": "benchmark.plugins.specs",
            "DatasetSpec": "benchmark.plugins.specs",
            "MetricSpec": "benchmark.plugins.specs",
            "ReporterSpec": "benchmark.plugins.specs",
            "ScanFormatSpec": "benchmark.plugins.specs",
            "SpeedSpec": "benchmark.plugins.specs",
        },
        "Parameters": {
            "Params": "benchmark.plugins.specs",
            "Field": "pydantic",
            "DatasetParams": "benchmark.plugins.specs",
            "SimulatedParams": "benchmark.acquisition.simulated",
            "MeasuredParams": "benchmark.acquisition.measured",
            "Engine": "benchmark.machine.engine",
            "TvWeight": "benchmark.plugins.specs",
            "Fine": "benchmark.plugins.specs",
            "Heldout": "benchmark.plugins.specs",
            "Offer": "benchmark.plugins.specs",
        },
        "The run and its result": {
            "Run": "benchmark.runtime.context",
            "Reconstruction": "benchmark.scan.reconstruction",
            "run_part": "benchmark.runtime.parts",
            "FINE": "benchmark.scan.reconstruction",
            "averaged": "benchmark.scan.reconstruction",
        },
        "The scan and its geometry": {
            "Scan": "benchmark.scan.scan",
            "Composite": "benchmark.scan.scan",
            "ConeBeamGeometry": "benchmark.scan.geometry",
            "parallel_distances": "benchmark.scan.geometry",
            "camera_geometry": "benchmark.scan.viewpoints",
            "orbit_directions": "benchmark.scan.viewpoints",
            "AXES": "benchmark.scan.viewpoints",
            "maximum_positions": "benchmark.scan.depths",
        },
        "Photographs": {
            "Cameras": "benchmark.photographs.cameras",
            "read_cameras": "benchmark.photographs.cameras",
            "count_frames": "benchmark.photographs.frame_file",
            "about_z": "benchmark.photographs.cameras",
            "Frame": "benchmark.photographs.frame",
            "Pose": "benchmark.photographs.pose",
        },
        "Projecting volumes": {
            "Projector": "benchmark.projection.projector",
            "operators": "benchmark.projection.operators",
            "engine_name": "benchmark.projection.operators",
        },
        "Integrating fields along rays": {
            "Rays": "benchmark.projection.rays",
            "view_rays": "benchmark.projection.rays",
            "line_integral": "benchmark.projection.marching",
            "importance_integral": "benchmark.projection.importance",
            "march": "benchmark.projection.marching",
            "Samples": "benchmark.projection.marching",
            "composite_rays_xray": "benchmark.projection.compositing",
        },
        "Solvers": {
            "filtered_backprojection": "benchmark.reconstruction.fdk",
            "not_circular": "benchmark.reconstruction.fdk",
            "tigre_fdk": "benchmark.projection.tigre",
            "OrderedSubsets": "benchmark.reconstruction.ordered_subsets",
            "TotalVariation": "benchmark.reconstruction.total_variation",
            "TvProblem": "benchmark.reconstruction.tv_problem",
            "fista": "benchmark.reconstruction.tv_problem",
            "subset_steps": "benchmark.reconstruction.tv_subsets",
            "Iterate": "benchmark.reconstruction.tv_problem",
            "choose_tv_weight": "benchmark.reconstruction.tv_weight",
            "TvChoice": "benchmark.reconstruction.tv_weight",
            "coarser": "benchmark.reconstruction.coarser",
            "pyramid": "benchmark.reconstruction.coarser",
            "upsampled": "benchmark.reconstruction.coarser",
            "held_back_views": "benchmark.reconstruction.held_back",
            "ViewError": "benchmark.reconstruction.held_back",
            "upper_bound": "benchmark.reconstruction.bound",
            "on_finer_grid": "benchmark.reconstruction.finer",
        },
        "Noise": {
            "scan_noise": "benchmark.scan.noise_level",
            "noise_of_means": "benchmark.scan.noise_level",
            "add_noise": "benchmark.acquisition.noise",
        },
        "Making test data": {
            "Case": "benchmark.scan.case",
            "case_name": "benchmark.scan.case",
            "Ellipsoids": "benchmark.acquisition.ellipsoids",
            "Voxels": "benchmark.acquisition.voxels",
            "attenuation": "benchmark.scan.hounsfield",
            "MU_WATER": "benchmark.scan.hounsfield",
            "simulated_case": "benchmark.acquisition.simulated",
            "training_angles": "benchmark.acquisition.simulated",
            "heldout_angles": "benchmark.acquisition.simulated",
            "Measured": "benchmark.acquisition.measured",
            "measured_case": "benchmark.acquisition.measured",
            "choose_views": "benchmark.acquisition.measured",
            "training_views": "benchmark.scan.views",
            "heldout_views": "benchmark.scan.views",
            "binned": "benchmark.acquisition.measured",
            "usual_bin": "benchmark.acquisition.measured",
        },
        "Reading files": {
            "read_volume_file": "benchmark.files.volume",
            "open_frames": "benchmark.files.frames",
            "read_placed_volume": "benchmark.files.volume",
            "PlacedVolume": "benchmark.files.volume",
            "volume_format": "benchmark.files.volume",
            "open_scan_folder": "benchmark.scan_folder.load",
            "read_naf": "benchmark.exchange.naf",
            "read_r2": "benchmark.exchange.r2",
            "read_npy": "benchmark.files.arrays",
            "read_plain_pickle": "benchmark.files.pickles",
            "read_swc": "benchmark.files.swc",
            "Morphology": "benchmark.files.swc",
        },
        "Reading what a scanner wrote": {
            "ScanDraft": "benchmark.scan_folder.draft",
            "numbered_images": "benchmark.scan_folder.draft",
            "Settings": "benchmark.files.settings",
            "read_text": "benchmark.storage.text",
            "read_zeiss": "benchmark.files.zeiss",
            "reference_image": "benchmark.files.zeiss",
        },
        "Downloads and the cache": {
            "Package": "benchmark.storage.download",
            "fetch_member": "benchmark.storage.download",
            "Progress": "benchmark.storage.download",
            "cached_arrays": "benchmark.storage.cache",
        },
        "Runs and results": {
            "RunSpec": "benchmark.records.record",
            "RunRecord": "benchmark.records.record",
            "Results": "benchmark.records.results",
        },
        "Devices and speed": {
            "to_device": "benchmark.kernels.transfer",
            "reference_scan": "benchmark.acquisition.reference",
            "psnr_against": "benchmark.acquisition.reference",
        },
        "Errors": {
            "InputError": "benchmark.errors",
            "MissingDependency": "benchmark.errors",
            "one_line": "benchmark.errors",
        },
    },
)

__all__ = EXPORTS.names  # type checkers read api.pyi


def __getattr__(name: str) -> Any:
    return EXPORTS.attribute(name)


def __dir__() -> list[str]:
    return EXPORTS.names
