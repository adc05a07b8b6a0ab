"""North Star Imaging: NAME.nsipro, Radiographs*/ with one TIFF per view, and Corrections/ with gain0.tif and offset.tif.

Facts (as mbirjax reads them): `<key>value` lines between `<section>` and `</section>`; lengths in mm, y up. In Result: source, and
reference, the centre of the first pixel, both from a point of the axis; normal, from the source to the detector; horizontal, along image
rows from left to right; axis. In Object Radiograph: pitch (columns, rows), number, angleStep. In Correction: rotate, flipH, flipV, to be
applied to an image before its rows run down and its columns to the right. In Processed: clockwise, of the object. A Geometry Report.rtf
states the reference more precisely (Image center).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from benchmark.api import InputError, ScanDraft, numbered_images, read_text

from .folders import ending


def recognises(folder: Path) -> list[Path]:
    """Return the .nsipro files of a folder."""
    return ending(folder, ".nsipro")


class _Project:
    """Content of a .nsipro file."""

    def __init__(self, path: Path) -> None:
        self.path, self.text = path, read_text(path, single_bytes=True)

    def find(self, section: str, key: str) -> str | None:
        begin = self.text.find(f"<{section}>")
        end = self.text.find(f"</{section}>", begin)
        match = re.search(rf"<{re.escape(key)}>[ \t]*([^<\n]*)", self.text[begin:end]) if 0 <= begin < end else None
        return match[1].strip() if match else None

    def numbers(self, section: str, key: str, count: int) -> np.ndarray:
        text = self.find(section, key)
        if text is None:
            raise InputError(f"{self.path}: {key} in {section}", expected=f"{count} numbers", found="none")
        try:
            found = np.array([float(word.replace(",", ".")) for word in text.split()])
        except ValueError:
            found = np.array([])
        if len(found) < count or not np.isfinite(found).all():
            raise InputError(f"{self.path}: {key} in {section}", expected=f"{count} numbers", found=f"{text!r:.60}")
        return found[:count]

    def flag(self, section: str, key: str, default: bool) -> bool:
        text = self.find(section, key)
        return default if text is None else text.lower() in ("true", "1", "yes")


def read(path: Path) -> ScanDraft:
    """Read the scan of a .nsipro file."""
    given, draft, name = _Project(path), ScanDraft(), path.name
    rotate = int(given.numbers("Correction", "rotate", 1)[0]) % 360 if given.find("Correction", "rotate") else 0
    if rotate not in (0, 180):
        raise InputError(f"{path}: rotate in Correction", expected="0 or 180", found=f"{rotate}", fix="Export the radiographs upright.")
    flip_rows = given.flag("Correction", "flipV", False) != (rotate == 180)
    flip_columns = given.flag("Correction", "flipH", False) != (rotate == 180)
    draft.set("length_unit", "mm", "as North Star writes")
    draft.set("angle_unit", "degrees", "as North Star writes")
    count = _images(given, draft)
    columns, rows = (int(given.numbers("Detector", f"{side} pixels", 1)[0]) for side in ("width", "height"))
    draft.images = (count, rows, columns)
    step = float(given.numbers("Object Radiograph", "angleStep", 1)[0])
    sense = 1 if given.flag("Processed", "clockwise", True) else -1
    vectors = _vectors(given, rows, columns, np.radians(sense * step * np.arange(count)))
    vectors[:, 3] *= -1 if flip_rows else 1
    vectors[:, 2] *= -1 if flip_columns else 1
    draft.orbit(vectors, (rows, columns), f"{name}: source, reference, normal, horizontal, axis, pitch, angleStep, clockwise")
    return draft


def _images(given: _Project, draft: ScanDraft) -> int:
    folder, name = given.path.parent, given.path.name
    places = sorted(path for path in folder.glob("Radiographs*") if path.is_dir())
    if len(places) > 1:
        raise InputError(str(folder), expected="one folder Radiographs*", found=", ".join(path.name for path in places))
    pattern, count = numbered_images(folder, "", (".tif", ".tiff"), places[0].name if places else "")
    draft.set("projections.file", pattern, "the radiographs")
    draft.set("projections.axes", ["view", "v", "u"], "one image per view")
    draft.set("projections.values", "intensities", "as North Star writes")
    gain, offset = (next(iter(sorted(folder.glob(f"**/{file}.tif"))), None) for file in ("gain0", "offset"))
    if gain is None:
        draft.leave("projections.flat", "intensity without object: no gain0.tif here")
    else:
        draft.set("projections.flat", str(gain.relative_to(folder).as_posix()), "the image without object")
    if offset is not None:
        draft.set("projections.dark", str(offset.relative_to(folder).as_posix()), "the image without beam")
    stated = int(given.numbers("Object Radiograph", "number", 1)[0])
    if stated != count:
        draft.note(f"{name}: number is {stated}, but {count} images are here.")
    return count


def _vectors(given: _Project, rows: int, columns: int, angles: np.ndarray) -> np.ndarray:
    """Return source, centre, column and row step per view of upright images, z the axis; angles [rad] counter-clockwise for the source."""
    source, first, normal, across, axis = (
        given.numbers("Result", key, 3) for key in ("source", "reference", "normal", "horizontal", "axis")
    )
    first[:2] = _reported(given, first[:2])
    normal, across, axis = (vector / np.linalg.norm(vector) for vector in (normal, across, axis))
    down = np.cross(normal, across)
    if axis @ down > 0:
        axis = -axis  # up
    pitch_u, pitch_v = given.numbers("Object Radiograph", "pitch", 2)
    centre = first + (columns - 1) / 2 * pitch_u * across + (rows - 1) / 2 * pitch_v * down
    out = -normal + (normal @ axis) * axis
    out /= np.linalg.norm(out)
    frame = np.stack([out, np.cross(axis, out), axis])  # rows: x, y, z of a system with the axis along z
    still = np.stack([source, centre, pitch_u * across, pitch_v * down]) @ frame.T
    if not np.isfinite(still).all():
        raise InputError(f"{given.path}: Result", expected="three vectors that are no zeros", found="zeros")
    cos, sin, zero, one = np.cos(angles), np.sin(angles), np.zeros_like(angles), np.ones_like(angles)
    about_z = np.array([[cos, -sin, zero], [sin, cos, zero], [zero, zero, one]])
    return np.asarray(np.einsum("ijn,kj->nki", about_z, still))


def _reported(given: _Project, first: np.ndarray) -> np.ndarray:
    """Return x and y of the first pixel [mm], from the geometry report if there is one."""
    for path in sorted(given.path.parent.glob("Geometry*.rtf")):
        match = re.search(r"Image center[^(]*\(\s*(-?\d+\.?\d*)\s*,\s*(-?\d+\.?\d*)\s*\)\s*\[mm\]", read_text(path, single_bytes=True))
        if match:
            return np.array([float(match[1]), float(match[2])])
    return first
