"""Read and write the folder of R2-Gaussian: read as a measured scan, written for its own loader.

meta_data.json: lengths in one arbitrary unit, triples x y z, detector counts and sizes [v, u], offDetector [u, v]. Projections
[row, column] with row 0 at the top, the truth [x, y, z]. Numbers are kept as read; the unit's name is 'unit'. The published
generator moves the detector up and along u by offDetector (the published renderer ignores it, so only centred detectors are written).
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from benchmark.acquisition.measured import Measured
from benchmark.acquisition.voxels import Voxels
from benchmark.errors import InputError
from benchmark.exchange.peers import backward, check_upright, header, relative_truth, transposed, upside_down
from benchmark.files.arrays import read_npy
from benchmark.scan.case import Case
from benchmark.scan.geometry import ConeBeamGeometry, parallel_distances
from benchmark.storage.text import read_text

META = "meta_data.json"
PARTS = ("proj_train", "proj_test")
MOST_BYTES = 64 << 20  # of meta_data.json: a view takes about 100
MOST = 1e300  # larger values count as invalid, and NaN compares false


def read_r2(folder: Path) -> Measured:
    """Read a folder (synthetic or real layout): its own training and test views, its volume as truth.

    Raise InputError, naming the key or file, for any other folder.
    """
    where = folder / META
    meta = _read_json(where)
    scanner = meta.get("scanner")
    if not isinstance(scanner, dict):
        raise InputError(f"{where}: scanner", expected="the scanner's keys", found=type(scanner).__name__)
    frames = [_frames(folder, where, meta, part) for part in PARTS]
    if not frames[0]:
        raise InputError(f"{where}: proj_train", expected="at least one projection", found="none")
    everything = frames[0] + frames[1]
    geometry = _geometry_of(where, scanner, np.array([angle for _, angle in everything]))

    def view(index: int) -> np.ndarray:
        path = everything[index][0]
        stored = _array(path, 2)
        if stored.shape != geometry.detector_shape:
            raise InputError(str(path), expected=f"shape nDetector = {geometry.detector_shape}", found=f"{stored.shape}")
        return upside_down(stored)

    truth = meta.get("vol", meta.get("ct"))  # the generators of synthetic and of real data name it differently
    file = None if truth is None else _inside(folder, where, "vol", truth)

    def volume() -> Voxels:
        assert file is not None
        values, wanted = transposed(_array(file, 3)), geometry.volume_shape
        if values.shape != wanted:
            found = f"{values.shape[::-1]}"
            raise InputError(str(file), expected=f"shape [x, y, z] = nVoxel = {wanted[::-1]}", found=found)
        return Voxels(values, geometry.volume_spacing, geometry.volume_offset)

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
        protocol=True,
    )


def write_r2(folder: Path, case: Case, unit: float) -> Path:
    """Write meta_data.json, vol_gt.npy and one .npy per projection for their loader: mu / unit, lengths in halves of the longest edge.

    Held-out views are the test views (the training views where there are none). Raise InputError for scanners that the format or
    its renderer cannot describe.
    """
    geometry = case.scan.geometry
    check_upright(geometry, "r2")
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
            "nVoxel": backward(geometry.volume_shape),
            "sVoxel": [edge / half for edge in backward(geometry.volume_extent)],
            "offOrigin": [offset / half for offset in backward(geometry.volume_offset)],
            "offDetector": [0.0, 0.0],
            **header(case),
            "possion_noise": case.scan.photons or 0,
            "gaussian_noise": [0, 0],
        },
        "vol": "vol_gt.npy",
        "bbox": (geometry.volume_bounds / half).tolist(),
        "attenuation_unit": unit,
    }
    np.save(folder / "vol_gt.npy", relative_truth(case, unit))
    for part, scan in zip(PARTS, (case.scan, case.heldout or case.scan), strict=True):
        (folder / part).mkdir()
        meta[part] = []
        for index, (angle, view) in enumerate(zip(scan.geometry.angles, scan.projections, strict=True)):
            name = f"{part}/{part}_{index:04d}.npy"
            np.save(folder / name, upside_down(view / np.float32(half * unit)))
            meta[part].append({"file_path": name, "angle": float(angle)})
    path = folder / META
    path.write_text(json.dumps(meta, indent=1), encoding="utf-8")
    return path


def _geometry_of(where: Path, scanner: dict[str, Any], angles: np.ndarray) -> ConeBeamGeometry:
    """Return the scanner that the keys of meta_data.json describe."""
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
    if mode == "parallel":
        origin, distance = parallel_distances((int(rows), int(columns)), pitch)
    else:
        (origin,), (distance,) = (_numbers(where, scanner, key, 1) for key in ("DSO", "DSD"))
    return ConeBeamGeometry(
        source_to_origin=origin,
        source_to_detector=distance,
        detector_shape=(rows, columns),
        detector_pitch=pitch,
        detector_offset=(offset_v, offset_u),
        volume_shape=backward(voxels),
        volume_spacing=backward([edge / count for edge, count in zip(edges, voxels, strict=True)]),
        volume_offset=backward(offset),
        angles=angles,
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_text(path, most_bytes=MOST_BYTES))
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(str(path), expected="JSON", found=str(error)[:200]) from None
    if not isinstance(content, dict):
        raise InputError(str(path), expected="keys and values", found=type(content).__name__)
    return content


def _frames(folder: Path, where: Path, meta: dict[str, Any], part: str) -> list[tuple[Path, float]]:
    """Return file and angle [rad] of each projection of a part; the test part may be absent."""
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
    """Return a file's path in the folder; names may hold backslashes. Raise InputError for a path outside the folder."""
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
    """Return `count` numbers of a key (a single one needs no list)."""
    value = values.get(key)
    if value is None and default is not None:
        return default
    found: list[Any] = value if isinstance(value, list) else [value]
    if len(found) != count or not all(type(item) in (int, float) and abs(item) < MOST for item in found):
        raise InputError(f"{where}: {key}", expected=f"{count} finite number{'s' * (count > 1)}", found=f"{value!r:.80}")
    return found
