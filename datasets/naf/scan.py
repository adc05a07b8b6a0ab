"""From a NAF pickle to a measured scan.

The file: lengths in mm, triples x y z, `image` [x, y, z] in [0, 1] taken as 1/m, projections its line integrals over metres
[view, row, column] with row 0 at the top. At angle 0 the source is on +x and columns grow along +y, as ours.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.api import Case, ConeBeamGeometry, InputError, Measured, Voxels, measured_case, parallel_distances, read_plain_pickle

from . import NafParams

METRE = 1000.0  # [mm]
LABELS = ("time", "phase")  # of X2, per view


def load(params: NafParams) -> Case:
    """The case of a file."""
    published = {"data": "sax", "scene": params.published} if params.published else {}
    return measured_case(dataclasses.replace(open_pickle(Path(params.path), params.offset_v == "loader"), published=published), params)


def open_pickle(path: Path, offset_v_is_down: bool = True) -> Measured:
    """The scan in a NAF, SAX-NeRF or X2 pickle. Raises InputError, naming the key, for a file that is none."""
    content = _Content(str(path), read_plain_pickle(path))
    parts = [content.views("train")] + ([content.views("val")] if "val" in content.values else [])
    angles = np.concatenate([angles for angles, _ in parts])
    detectors = {projections.shape[1:] for _, projections in parts}
    if len(detectors) > 1:
        raise InputError(f"{path}: val.projections", expected="the shape of the training views", found=f"{sorted(detectors)}")
    rows, columns = detectors.pop()
    pixel_v, pixel_u = content.detector_pair("dDetector", rows, columns)
    offset_u, offset_v = content.numbers("offDetector", 2, default=(0.0, 0.0))
    image = content.volume("image") if "image" in content.values else None
    voxels = content.numbers("nVoxel", 3) if image is None or "nVoxel" in content.values else image.shape
    if image is not None and image.shape != tuple(voxels):
        raise InputError(f"{path}: image", expected=f"shape [x, y, z] = nVoxel = {tuple(voxels)}", found=f"{image.shape}")
    spacing, offset = content.numbers("dVoxel", 3), content.numbers("offOrigin", 3, default=(0.0, 0.0, 0.0))
    mode = content.values.get("mode", "cone")
    if mode not in ("cone", "parallel"):
        raise InputError(f"{path}: mode", expected="'cone' or 'parallel'", found=f"{mode!r:.40}")
    distances = parallel_distances((rows, columns), (pixel_v, pixel_u)) if mode == "parallel" else content.distances()
    geometry = ConeBeamGeometry(
        source_to_origin=distances[0],
        source_to_detector=distances[1],
        detector_shape=(rows, columns),
        detector_pitch=(pixel_v, pixel_u),
        detector_offset=(-offset_v if offset_v_is_down else offset_v, offset_u),
        volume_shape=tuple(voxels[::-1]),
        volume_spacing=spacing[::-1],
        volume_offset=offset[::-1],
        angles=angles,
    )
    projections = [part for _, part in parts]
    training = len(projections[0])

    def view(index: int) -> np.ndarray:
        stored = projections[0][index] if index < training else projections[1][index - training]
        return np.ascontiguousarray(stored[::-1], dtype=np.float32)

    def truth() -> Voxels:
        assert image is not None
        z, y, x = spacing[::-1]
        return Voxels(image.transpose(2, 1, 0).astype(np.float32) / np.float32(METRE), (z, y, x), geometry.volume_offset)

    return Measured(
        name=path.stem,
        geometry=geometry,
        view=view,
        truth=None if image is None else truth,
        truth_note="the file's image, averaged over each voxel",
        training=tuple(range(training)),
        heldout=tuple(range(training, len(angles))) if len(parts) > 1 else None,
        view_labels=content.labels(["train", "val"][: len(parts)], [len(part) for part in projections]),
    )


class _Content:
    """The keys of a file, checked when they are asked for."""

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
        """(v, u) of a pair that is in nDetector's order: [rows, columns] in R2's files, [columns, rows] in NAF's own."""
        first, second = self.numbers(key, 2)
        count = self.numbers("nDetector", 2, default=(columns, rows))
        if count not in ((rows, columns), (columns, rows)):
            found = f"nDetector = {count} for projections of {rows} x {columns}"
            raise InputError(f"{self.where}: nDetector", expected=f"{columns} and {rows}", found=found)
        rows_first = count == (rows, columns) and (rows != columns or "sDetector" in self.values)
        return (first, second) if rows_first else (second, first)

    def views(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Angles [rad] and projections [view, row, column] of 'train' or 'val'."""
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
        """X2's time and phase of each view, where every part has them."""
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
    """No list within the list, and nothing but numbers."""
    return isinstance(value, np.ndarray) or (isinstance(value, list) and all(type(item) in (int, float) for item in value))
