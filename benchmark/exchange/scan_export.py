"""Export a scan in any format, or a case as a folder with scan.yaml."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from benchmark.errors import InputError
from benchmark.exchange.naf import write_naf
from benchmark.exchange.r2 import write_r2
from benchmark.reconstruction.ordered_subsets import OrderedSubsets
from benchmark.scan.case import Case
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan.scan import MEASURED, Scan
from benchmark.storage import atomic

WRITERS: dict[str, Callable[[Path, Case, float], Path]] = {"naf": write_naf, "r2": write_r2}
FORMATS = (*WRITERS, "folder")
HEADROOM = 1.25  # of the unit over the densest voxel of a quick reconstruction: a sigmoid cannot reach more than 1
PASSES, VOXELS = 8, 64  # of that reconstruction; voxels along its longest edge


def export_scan(case: Case, format: str, folder: Path) -> tuple[Path, float]:
    """Write a new folder, complete or not at all; return the file to open and the attenuation [1/mm] of the value 1 in that format.

    Raise InputError for a folder that exists and for scanners or views that the format cannot describe.
    """
    if case.scan.composite != "sum":
        raise InputError(f"case '{case.name}'", expected=MEASURED["sum"], found=f"{MEASURED[case.scan.composite]}, which no format has")
    if folder.exists():
        raise InputError(str(folder), expected="a new folder", found="one that exists", fix="Remove it or choose another --output.")
    if not folder.parent.is_dir():
        raise InputError(str(folder.parent), expected="a folder", found="none", fix="Create it or choose another --output.")
    unit = 1.0 if format == "folder" else attenuation_unit(case.scan)
    with atomic.new_folder(folder) as temporary:
        written = _write_folder(temporary, case) if format == "folder" else WRITERS[format](temporary, case, unit)
    return folder / written.name, unit


def attenuation_unit(scan: Scan) -> float:
    """Return the attenuation [1/mm] of the value 1 in peers' files: above the densest voxel by a quick SART of the measured views.

    Peers need attenuation in [0, 1]: an outside method's volume times the unit is attenuation again. Raise InputError for
    views that show nothing.
    """
    shape = scan.geometry.volume_shape
    share = min(1.0, VOXELS / max(shape))
    z, y, x = (max(1, round(count * share)) for count in shape)
    geometry = scan.geometry.with_volume((z, y, x))
    subsets = OrderedSubsets(Scan(scan.projections, geometry), size=4)
    volume = torch.zeros(geometry.volume_shape, dtype=torch.float32)
    for index in range(PASSES * len(subsets)):
        subsets.correct(volume, index, 0.5)
    densest = float(volume.max())
    if densest <= 0:
        raise InputError("scan", expected="projections of something", found="nothing that attenuates")
    return HEADROOM * densest


def _write_folder(folder: Path, case: Case) -> Path:
    """Write scan.yaml, projections.npy and masks.npy (training views, then held-out ones) and truth.npy, all numbers unchanged."""
    geometry, scans = case.scan.geometry, [case.scan, *([case.heldout] if case.heldout else [])]
    np.save(folder / "projections.npy", np.concatenate([scan.projections for scan in scans]))
    content: dict[str, Any] = {
        "version": 1,
        "name": case.name,
        "length_unit": case.scan.length_unit,
        "angle_unit": "radians",
        "projections": {"file": "projections.npy"},
        "volume": {
            "extent": list(geometry.volume_extent),
            "offset": list(geometry.volume_offset),
            "shape": list(geometry.volume_shape),
        },
        "views": {"training": list(range(geometry.views))},
    }
    if case.heldout:
        content["views"]["heldout"] = list(range(geometry.views, geometry.views + case.heldout.geometry.views))
    if case.scan.photons is not None:
        content["projections"]["photons"] = case.scan.photons
    if case.scan.noise is not None:
        content["projections"]["noise"] = case.scan.noise
    masks = [scan.masks for scan in scans if scan.masks is not None]
    if len(masks) == len(scans):
        np.save(folder / "masks.npy", np.concatenate(masks))
        content["masks"] = {"file": "masks.npy"}
    if case.scan.valid is not None:
        np.save(folder / "bad.npy", ~case.scan.valid[0])
        content["preprocessing"] = {"bad_pixels": "bad.npy"}
    if geometry.view_vectors is not None:
        np.save(folder / "vectors.npy", np.concatenate([scan.geometry.vectors() for scan in scans]).reshape(-1, 12))
        content["geometry"] = {"vectors": "vectors.npy"}
    else:
        content["geometry"] = _scanner(case, scans)
        content["angles"] = {"values": np.concatenate([scan.geometry.angles for scan in scans]).tolist()}
    if case.truth is not None:
        np.save(folder / "truth.npy", case.truth)
        content["truth"] = {"file": "truth.npy", "note": case.truth_note}
    path = folder / "scan.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=120), encoding="utf-8")
    return path


def _scanner(case: Case, scans: list[Any]) -> dict[str, Any]:
    geometry = case.scan.geometry
    values: dict[str, Any] = {
        "source_to_origin": geometry.source_to_origin,
        "source_to_detector": geometry.source_to_detector,
        "detector_pitch": list(geometry.detector_pitch),
        "detector_offset": list(geometry.detector_offset),
    }
    for name in ConeBeamGeometry.PER_VIEW:
        per_view = np.concatenate([np.broadcast_to(getattr(scan.geometry, name), scan.geometry.views) for scan in scans])
        if per_view.any():
            values[name] = float(per_view[0]) if np.ptp(per_view) == 0 else per_view.tolist()
    return values
