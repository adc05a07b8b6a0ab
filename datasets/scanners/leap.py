"""LEAP: a text file of parameters, as save_parameters writes it; the projections are any stack [view, row, column] beside it.

Facts: lengths in mm, angles in degrees. At angle phi the source stands at sod (sin phi, -cos phi, 0) - tau u, its height helicalPitch
(phi - 90 degrees, in rad); columns run along u = (cos phi, sin phi, 0), rows along z. centerCol and centerRow are the pixel that the ray
through the origin hits, counted from 0; tiltAngle turns the detector about that ray. A modular beam lists a source, a centre and the
directions of rows and columns for each view.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.api import InputError, ScanDraft, Settings

from .folders import beginning, ending

MOST_VIEWS = 100_000
LEGACY = {  # names of an older version
    "geometry": "proj_geometry", "phis": "proj_phis", "angularRange": "proj_arange", "numAngles": "proj_nangles", "numRows": "proj_nrows",
    "numCols": "proj_ncols", "pixelHeight": "proj_pheight", "pixelWidth": "proj_pwidth", "centerRow": "proj_crow", "centerCol": "proj_ccol",
    "sod": "proj_sod", "sdd": "proj_sdd", "sourcePositions": "proj_srcpos", "moduleCenters": "proj_modcenter",
    "rowVectors": "proj_rowvec", "colVectors": "proj_colvec", "numX": "img_dimx", "numY": "img_dimy", "numZ": "img_dimz",
    "voxelWidth": "img_pwidth", "voxelHeight": "img_pheight", "offsetX": "img_offsetx", "offsetY": "img_offsety", "offsetZ": "img_offsetz",
}  # fmt: skip


def recognises(folder: Path) -> list[Path]:
    """Return the files of parameters in a folder."""
    found = []
    for path in ending(folder, ".txt", ".cfg", ".param", ".params"):
        head = beginning(path)
        if all(any(word in head for word in (key, LEGACY[key])) for key in ("numAngles", "numCols", "pixelWidth", "geometry")):
            found.append(path)
    return found


class _Parameters:
    """Parameters by LEAP's present names."""

    def __init__(self, path: Path) -> None:
        self.given = Settings.read(path)
        self.legacy = not self.given.has("geometry")

    def key(self, name: str) -> str:
        return LEGACY.get(name, name) if self.legacy else name

    def number(self, name: str, default: float | None = None) -> float:
        return self.given.number(self.key(name), default=default)

    def count(self, name: str) -> int:
        return self.given.count(self.key(name))

    def has(self, name: str) -> bool:
        return self.given.has(self.key(name))

    def triples(self, name: str, views: int) -> np.ndarray:
        found = np.array(self.given.numbers(self.key(name)))
        if found.size != 3 * views:
            raise InputError(f"{self.given.path}: {self.key(name)}", expected=f"{3 * views} numbers", found=f"{found.size}")
        return found.reshape(views, 3)

    def source(self, *names: str) -> str:
        return self.given.source(*map(self.key, names))


def read(path: Path) -> ScanDraft:
    """Read the scan of a file of parameters."""
    given, draft = _Parameters(path), ScanDraft()
    beam = given.given.text(given.key("geometry")).lower()
    views, rows, columns = (given.count(name) for name in ("numAngles", "numRows", "numCols"))
    if views > MOST_VIEWS:
        raise InputError(f"{path}: {given.key('numAngles')}", expected=f"at most {MOST_VIEWS}", found=f"{views}")
    if given.given.text("detectorType", default="flat").lower() == "curved":
        raise InputError(f"{path}: detectorType", expected="flat", found="curved")
    draft.images = (views, rows, columns)
    draft.set("length_unit", "mm", "as LEAP writes")
    draft.set("angle_unit", "degrees", "as LEAP writes")
    draft.set("projections.axes", ["view", "v", "u"], "as LEAP stacks them")
    if beam == "cone":
        sources = {
            "source_to_origin": given.source("sod"),
            "source_to_detector": given.source("sdd"),
            "detector_pitch": given.source("pixelHeight", "pixelWidth"),
            "detector_offset": given.source("centerRow", "centerCol"),
            "axis_shift": given.source("tau"),
            "source_height": given.source("helicalPitch"),
            "angles": given.source("phis" if given.has("phis") else "angularRange"),
        }
        draft.orbit(_cone(given, views, rows, columns), (rows, columns), f"{path.name}: cone", sources)
    elif beam == "modular":
        source, centre, row, column = (
            given.triples(name, views) for name in ("sourcePositions", "moduleCenters", "rowVectors", "colVectors")
        )
        vectors = np.stack([source, centre, column * given.number("pixelWidth"), row * given.number("pixelHeight")], 1)
        draft.orbit(vectors, (rows, columns), given.source("sourcePositions", "moduleCenters", "rowVectors", "colVectors"))
    elif beam == "parallel":
        _parallel(given, draft, views, rows, columns)
    else:
        raise InputError(f"{path}: geometry", expected="cone, modular or parallel", found=beam)
    _volume(given, draft)
    return draft


def _phis(given: _Parameters, views: int) -> np.ndarray:
    """Return the angle phi of each view [degrees]."""
    if not given.has("phis"):
        return np.arange(views) * given.number("angularRange") / views
    found = np.array(given.given.numbers(given.key("phis")))
    if found.size != views:
        raise InputError(f"{given.given.path}: {given.key('phis')}", expected=f"{views} angles", found=f"{found.size}")
    return found


def _shift(given: _Parameters, rows: int, columns: int) -> tuple[float, float]:
    """Return how far the detector's centre lies along its rows' and its columns' order [mm]: (v, u)."""
    return (
        ((rows - 1) / 2 - given.number("centerRow")) * given.number("pixelHeight"),
        ((columns - 1) / 2 - given.number("centerCol")) * given.number("pixelWidth"),
    )


def _cone(given: _Parameters, views: int, rows: int, columns: int) -> np.ndarray:
    near, far, tau = given.number("sod"), given.number("sdd"), given.number("tau", 0)
    tilt, pitch = np.radians(given.number("tiltAngle", 0)), given.number("helicalPitch", 0)
    angles = np.radians(_phis(given, views) - 90)
    cos, sin, zero = np.cos(angles), np.sin(angles), np.zeros(views)
    out, along, up = np.stack([cos, sin, zero], -1), np.stack([-sin, cos, zero], -1), np.array([0.0, 0.0, 1.0])
    axis = -tau * along + (pitch * angles)[:, None] * up
    column, row = np.cos(tilt) * along + np.sin(tilt) * up, np.cos(tilt) * up - np.sin(tilt) * along
    shift_v, shift_u = _shift(given, rows, columns)
    centre = (near - far) * out + axis + shift_u * column + shift_v * row
    return np.stack([near * out + axis, centre, column * given.number("pixelWidth"), row * given.number("pixelHeight")], 1)


def _parallel(given: _Parameters, draft: ScanDraft, views: int, rows: int, columns: int) -> None:
    draft.set("projections.first_row", "bottom", "as LEAP counts")
    draft.set("projections.first_column", "left", "as LEAP counts")
    draft.set("geometry.beam", "parallel", given.source("geometry"))
    draft.set(
        "geometry.detector_pitch", [given.number("pixelHeight"), given.number("pixelWidth")], given.source("pixelHeight", "pixelWidth")
    )
    draft.set("geometry.detector_offset", list(_shift(given, rows, columns)), given.source("centerRow", "centerCol"))
    draft.table("angles.file", "scan_angles.txt", _phis(given, views) - 90, given.source("phis" if given.has("phis") else "angularRange"))
    draft.set("angles.rotation", "counter_clockwise", "as LEAP counts")


def _volume(given: _Parameters, draft: ScanDraft) -> None:
    names = ("numX", "numY", "numZ", "voxelWidth", "voxelHeight")
    if not all(given.has(name) and given.number(name) > 0 for name in names):
        return
    x, y, z = (given.count(name) for name in names[:3])
    width, height = given.number("voxelWidth"), given.number("voxelHeight")
    draft.set("volume.extent", [z * height, y * width, x * width], given.source(*names))
    draft.set("volume.offset", [given.number(f"offset{name}", 0) for name in "ZYX"], given.source("offsetZ", "offsetY", "offsetX"))
    draft.set("volume.shape", [z, y, x], given.source("numZ", "numY", "numX"))
