"""Nikon and X-Tek: NAME.xtekct, with NAME.ang or _ctdata.txt, and one TIFF per view.

Facts: lengths in mm, angles in degrees. Row 0 of an image is its top, column 0 is at the right as seen from the source; offsets of the
detector and of the axis count along image columns to the right of the image and upwards. Angles grow counter-clockwise for the source.
Old files state the axis at the detector (CentreOfRotationTop, Bottom), new ones at the object (ObjectOffsetX, ObjectRoll, ObjectTilt).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from benchmark.api import InputError, ScanDraft, Settings, numbered_images, read_text

from .folders import ending


def recognises(folder: Path) -> list[Path]:
    """Return the .xtekct files of a folder."""
    return ending(folder, ".xtekct")


def read(path: Path) -> ScanDraft:
    """Read the scan of an .xtekct file."""
    given, draft = Settings.read(path), ScanDraft()
    count = _images(given, draft)
    draft.set("length_unit", "mm", "as Nikon writes")
    draft.set("angle_unit", "degrees", "as Nikon writes")
    draft.set("projections.values", "intensities", "as Nikon writes")
    draft.set("projections.flat", given.number("WhiteLevel", positive=True), given.source("WhiteLevel"))
    draft.images = (count, given.count("DetectorPixelsY"), given.count("DetectorPixelsX"))
    angles, source = _angles(given, draft, count)
    axis, roll, tilt = _axis(given)
    if abs(roll) * draft.images[1] / 2 > 0.25 or abs(tilt) > 1e-4:
        draft.orbit(_vectors(given, np.radians(angles), axis, roll, tilt), draft.images[1:], f"{path.name}, with the axis turned")
    else:
        _circle(given, draft, angles, axis, source)
        if roll or tilt:
            draft.note(f"The axis leans by {np.degrees(roll):.2g} degrees, less than a quarter of a pixel: left out.")
    _volume(given, draft)
    return draft


def _images(given: Settings, draft: ScanDraft) -> int:
    """Set the images' names and orientation; return their number."""
    folder, within = given.path.parent, given.text("InputFolderName", default="").replace("\\", "/").strip("/")
    within = within if within and ".." not in within.split("/") and (folder / within).is_dir() else ""
    name = given.text("Name", default=given.path.stem)
    prefix = name + given.text("InputSeparator", default="_")
    try:
        pattern, count = numbered_images(folder, prefix, (".tif", ".tiff"), within)
    except InputError:
        try:
            pattern, count = numbered_images(folder, name, (".tif", ".tiff"), within)
        except InputError:
            pattern, count = numbered_images(folder, "", (".tif", ".tiff"), within)
    draft.set("projections.file", pattern, given.source("Name"))
    draft.set("projections.axes", ["view", "v", "u"], "one image per view")
    draft.set("projections.first_row", "top", "as Nikon writes")
    draft.set("projections.first_column", "right", "as Nikon writes, seen from the source")
    stated = given.count("Projections")
    if stated != count:
        draft.note(f"{given.path.name}: Projections is {stated}, but {count} images are here.")
    return count


def _circle(given: Settings, draft: ScanDraft, angles: np.ndarray, axis: float, source: str) -> None:
    draft.set("geometry.source_to_origin", given.number("SrcToObject", positive=True), given.source("SrcToObject"))
    draft.set("geometry.source_to_detector", given.number("SrcToDetector", positive=True), given.source("SrcToDetector"))
    pitch = [given.number(f"DetectorPixelSize{name}", positive=True) for name in "YX"]
    draft.set("geometry.detector_pitch", pitch, given.source("DetectorPixelSizeY", "DetectorPixelSizeX"))
    up, along = given.number("DetectorOffsetY", default=0), given.number("DetectorOffsetX", default=0)
    draft.set("geometry.detector_offset", [up, -along], given.source("DetectorOffsetY", "-DetectorOffsetX"))
    keys = ("ObjectOffsetX",) if given.has("ObjectOffsetX") else ("CentreOfRotationTop", "CentreOfRotationBottom")
    draft.set("geometry.axis_shift", axis, given.source(*keys))
    draft.set("angles.rotation", "counter_clockwise", "as Nikon counts")
    if source == given.path.name:
        draft.set("angles.first", float(angles[0]), given.source("InitialAngle"))
        draft.set("angles.step", given.number("AngularStep"), given.source("AngularStep"))
    else:
        draft.table("angles.file", "scan_angles.txt", angles, f"{source}: the angle of each view")


def _axis(given: Settings) -> tuple[float, float, float]:
    """Return the axis's offset along image columns [mm] at the object, its roll and its tilt [rad]."""
    tilt = np.radians(given.number("ObjectTilt", default=0))
    if given.has("ObjectOffsetX"):
        return given.number("ObjectOffsetX"), np.radians(given.number("ObjectRoll", default=0)), tilt
    top, bottom = (given.number(f"CentreOfRotation{end}", default=0) for end in ("Top", "Bottom"))
    smaller = given.number("SrcToObject", positive=True) / given.number("SrcToDetector", positive=True)
    height = given.number("DetectorPixelsY") * given.number("DetectorPixelSizeY")
    return (top + bottom) / 2 * smaller, -np.arctan2(top - bottom, height), tilt


def _angles(given: Settings, draft: ScanDraft, count: int) -> tuple[np.ndarray, str]:
    """Return the angle [degrees] of each view and the file they come from."""
    folder, step = given.path.parent, given.number("AngularStep", default=0)
    files = [path for path in ending(folder, ".ang") if path.stem == given.path.stem] or ending(folder, ".ang")
    files = files or ending(folder, "_ctdata.txt")
    if len(files) > 1:
        raise InputError(str(folder), expected="one file of angles", found=", ".join(path.name for path in files))
    if not files:
        step = given.number("AngularStep")
        return given.number("InitialAngle", default=0) + np.arange(count) * step, given.path.name
    angles = read_angles(files[0])
    if len(angles) < count:
        raise InputError(str(files[0]), expected=f"an angle for each of the {count} images", found=f"{len(angles)}")
    if len(angles) > count:
        draft.note(f"{files[0].name} has {len(angles)} angles: the first {count} are taken.")
    angles = angles[:count]
    turns = (np.diff(angles) + 180) % 360 - 180
    if step and len(turns) and np.sign(np.median(turns)) == -np.sign(step) and abs(abs(np.median(turns)) - abs(step)) < 0.2 * abs(step):
        draft.note(f"{files[0].name} counts against AngularStep: its angles are negated.")
        angles = -angles
    return angles, files[0].name


def read_angles(path: Path) -> np.ndarray:
    """Return the angles of an .ang or _ctdata.txt file: the second number of each line that begins with 1, 2, 3, ..."""
    angles: list[float] = []
    for line in read_text(path, single_bytes=True).split("\n"):
        line = line.strip() if re.search(r"[\s:;]", line.strip()) else line.replace(",", " ")
        words = [word.replace(",", ".") for word in re.split(r"[\s:;]+|,\s", line) if word]
        if len(words) < 2 or not words[0].isdigit() or int(words[0]) != len(angles) + 1:
            continue  # a header
        try:
            angle = float(words[1])
        except ValueError:
            continue
        angles.append(angle)
    if not angles or not np.isfinite(angles).all():
        raise InputError(str(path), expected="lines of a number and an angle, from 1", found="none" if not angles else "NaN or Inf")
    return np.array(angles)


def _vectors(given: Settings, angles: np.ndarray, axis: float, roll: float, tilt: float) -> np.ndarray:
    """Return source, centre, column and row step per view for an axis that is not parallel to the detector's columns."""
    near, far = given.number("SrcToObject", positive=True), given.number("SrcToDetector", positive=True)
    along, up = given.number("DetectorOffsetX", default=0), given.number("DetectorOffsetY", default=0)
    pitch_u, pitch_v = (given.number(f"DetectorPixelSize{name}", positive=True) for name in "XY")
    # x out of the axis to the source, y to the right seen from the source, z up; the axis is at the origin.
    still = np.array([[near, axis, 0], [near - far, axis - along, up], [0, -pitch_u, 0], [0, 0, -pitch_v]])
    lean = np.array([-np.sin(tilt) * np.cos(roll), np.sin(roll), np.cos(tilt) * np.cos(roll)])
    turned = still @ _onto_z(lean).T
    cos, sin, zero, one = np.cos(angles), np.sin(angles), np.zeros_like(angles), np.ones_like(angles)
    about_z = np.array([[cos, -sin, zero], [sin, cos, zero], [zero, zero, one]])
    return np.einsum("ijn,kj->nki", about_z, turned)


def _onto_z(axis: np.ndarray) -> np.ndarray:
    """Return the smallest rotation that turns a unit vector onto z."""
    x, y, z = axis
    across = np.array([[0, 0, -x], [0, 0, -y], [x, y, 0]])
    return np.eye(3) + across + across @ across / (1 + z)


def _volume(given: Settings, draft: ScanDraft) -> None:
    keys = [(f"Voxels{axis}", f"VoxelSize{axis}") for axis in "ZYX"]
    if not all(given.has(key) and given.number(key) > 0 for pair in keys for key in pair):
        return
    shape = [given.count(count) for count, _ in keys]
    extent = [number * given.number(size) for number, (_, size) in zip(shape, keys, strict=True)]
    draft.set("volume.extent", extent, given.source("VoxelsZ .. X times VoxelSizeZ .. X"))
    draft.set("volume.shape", shape, given.source("VoxelsZ, VoxelsY, VoxelsX"))
