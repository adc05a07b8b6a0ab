"""Read and write the pickle of NAF, SAX-NeRF and X2: read as a measured scan, written for their own loaders.

File: lengths in mm, triples x y z, `image` [x, y, z] in [0, 1] taken as 1/m, projections its line integrals over metres
[view, row, column] with row 0 at the top, offDetector (u, v). At angle 0 the source is on +x and columns grow along +y, as in this project.
A written file holds attenuation relative to a unit [1/mm], so that 1 exceeds the densest voxel.
"""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmark.acquisition.measured import Measured
from benchmark.acquisition.voxels import Voxels
from benchmark.errors import InputError
from benchmark.exchange.peers import backward, check_upright, header, relative_truth, transposed, upside_down
from benchmark.files.pickles import read_plain_pickle
from benchmark.scan.case import Case, file_name
from benchmark.scan.geometry import ConeBeamGeometry, parallel_distances

METRE = 1000.0  # [mm]
PARTS = ("train", "val")
LABELS = ("time", "phase")  # of X2, per view

Sense = Literal["loader", "generator"]
# Sense of offDetector's v: their loader's vertical axis points down; TIGRE's, which generates their data, points up as ours.
V_SIGN: dict[Sense, float] = {"loader": -1.0, "generator": 1.0}


def read_naf(path: Path, offset_v: Sense = "loader") -> Measured:
    """Read a pickle of NAF, SAX-NeRF or X2: its own training and validation views, its image as truth.

    Raise InputError, naming the key, for any other file.
    """
    content = _Content(str(path), read_plain_pickle(path))
    parts = [content.views(part) for part in PARTS if part == "train" or part in content.values]
    angles = np.concatenate([angles for angles, _ in parts])
    detectors = {projections.shape[1:] for _, projections in parts}
    if len(detectors) > 1:
        raise InputError(f"{path}: val.projections", expected="the shape of the training views", found=f"{sorted(detectors)}")
    (detector,) = detectors
    image = content.volume("image") if "image" in content.values else None
    geometry = _geometry_of(content, detector, angles, image, V_SIGN[offset_v])
    projections = [part for _, part in parts]
    training = len(projections[0])

    def view(index: int) -> np.ndarray:
        return upside_down(projections[0][index] if index < training else projections[1][index - training])

    def truth() -> Voxels:
        assert image is not None
        return Voxels(transposed(image).astype(np.float32) / np.float32(METRE), geometry.volume_spacing, geometry.volume_offset)

    return Measured(
        name=path.stem,
        geometry=geometry,
        view=view,
        truth=None if image is None else truth,
        truth_note="the file's image, averaged over each voxel",
        training=tuple(range(training)),
        heldout=tuple(range(training, len(angles))) if len(parts) > 1 else None,
        protocol=True,
        view_labels=content.labels(list(PARTS[: len(parts)]), [len(part) for part in projections]),
    )


def write_naf(folder: Path, case: Case, unit: float) -> Path:
    """Write <case>_<views>.pickle for their loaders: mu / unit, held-out views as validation (the training views where there are none).

    Raise InputError for scanners that the format cannot describe.
    """
    geometry = case.scan.geometry
    check_upright(geometry, "naf")
    offset_v, offset_u = geometry.detector_offset
    content: dict[str, Any] = {
        "numTrain": geometry.views,
        "DSD": geometry.source_to_detector,
        "DSO": geometry.source_to_origin,
        "nDetector": backward(geometry.detector_shape),
        "dDetector": backward(geometry.detector_pitch),
        "nVoxel": backward(geometry.volume_shape),
        "dVoxel": backward(geometry.volume_spacing),
        "offOrigin": backward(geometry.volume_offset),
        "offDetector": [offset_u, V_SIGN["loader"] * offset_v],
        **header(case),
        "convert": False,
        "normalize": True,
        "randomAngle": False,
        "attenuation_unit": unit,  # [1/mm] for our reader; their loader ignores the key
        "image": relative_truth(case, unit),
    }
    for part, scan in zip(PARTS, (case.scan, case.heldout or case.scan), strict=True):
        projections = upside_down(scan.projections / np.float32(METRE * unit))
        content[part] = {"angles": np.array(scan.geometry.angles), "projections": projections}
    content["numVal"] = len(content["val"]["angles"])
    path = folder / f"{file_name(case.name)}_{geometry.views}.pickle"
    path.write_bytes(_for_any_numpy(pickle.dumps(content, protocol=3)))
    return path


def _for_any_numpy(content: bytes) -> bytes:
    """Return a pickle by NumPy 2 with the module name that NumPy 1 also knows. (Protocol 3 writes it once, as text, before any data.)"""
    return content.replace(b"cnumpy._core.multiarray\n_reconstruct\n", b"cnumpy.core.multiarray\n_reconstruct\n", 1)


def _geometry_of(
    content: _Content, detector: tuple[int, int], angles: np.ndarray, image: np.ndarray | None, v_sign: float
) -> ConeBeamGeometry:
    """Return the scanner that a file's keys describe, for a detector of (rows, columns)."""
    pitch = content.detector_pair("dDetector", *detector)
    offset_u, offset_v = content.numbers("offDetector", 2, default=(0.0, 0.0))
    voxels = content.numbers("nVoxel", 3) if image is None or "nVoxel" in content.values else image.shape
    if image is not None and image.shape != tuple(voxels):
        raise InputError(f"{content.where}: image", expected=f"shape [x, y, z] = nVoxel = {tuple(voxels)}", found=f"{image.shape}")
    spacing, offset = content.numbers("dVoxel", 3), content.numbers("offOrigin", 3, default=(0.0, 0.0, 0.0))
    mode = content.values.get("mode", "cone")
    if mode not in ("cone", "parallel"):
        raise InputError(f"{content.where}: mode", expected="'cone' or 'parallel'", found=f"{mode!r:.40}")
    origin, distance = parallel_distances(detector, pitch) if mode == "parallel" else content.distances()
    return ConeBeamGeometry(
        source_to_origin=origin,
        source_to_detector=distance,
        detector_shape=detector,
        detector_pitch=pitch,
        detector_offset=(v_sign * offset_v, offset_u),
        volume_shape=backward(voxels),
        volume_spacing=backward(spacing),
        volume_offset=backward(offset),
        angles=angles,
    )


class _Content:
    """Keys of a file, checked on access."""

    def __init__(self, where: str, values: dict[str, Any]) -> None:
        self.where, self.values = where, values

    def _get(self, key: str) -> Any:
        if key not in self.values:
            raise InputError(f"{self.where}: {key}", expected="this key", found=f"only {', '.join(sorted(self.values))[:300]}")
        return self.values[key]

    def numbers(self, key: str, count: int, default: tuple[float, ...] | None = None) -> tuple[Any, ...]:
        if default is not None and self.values.get(key) is None:
            return default
        value = self._get(key)
        found = np.asarray(value) if isinstance(value, list | int | float | np.ndarray) and _flat(value) else None
        if found is None or found.shape != (count,) or found.dtype.kind not in "iuf" or not np.isfinite(found).all():
            raise InputError(f"{self.where}: {key}", expected=f"{count} numbers", found=f"{value!r:.80}")
        return tuple(found.tolist())

    def distances(self) -> tuple[float, float]:
        return self.length("DSO"), self.length("DSD")

    def length(self, key: str) -> float:
        value = self._get(key)
        if isinstance(value, np.ndarray) and value.size == 1:
            value = value.item()
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise InputError(f"{self.where}: {key}", expected="a length in mm", found=f"{value!r:.80}")
        return float(value)

    def detector_pair(self, key: str, rows: int, columns: int) -> tuple[float, float]:
        """Return (v, u) of a pair in nDetector's order: [rows, columns] in R2's files, [columns, rows] in NAF's own."""
        first, second = self.numbers(key, 2)
        count = self.numbers("nDetector", 2, default=(columns, rows))
        if count not in ((rows, columns), (columns, rows)):
            found = f"nDetector = {count} for projections of {rows} x {columns}"
            raise InputError(f"{self.where}: nDetector", expected=f"{columns} and {rows}", found=found)
        rows_first = count == (rows, columns) and (rows != columns or "sDetector" in self.values)
        return (first, second) if rows_first else (second, first)

    def views(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Return angles [rad] and projections [view, row, column] of 'train' or 'val'."""
        group = self._get(part)
        if not isinstance(group, dict) or not {"angles", "projections"} <= set(group):
            raise InputError(f"{self.where}: {part}", expected="angles and projections", found=f"{type(group).__name__}")
        projections, angles = group["projections"], group["angles"]
        self._check_array(f"{part}.projections", projections, "[view, row, column]")
        angles = np.asarray(angles, dtype=np.float64) if isinstance(angles, np.ndarray) or _flat(angles) else np.empty(0)
        if angles.shape != projections.shape[:1]:
            expected = f"{len(projections)} angles, one for each projection"
            raise InputError(f"{self.where}: {part}.angles", expected=expected, found=f"shape {angles.shape}")
        return angles, projections

    def labels(self, parts: list[str], counts: list[int]) -> dict[str, np.ndarray]:
        """Return X2's time and phase of each view, if every part has them."""
        found = {}
        for name in LABELS:
            values = [self.values[part].get(name) for part in parts]
            if any(value is None for value in values):
                continue
            for part, value, count in zip(parts, values, counts, strict=True):
                if not _flat(value) or np.shape(value) != (count,):
                    raise InputError(f"{self.where}: {part}.{name}", expected=f"{count} numbers", found=f"{value!r:.80}")
            found[name] = np.concatenate([np.asarray(value, dtype=np.float64) for value in values])
        return found

    def volume(self, key: str) -> np.ndarray:
        value = self._get(key)
        self._check_array(key, value, "[x, y, z]")
        return value

    def _check_array(self, key: str, value: Any, axes: str) -> None:
        if not isinstance(value, np.ndarray) or value.ndim != 3 or 0 in value.shape:
            found = f"shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
            raise InputError(f"{self.where}: {key}", expected=f"an array {axes}", found=found)
        if not np.isfinite(value).all():
            raise InputError(f"{self.where}: {key}", expected="finite numbers", found="NaN or Inf")


def _flat(value: Any) -> bool:
    """Return True for a flat list of numbers."""
    return isinstance(value, np.ndarray) or (isinstance(value, list) and all(type(item) in (int, float) for item in value))
