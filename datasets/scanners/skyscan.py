"""Bruker SkyScan: the .log of an acquisition beside one 16-bit TIFF per view.

Facts: Image Pixel Size is that of the images, binned, at the object, as NRecon uses it; Camera Pixel Size is the camera's own. Lines are
counted from the bottom of an image, whose row 0 is its top; images are seen from behind the camera. Rotation Direction CC is the object's,
so that the source goes clockwise around it. Postalignment, from NRecon's log, moves the camera by so many pixels along image columns.
Number of Files times Rotation Step is the arc, also of scans over 180 degrees and the fan.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from benchmark.api import InputError, ScanDraft, Settings, numbered_images, read_text

from .folders import beginning, ending

IMAGES = (".tif", ".tiff", ".bmp", ".png")


def recognises(folder: Path) -> list[Path]:
    """Return the logs of acquisitions in a folder; NRecon's own (_rec.log) only if there is no other."""
    logs = [path for path in ending(folder, ".log") if re.search(r"(?i)object to source", beginning(path))]
    return [path for path in logs if not path.stem.lower().endswith("_rec")] or logs


def read(path: Path) -> ScanDraft:
    """Read the scan of a log."""
    given, draft = Settings.read(path), ScanDraft()
    rows, columns = given.count("Number of Rows"), given.count("Number of Columns")
    count = _images(given, draft)
    draft.images = (count, rows, columns)
    draft.set("length_unit", "mm", "the log's um are converted")
    draft.set("angle_unit", "degrees", "as SkyScan writes")
    _white(given, draft)
    near = given.number("Object to Source (mm)", positive=True)
    if near > 10_000:
        pitch = _parallel(given, draft)
    else:
        pitch = _cone(given, draft, near)
    line = given.number("Optical Axis (line)", default=rows / 2)
    shift, shift_source = _post_alignment(given)
    keys = given.source("Number of Rows / 2 - Optical Axis (line)") if given.has("Optical Axis (line)") else "no Optical Axis (line)"
    draft.set("geometry.detector_offset", [(rows / 2 - line) * pitch, -shift * pitch], f"{keys}; {shift_source}")
    step = given.number("Rotation Step (deg)", positive=True)
    shifts = ending(path.parent, ".csv")
    draft.set("angles.first", given.number("Scanning Start Angle", default=0), given.source("Scanning Start Angle"))
    draft.set("angles.step", step, given.source("Rotation Step (deg)"))
    way = given.text("Rotation Direction", default="CC").upper()
    if way not in ("CC", "CCW", "CW"):
        raise InputError(f"{path}: Rotation Direction", expected="CC or CW", found=way)
    draft.set("angles.rotation", "counter_clockwise" if way == "CW" else "clockwise", given.source("Rotation Direction (of the object)"))
    if shifts:
        _move_views(shifts[0], draft, count, pitch, given)
    if given.number("Image Rotation", default=0):
        draft.note(f"{path.name}: Image Rotation = {given.text('Image Rotation')} degrees is not applied (geometry.detector_roll could).")
    return draft


def _images(given: Settings, draft: ScanDraft) -> int:
    folder, name = given.path.parent, given.text("Filename Prefix", default=given.path.stem)
    for prefix in dict.fromkeys((name, given.path.stem)):
        try:
            pattern, count = numbered_images(folder, prefix, IMAGES)
            break
        except InputError:
            continue
    else:
        raise InputError(str(folder), expected=f"images named {name}0000.tif, {name}0001.tif, ...", found="none")
    draft.set("projections.file", pattern, given.source("Filename Prefix"))
    draft.set("projections.axes", ["view", "v", "u"], "one image per view")
    draft.set("projections.first_row", "top", "as SkyScan writes")
    draft.set("projections.first_column", "right", "as SkyScan writes, seen from the source")
    if given.has("Number of Files") and abs(given.count("Number of Files") - count) > 1:
        draft.note(f"{given.path.name}: Number of Files is {given.count('Number of Files')}, but {count} images are here.")
    if given.has("Number of connected scans") and given.count("Number of connected scans") > 1:
        draft.note(f"{given.path.name} is one of {given.count('Number of connected scans')} connected scans: each is a scan of its own.")
    return count


def _white(given: Settings, draft: ScanDraft) -> None:
    draft.set("projections.values", "intensities", "as SkyScan writes")
    if given.has("Reference Intensity"):
        draft.set("projections.flat", given.number("Reference Intensity", positive=True), given.source("Reference Intensity"))
    elif given.has("Depth (bits)"):
        draft.set("projections.flat", 2.0 ** given.count("Depth (bits)"), given.source("2 to the power of Depth (bits)"))
    else:
        draft.leave("projections.flat", "intensity without object: the log states neither Reference Intensity nor Depth (bits)")


def _cone(given: Settings, draft: ScanDraft, near: float) -> float:
    """Set the distances and the pixel size; return the latter [mm]."""
    far = given.number("Camera to Source (mm)", positive=True)
    draft.set("geometry.source_to_origin", near, given.source("Object to Source (mm)"))
    draft.set("geometry.source_to_detector", far, given.source("Camera to Source (mm)"))
    camera = _camera(given)
    if not given.has("Image Pixel Size (um)"):
        if camera is None:
            raise InputError(f"{given.path}: Image Pixel Size (um)", expected="a number", found="none")
        draft.set("geometry.detector_pitch", camera, given.source("Camera Pixel Size (um), Camera binning"))
        return camera
    pitch = given.number("Image Pixel Size (um)", positive=True) / 1000 * far / near
    draft.set("geometry.detector_pitch", pitch, given.source("Image Pixel Size (um) * Camera to Source / Object to Source"))
    if camera is not None and abs(camera / pitch - 1) > 0.02:
        draft.note(
            f"{given.path.name}: Camera Pixel Size and binning give a pitch of {camera:.5g} mm; Image Pixel Size, {pitch:.5g} mm, is used."
        )
    return pitch


def _parallel(given: Settings, draft: ScanDraft) -> float:
    """Set a parallel beam, which distances of many metres mean; return the pixel size [mm]."""
    pitch = given.number("Image Pixel Size (um)", positive=True) / 1000
    draft.set("geometry.beam", "parallel", given.source("Object to Source (mm), more than 10 m"))
    draft.set("geometry.detector_pitch", pitch, given.source("Image Pixel Size (um)"))
    return pitch


def _camera(given: Settings) -> float | None:
    """Return the pixel size [mm] that the camera's own, its binning and the images' resizing give; None if not stated."""
    if not given.has("Camera Pixel Size (um)"):
        return None
    binning = re.match(r"\s*(\d+)\s*x\s*(\d+)", given.text("Camera binning", default="1x1"))
    factor = float(binning[1]) if binning else 1.0
    return given.number("Camera Pixel Size (um)", positive=True) / 1000 * factor * given.number("Resized in image", default=1)


def _post_alignment(given: Settings) -> tuple[float, str]:
    """Return NRecon's post-alignment [pixels along image columns] from this log or from NRecon's, and where it is from."""
    logs = [given.path, *ending(given.path.parent, "_rec.log")]
    for place in sorted(given.path.parent.glob("*[rR]ec*")):
        logs += ending(place, ".log") if place.is_dir() else []
    for log in logs:
        found = Settings.read(log)
        if found.has("Postalignment"):
            return found.number("Postalignment"), found.source("Postalignment")
    return 0.0, "no Postalignment"


def _move_views(path: Path, draft: ScanDraft, count: int, pitch: float, given: Settings) -> None:
    """Apply the shifts of each image (x, y in camera pixels) that a thermal-drift or random-movement table lists."""
    rows = []
    for line in read_text(path, single_bytes=True).split("\n"):
        words = line.split(",")
        try:
            rows.append([float(word) for word in words[:3]])
        except ValueError:
            continue  # a header
    table = np.array([row for row in rows if len(row) == 3])
    if len(table) < count or not np.isfinite(table).all():
        draft.note(f"{path.name} is not used: it has {len(table)} lines of three numbers for {count} images.")
        return
    binning = re.match(r"\s*(\d+)", given.text("Camera binning", default="1x1"))
    moved = table[:count, 1:] * pitch / (float(binning[1]) if binning else 1.0)
    if not np.ptp(moved, axis=0).any() and not moved.any():
        return
    if draft.get("geometry.beam") == "parallel":
        draft.note(f"{path.name} is not used: its shifts are for a cone beam.")
        return
    up, right = draft.get("geometry.detector_offset")
    near, far = draft.get("geometry.source_to_origin"), draft.get("geometry.source_to_detector")
    sign = -1 if draft.get("angles.rotation") == "clockwise" else 1
    angles = sign * np.radians(draft.get("angles.first") + draft.get("angles.step") * np.arange(count))
    cos, sin, zero = np.cos(angles), np.sin(angles), np.zeros(count)
    along, out, above = np.stack([-sin, cos, zero], -1), np.stack([cos, sin, zero], -1), np.array([0.0, 0.0, 1.0])
    centre = (near - far) * out + (right - moved[:, :1]) * along + (up - moved[:, 1:]) * above
    vectors = np.stack([near * out, centre, -pitch * along, np.broadcast_to(-pitch * above, along.shape)], 1)
    for key in ("source_to_origin", "source_to_detector", "detector_pitch", "detector_offset"):
        draft.drop(f"geometry.{key}")
    for key in ("first", "step", "rotation"):
        draft.drop(f"angles.{key}")
    assert draft.images is not None
    draft.orbit(vectors, draft.images[1:], f"{given.path.name}, moved by {path.name}")
