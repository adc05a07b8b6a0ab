"""TIGRE: the attributes of a geometry in .npz (as Python orders them) or .mat (as MATLAB does), with the angles.

Facts: lengths in mm, angles in rad, counter-clockwise; the source stands at DSO (cos a, sin a, 0), columns run along (-sin a, cos a, 0),
rows along z. Python orders detectors (v, u) and volumes (z, y, x), MATLAB (u, v) and (x, y, z). offDetector moves the detector, offOrigin
the volume, COR source and detector along the columns; rotDetector turns the detector about the axis to the source, the columns and z.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.api import InputError, ScanDraft, one_line

from .folders import ending

MOST = 64 << 20  # [bytes] of one array of a geometry, and of a whole .mat file
ANGLES = ("angles", "theta", "thetas")
STACKS = ("projections", "projection", "proj", "projs", "p")


def recognises(folder: Path) -> list[Path]:
    """Return the files with TIGRE's attributes in a folder."""
    return [path for path in ending(folder, ".npz", ".mat") if {"DSD", "DSO"} <= _names(path)]


def _names(path: Path) -> set[str]:
    if path.suffix.lower() == ".npz":
        try:
            with zipfile.ZipFile(path) as content:
                return {name.removesuffix(".npy") for name in content.namelist()}
        except zipfile.BadZipFile:
            return set()
    try:
        values = _matlab(path)
    except InputError:
        return set()
    return set(values)


def _numpy(path: Path) -> dict[str, Any]:
    """Return the small arrays of an .npz file; a stack of projections stays in it."""
    try:
        with zipfile.ZipFile(path) as content:
            sizes = {item.filename.removesuffix(".npy"): item.file_size for item in content.infolist()}
            if not {item.compress_type for item in content.infolist()} <= {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                raise ValueError("compressed in a way that NumPy does not use")
        with np.load(path, allow_pickle=False) as content:
            found = {name: content[name] for name, size in sizes.items() if size <= MOST and name not in STACKS}
        return {"__stacks__": [name for name in STACKS if name in sizes], **found}
    except (ValueError, OSError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(str(path), expected="an .npz file of plain arrays", found=one_line(error)) from error


def _matlab(path: Path) -> dict[str, Any]:
    """Return the variables of a .mat file, those of a structure `geo` among them."""
    from scipy.io import loadmat, whosmat

    with path.open("rb") as file:
        head = file.read(128)
    if head.startswith(b"MATLAB 7.3"):
        raise InputError(str(path), expected="a .mat file up to version 7", found="version 7.3", fix="In MATLAB: save(name, '-v7').")
    if path.stat().st_size > MOST:
        raise InputError(str(path), expected=f"at most {MOST >> 20} MiB", found=f"{path.stat().st_size >> 20} MiB")
    try:
        if sum(8 * int(np.prod(shape, dtype=object)) for _, shape, _ in whosmat(path)) > 16 * MOST:
            raise InputError(str(path), expected="a geometry", found="arrays of more than 1 GiB")
        found = loadmat(path, simplify_cells=True)
    except InputError:
        raise
    except Exception as error:  # scipy raises many kinds for damaged files
        raise InputError(str(path), expected="an undamaged .mat file", found=one_line(error)) from error
    for value in list(found.values()):
        if isinstance(value, Mapping) and {"DSD", "DSO"} <= set(value):
            found.update(value)
    return found


class _Attributes:
    """Attributes of a geometry, in Python's order."""

    def __init__(self, path: Path) -> None:
        self.path, self.reversed = path, path.suffix.lower() == ".mat"
        self.values = _matlab(path) if self.reversed else _numpy(path)

    def array(self, name: str, default: Any = None) -> np.ndarray:
        value = self.values.get(name, default)
        try:
            found = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            found = np.array(np.nan)
        if value is None or not np.isfinite(found).all() or not found.size:
            raise InputError(f"{self.path}: {name}", expected="finite numbers", found="none" if value is None else f"{value!r:.60}")
        return found

    def rows(self, name: str, width: int, views: int, default: float | None = None) -> np.ndarray:
        """Return `width` numbers for each view [view, width]; MATLAB keeps a column per view."""
        found = self.array(name, default)
        if self.reversed and found.ndim == 2 and found.shape == (width, views):
            found = found.T
        found = found.reshape(-1, 1) if width == 1 else np.atleast_2d(found if found.size > 1 else np.full(width, found))
        if found.shape not in ((1, width), (views, width)):
            expected = f"{width} number{'s' * (width > 1)}, or as many for each of {views} views"
            raise InputError(f"{self.path}: {name}", expected=expected, found=f"shape {found.shape}")
        return np.broadcast_to(found[:, ::-1] if self.reversed and name != "rotDetector" else found, (views, width))

    def one(self, name: str, width: int, default: float | None = None) -> list[float]:
        return [float(number) for number in self.rows(name, width, 1, default)[0]]

    def source(self, *names: str) -> str:
        return f"{self.path.name}: {', '.join(names)}"


def read(path: Path) -> ScanDraft:
    """Read the scan of a file with TIGRE's attributes."""
    given, draft = _Attributes(path), ScanDraft()
    key = next((name for name in ANGLES if name in given.values), None)
    if key is None:
        raise InputError(str(path), expected=f"one of the arrays {', '.join(ANGLES)}", found=", ".join(sorted(given.values))[:100])
    angles = given.array(key)
    if angles.ndim == 2 and 3 in angles.shape and angles.size > 3 and min(angles.shape) == 3:
        angles = angles if angles.shape[1] == 3 else angles.T
        if angles[:, 1:].any():
            raise InputError(f"{path}: {key}", expected="rotations about z alone", found="Euler angles about other axes")
        angles = angles[:, 0]
    angles = angles.ravel()
    rows, columns = (int(number) for number in given.one("nDetector", 2))
    draft.images = (len(angles), rows, columns)
    draft.set("length_unit", "mm", "as TIGRE counts")
    draft.set("projections.axes", ["view", "v", "u"], "as TIGRE stacks them")
    _projections(given, draft, draft.images)
    if "parallel" in str(given.values.get("mode", "cone")):
        _parallel(given, draft, angles, key)
    elif not given.rows("rotDetector", 3, len(angles), 0).any():
        draft.orbit(
            _vectors(given, angles),
            (rows, columns),
            given.source("DSO", "DSD", "dDetector", "offDetector", "COR", key),
            {
                "source_to_origin": given.source("DSO"),
                "source_to_detector": given.source("DSD"),
                "detector_pitch": given.source("dDetector"),
                "detector_offset": given.source("offDetector"),
                "axis_shift": given.source("COR"),
                "angles": given.source(key),
            },
        )
    else:
        _turned(given, draft, angles, key)
    _volume(given, draft, len(angles))
    return draft


def _projections(given: _Attributes, draft: ScanDraft, shape: tuple[int, int, int]) -> None:
    """Set the projections if the same file holds them."""
    name = given.path.name
    if not given.reversed:
        if given.values["__stacks__"]:
            draft.set("projections.file", name, "it holds the projections")
            draft.set("projections.key", given.values["__stacks__"][0], "the name of the array")
            draft.set("projections.values", "line_integrals", "as TIGRE counts")
        return
    for key in STACKS:
        stack = given.values.get(key)
        if isinstance(stack, np.ndarray) and stack.ndim == 3 and stack.dtype.kind in "biuf":
            turned = stack.transpose(2, 0, 1)  # MATLAB: [v, u, view]
            if turned.shape != shape:
                raise InputError(f"{given.path}: {key}", expected=f"[v, u, view] = {(*shape[1:], shape[0])}", found=f"{stack.shape}")
            draft.table("projections.file", "scan_projections.npy", np.ascontiguousarray(turned), given.source(key))
            draft.set("projections.values", "line_integrals", "as TIGRE counts")
            return


def _vectors(given: _Attributes, angles: np.ndarray) -> np.ndarray:
    views = len(angles)
    near, far, shift = (given.rows(name, 1, views, default) for name, default in (("DSO", None), ("DSD", None), ("COR", 0)))
    (up, along), (pitch_v, pitch_u) = given.rows("offDetector", 2, views, 0).T, given.one("dDetector", 2)
    cos, sin, zero = np.cos(angles), np.sin(angles), np.zeros(views)
    out, right, above = np.stack([cos, sin, zero], -1), np.stack([-sin, cos, zero], -1), np.stack([zero, zero, zero + 1], -1)
    centre = (near - far) * out + (shift + along[:, None]) * right + up[:, None] * above
    return np.stack([near * out + shift * right, centre, pitch_u * right, pitch_v * above], 1)


def _turned(given: _Attributes, draft: ScanDraft, angles: np.ndarray, key: str) -> None:
    """Set a circle with a turned detector."""
    views = len(angles)
    for name, width in (("DSO", 1), ("DSD", 1), ("offDetector", 2)):
        if np.ptp(given.rows(name, width, views, 0), axis=0).any():
            raise InputError(f"{given.path}: {name}", expected="the same in all views where rotDetector turns the detector", found="others")
    _upright_rows(draft)
    draft.set("angle_unit", "radians", "as TIGRE counts")
    for target, name in (("source_to_origin", "DSO"), ("source_to_detector", "DSD")):
        draft.set(f"geometry.{target}", float(given.rows(name, 1, views)[0, 0]), given.source(name))
    draft.set("geometry.detector_pitch", given.one("dDetector", 2), given.source("dDetector"))
    draft.set("geometry.detector_offset", list(given.rows("offDetector", 2, views, 0)[0]), given.source("offDetector"))
    values = {"axis_shift": given.rows("COR", 1, views, 0)[:, 0]}
    roll, pitch, yaw = given.rows("rotDetector", 3, views).T
    values |= {"detector_roll": -roll, "detector_pitch_angle": pitch, "detector_yaw": yaw}
    for target, numbers in values.items():
        name = given.source("COR" if target == "axis_shift" else "rotDetector")
        if np.ptp(numbers):
            draft.table(f"geometry.{target}", f"scan_{target}.txt", numbers, name)
        else:
            draft.set(f"geometry.{target}", float(numbers[0]), name)
    draft.table("angles.file", "scan_angles.txt", angles, given.source(key))
    draft.set("angles.rotation", "counter_clockwise", "as TIGRE counts")


def _upright_rows(draft: ScanDraft) -> None:
    draft.set("projections.first_row", "bottom", "as TIGRE counts")
    draft.set("projections.first_column", "left", "as TIGRE counts")


def _parallel(given: _Attributes, draft: ScanDraft, angles: np.ndarray, key: str) -> None:
    _upright_rows(draft)
    draft.set("angle_unit", "radians", "as TIGRE counts")
    draft.set("geometry.beam", "parallel", given.source("mode"))
    draft.set("geometry.detector_pitch", given.one("dDetector", 2), given.source("dDetector"))
    draft.set("geometry.detector_offset", given.one("offDetector", 2, 0), given.source("offDetector"))
    draft.table("angles.file", "scan_angles.txt", angles, given.source(key))
    draft.set("angles.rotation", "counter_clockwise", "as TIGRE counts")


def _volume(given: _Attributes, draft: ScanDraft, views: int) -> None:
    if "nVoxel" not in given.values or not {"sVoxel", "dVoxel"} & set(given.values):
        return
    shape = given.one("nVoxel", 3)
    if "sVoxel" in given.values:
        extent, name = given.one("sVoxel", 3), "sVoxel"
    else:
        extent, name = [count * size for count, size in zip(shape, given.one("dVoxel", 3), strict=True)], "nVoxel, dVoxel"
    offset = given.rows("offOrigin", 3, views, 0)
    if np.ptp(offset, axis=0).any():
        raise InputError(f"{given.path}: offOrigin", expected="the same in all views", found="a volume that moves")
    draft.set("volume.extent", extent, given.source(name))
    draft.set("volume.offset", list(offset[0]), given.source("offOrigin"))
    draft.set("volume.shape", [int(count) for count in shape], given.source("nVoxel"))
