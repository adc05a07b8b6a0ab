"""Scans in the files of NAF, SAX-NeRF and R2-Gaussian, for their own loaders.

Both want attenuation in [0, 1]. Their numbers are mu / unit, with a unit [1/mm] from the measured views alone:
a volume that an outside method returns times `unit` is attenuation again.
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark.errors import InputError
from benchmark.reconstruction.ordered_subsets import OrderedSubsets
from benchmark.scan.case import Case, file_name
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan.scan import Scan

METRE = 1000.0  # [mm]
HEADROOM = 1.25  # of the unit over the densest voxel of a quick reconstruction: a sigmoid cannot reach more than 1
PASSES, VOXELS = 8, 64


def attenuation_unit(scan: Scan) -> float:
    """[1/mm] what 1 stands for in the peers' files: more than the densest voxel, estimated by a quick SART of the measured views."""
    shape = scan.geometry.volume_shape
    share = min(1.0, VOXELS / max(shape))
    z, y, x = (max(1, round(count * share)) for count in shape)
    geometry = scan.geometry.with_volume((z, y, x))
    subsets = OrderedSubsets(Scan(scan.projections, geometry), size=4)
    volume = torch.zeros(geometry.volume_shape)
    for index in range(PASSES * len(subsets)):
        subsets.correct(volume, index, 0.5)
    densest = float(volume.max())
    if densest <= 0:
        raise InputError("scan", expected="projections of something", found="nothing that attenuates")
    return HEADROOM * densest


def write_naf(folder: Path, case: Case, unit: float) -> Path:
    """<case>_<views>.pickle: lengths in mm, projections as line integrals of mu / unit over metres, row 0 at the top."""
    geometry = case.scan.geometry
    _check_upright(geometry, "naf")
    offset_v, offset_u = geometry.detector_offset
    (rows, columns), (pitch_v, pitch_u) = geometry.detector_shape, geometry.detector_pitch
    content: dict[str, Any] = {
        "numTrain": geometry.views,
        "DSD": geometry.source_to_detector,
        "DSO": geometry.source_to_origin,
        "nDetector": [columns, rows],
        "dDetector": [pitch_u, pitch_v],
        "nVoxel": list(geometry.volume_shape[::-1]),
        "dVoxel": list(geometry.volume_spacing[::-1]),
        "offOrigin": list(geometry.volume_offset[::-1]),
        "offDetector": [offset_u, -offset_v],  # their rows and their vertical axis point down
        **_common(case),
        "convert": False,
        "normalize": True,
        "randomAngle": False,
        "attenuation_unit": unit,  # [1/mm] ours: their loader does not look at it
        "image": _truth_xyz(case, unit),
    }
    for part, scan in (("train", case.scan), ("val", case.heldout or case.scan)):
        projections = np.ascontiguousarray(scan.projections[:, ::-1] / np.float32(METRE * unit), dtype=np.float32)
        content[part] = {"angles": np.array(scan.geometry.angles), "projections": projections}
    content["numVal"] = len(content["val"]["angles"])
    path = folder / f"{file_name(case.name)}_{geometry.views}.pickle"
    path.write_bytes(_for_any_numpy(pickle.dumps(content, protocol=3)))
    return path


def _for_any_numpy(content: bytes) -> bytes:
    """The pickle of an array by NumPy 2 under the name that NumPy 1 knows, too. (Protocol 3 writes it once, as text, before any data.)"""
    return content.replace(b"cnumpy._core.multiarray\n_reconstruct\n", b"cnumpy.core.multiarray\n_reconstruct\n", 1)


def write_r2(folder: Path, case: Case, unit: float) -> Path:
    """meta_data.json, vol_gt.npy and one .npy per projection, in lengths of half the volume's longest edge."""
    geometry = case.scan.geometry
    _check_upright(geometry, "r2")
    if any(geometry.detector_offset):
        fix = "Use --format naf or folder."
        raise InputError("--format r2", expected="a centred detector (their renderer ignores an offset)", found="an offset", fix=fix)
    half = max(geometry.volume_extent) / 2  # [mm]; their loader then scales by 1
    meta: dict[str, Any] = {
        "scanner": {
            "mode": "cone",
            "DSD": geometry.source_to_detector / half,
            "DSO": geometry.source_to_origin / half,
            "nDetector": list(geometry.detector_shape),
            "sDetector": [n * d / half for n, d in zip(geometry.detector_shape, geometry.detector_pitch, strict=True)],
            "nVoxel": list(geometry.volume_shape[::-1]),
            "sVoxel": [edge / half for edge in geometry.volume_extent[::-1]],
            "offOrigin": [offset / half for offset in geometry.volume_offset[::-1]],
            "offDetector": [0.0, 0.0],
            **_common(case),
            "possion_noise": case.scan.photons or 0,
            "gaussian_noise": [0, 0],
        },
        "vol": "vol_gt.npy",
        "bbox": (geometry.volume_bounds / half).tolist(),
        "attenuation_unit": unit,
    }
    np.save(folder / "vol_gt.npy", _truth_xyz(case, unit))
    for part, scan in (("proj_train", case.scan), ("proj_test", case.heldout or case.scan)):
        (folder / part).mkdir()
        meta[part] = []
        for index, (angle, view) in enumerate(zip(scan.geometry.angles, scan.projections, strict=True)):
            name = f"{part}/{part}_{index:04d}.npy"
            np.save(folder / name, np.ascontiguousarray(view[::-1] / np.float32(half * unit), dtype=np.float32))
            meta[part].append({"file_path": name, "angle": float(angle)})
    path = folder / "meta_data.json"
    path.write_text(json.dumps(meta, indent=1))
    return path


def _common(case: Case) -> dict[str, Any]:
    geometry = case.scan.geometry
    return {
        "mode": "cone",
        "accuracy": 0.5,
        "filter": None,
        "totalAngle": float(np.rad2deg(geometry.arc)),
        "startAngle": float(np.rad2deg(geometry.angles[0])),
        "noise": case.scan.photons is not None,
    }


def _truth_xyz(case: Case, unit: float) -> np.ndarray:
    """Their truth [x, y, z]; zeros where nobody knows it, since their loaders need one."""
    truth = np.zeros(case.scan.geometry.volume_shape, np.float32) if case.truth is None else case.truth
    return np.ascontiguousarray(truth.transpose(2, 1, 0) / np.float32(unit), dtype=np.float32)


def _check_upright(geometry: ConeBeamGeometry, format: str) -> None:
    """Raise InputError for scanners that these formats cannot describe."""
    odd = [name for name in ("axis_shift", "source_height") if np.any(getattr(geometry, name))]
    if odd or not geometry.is_circular:
        found = f"{' and '.join(odd)}" if odd else "another orbit or a turned detector"
        expected = "a circular orbit about the axis with an upright detector"
        raise InputError(f"--format {format}", expected=expected, found=found, fix="Use --format folder.")
