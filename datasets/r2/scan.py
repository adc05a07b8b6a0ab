"""From an R2-Gaussian folder to a measured scan.

meta_data.json: lengths in one arbitrary unit, triples x y z, detector counts and sizes [v, u], offDetector [u, v]. Projections
[row, column] with row 0 at the top, the truth [x, y, z]. Numbers are kept; the unit's name is 'unit'. The published generator
moves the detector up and along u by offDetector (the published renderer ignores it).
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from benchmark.api import Case, ConeBeamGeometry, InputError, Measured, Voxels, measured_case, parallel_distances, read_npy

from . import R2Params

MOST_BYTES = 64 << 20  # of meta_data.json: a view takes about 100
MOST = 1e300  # beyond it is no number, and NaN is not below it


def load(params: R2Params) -> Case:
    """The case of a folder."""
    published = {"data": "r2", "scene": params.published} if params.published else {}
    return measured_case(dataclasses.replace(open_folder(Path(params.path)), published=published), params)


def open_folder(folder: Path) -> Measured:
    """The scan in a folder (synthetic or real layout). Raises InputError, naming the key or file, for one that is none."""
    where = folder / "meta_data.json"
    meta = _read_json(where)
    scanner = meta.get("scanner")
    if not isinstance(scanner, dict):
        raise InputError(f"{where}: scanner", expected="the scanner's keys", found=type(scanner).__name__)
    frames = [_frames(folder, where, meta, part) for part in ("proj_train", "proj_test")]
    if not frames[0]:
        raise InputError(f"{where}: proj_train", expected="at least one projection", found="none")
    everything = frames[0] + frames[1]
    rows, columns = _numbers(where, scanner, "nDetector", 2)
    size_v, size_u = _numbers(where, scanner, "sDetector", 2)
    offset_u, offset_v = _numbers(where, scanner, "offDetector", 2, default=[0.0, 0.0])
    voxels, edges = _numbers(where, scanner, "nVoxel", 3), _numbers(where, scanner, "sVoxel", 3)
    if min(rows, columns, *voxels) < 1:
        raise InputError(f"{where}: scanner", expected="positive nDetector and nVoxel", found=f"{rows, columns}, {voxels}")
    offset = _numbers(where, scanner, "offOrigin", 3, default=[0.0, 0.0, 0.0])
    pitch = (size_v / rows, size_u / columns)
    mode = scanner.get("mode", "cone")
    if mode not in ("cone", "parallel"):
        raise InputError(f"{where}: scanner.mode", expected="'cone' or 'parallel'", found=f"{mode!r:.40}")
    detector = (int(rows), int(columns))
    if mode == "parallel":
        origin, distance = parallel_distances(detector, pitch)
    else:
        (origin,), (distance,) = (_numbers(where, scanner, key, 1) for key in ("DSO", "DSD"))
    geometry = ConeBeamGeometry(
        source_to_origin=origin,
        source_to_detector=distance,
        detector_shape=(rows, columns),
        detector_pitch=pitch,
        detector_offset=(offset_v, offset_u),
        volume_shape=tuple(voxels[::-1]),
        volume_spacing=tuple(edge / count for edge, count in zip(edges[::-1], voxels[::-1], strict=True)),
        volume_offset=tuple(offset[::-1]),
        angles=np.array([angle for _, angle in everything]),
    )

    def view(index: int) -> np.ndarray:
        path = everything[index][0]
        stored = _array(path, 2)
        if stored.shape != detector:
            raise InputError(str(path), expected=f"shape nDetector = {detector}", found=f"{stored.shape}")
        return np.ascontiguousarray(stored[::-1], dtype=np.float32)

    truth = meta.get("vol", meta.get("ct"))  # the generators of synthetic and of real data name it differently
    file = None if truth is None else _inside(folder, where, "vol", truth)

    def volume() -> Voxels:
        assert file is not None
        values = _array(file, 3)
        if values.shape != tuple(voxels):
            raise InputError(str(file), expected=f"shape [x, y, z] = nVoxel = {tuple(voxels)}", found=f"{values.shape}")
        return Voxels(values.transpose(2, 1, 0), geometry.volume_spacing, geometry.volume_offset)

    training = len(frames[0])
    return Measured(
        name=folder.resolve().name,
        geometry=geometry,
        view=view,
        truth=None if file is None else volume,
        truth_note=f"{file.name if file else ''}, averaged over each voxel",
        length_unit="unit",
        training=tuple(range(training)),
        heldout=tuple(range(training, len(everything))) if frames[1] else None,
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(str(path), expected=f"at most {MOST_BYTES >> 20} MiB", found=f"{path.stat().st_size >> 20} MiB")
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(str(path), expected="a file that can be read", found=error.strerror or str(error)) from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(str(path), expected="JSON", found=str(error)[:200]) from None
    if not isinstance(content, dict):
        raise InputError(str(path), expected="keys and values", found=type(content).__name__)
    return content


def _frames(folder: Path, where: Path, meta: dict[str, Any], part: str) -> list[tuple[Path, float]]:
    """File and angle [rad] of each projection of a part; the test part may be absent."""
    entries = meta.get(part, [] if part == "proj_test" else None)
    if not isinstance(entries, list):
        raise InputError(f"{where}: {part}", expected="a list of {file_path, angle}", found=type(entries).__name__)
    found = []
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or not {"file_path", "angle"} <= set(entry):
            raise InputError(f"{where}: {part}[{number}]", expected="file_path and angle", found=f"{entry!r:.80}")
        (angle,) = _numbers(where, entry, "angle", 1)
        found.append((_inside(folder, where, f"{part}[{number}].file_path", entry["file_path"]), float(angle)))
    return found


def _inside(folder: Path, where: Path, key: str, name: Any) -> Path:
    """A file of the folder; names may hold backslashes. Raises InputError for one that leads elsewhere."""
    path = PurePosixPath(name.replace("\\", "/")) if isinstance(name, str) and "\0" not in name else None
    if path is None or not path.parts or path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        raise InputError(f"{where}: {key}", expected="a file inside the folder", found=f"{name!r:.80}")
    return folder / path


def _array(path: Path, axes: int) -> np.ndarray:
    if not path.is_file():
        raise InputError(str(path), expected="a file", found="none")
    found = read_npy(path)
    if found.ndim != axes:
        raise InputError(str(path), expected=f"{axes} axes", found=f"shape {found.shape}")
    if not all(np.isfinite(part).all() for part in found):
        raise InputError(str(path), expected="finite numbers", found="NaN or Inf")
    return found


def _numbers(where: Path, values: dict[str, Any], key: str, count: int, default: list[float] | None = None) -> list[Any]:
    """`count` numbers of a key (one may stand without a list)."""
    value = values.get(key)
    if value is None and default is not None:
        return default
    found: list[Any] = value if isinstance(value, list) else [value]
    if len(found) != count or not all(type(item) in (int, float) and abs(item) < MOST for item in found):
        raise InputError(f"{where}: {key}", expected=f"{count} finite number{'s' * (count > 1)}", found=f"{value!r:.80}")
    return found
