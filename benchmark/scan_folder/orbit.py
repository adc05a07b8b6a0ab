"""Geometry of every view from scan.yaml, in mm and rad."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmark.errors import InputError, note
from benchmark.files.door import read_rows
from benchmark.scan.geometry import ConeBeamGeometry, Triple, parallel_distances
from benchmark.scan_folder.description import AUTO, FILE, UNITS, Description, PerView
from benchmark.scan_folder.window import Window

ANGLE = r"angle|winkel|theta|rotation|\bdeg|\brad"  # in the header of the column

LEAST_ANGLES = 8  # fewer do not show their unit
SAME_ARC = 1e-3  # of an arc, for rounded angles
MANY_TURNS = 10  # no scan has as many


def orbit(description: Description, views: int, detector: tuple[int, int]) -> ConeBeamGeometry:
    """Return the geometry of all views; `detector` is the stored (v, u). An axis shift to be found is 0 here.

    Raise InputError for values that contradict the projections or describe no scanner.
    """
    return ConeBeamGeometry(**orbit_values(description, views, detector))


def orbit_values(description: Description, views: int, detector: tuple[int, int]) -> dict[str, Any]:
    """Return the keywords of that geometry, possible or not. Raise InputError for values that contradict the projections."""
    if description.geometry.vectors is not None:
        return _from_vectors(description, views, detector)
    given, unit = description.geometry, length(description)
    angle = np.pi / 180 if description.general.angle_unit == "degrees" else 1.0
    rows, columns = given.detector_pitch if isinstance(given.detector_pitch, tuple) else (given.detector_pitch or 0.0,) * 2
    pitch = (rows * unit, columns * unit)
    _check_positive(description, "geometry.detector_pitch", pitch)
    if given.beam == "parallel":
        origin, distance = parallel_distances(detector, pitch)
    else:
        origin, distance = (given.source_to_origin or 0) * unit, (given.source_to_detector or 0) * unit
    units = dict(axis_shift=unit, source_height=unit, detector_roll=angle, detector_pitch_angle=angle, detector_yaw=angle)
    scanner: dict[str, Any] = dict(
        source_to_origin=origin,
        source_to_detector=distance,
        detector_shape=detector,
        detector_pitch=pitch,
        detector_offset=(given.detector_offset[0] * unit, given.detector_offset[1] * unit),
        angles=angles(description, views) * angle,
        **{name: _per_view(description, f"geometry.{name}", getattr(given, name), views) * factor for name, factor in units.items()},
    )
    scanner = Window.of(description, detector).placed(scanner)
    return {**scanner, **_box(description, scanner)}


def scaled(triple: Triple, unit: float) -> Triple:
    """Return a triple of the file in mm."""
    return (triple[0] * unit, triple[1] * unit, triple[2] * unit)


def spacing_of(extent: Triple, shape: tuple[int, ...]) -> Triple:
    """Return the voxel edges (z, y, x) of a box cut into `shape` voxels."""
    return (extent[0] / shape[0], extent[1] / shape[1], extent[2] / shape[2])


def length(description: Description) -> float:
    """Return mm per length unit of the file; 1 for an unknown unit."""
    return UNITS.get(description.general.length_unit, 1.0)


def angles(description: Description, views: int) -> np.ndarray:
    """Return the angle of each view, in the file's unit, counter-clockwise."""
    given = description.angles
    assert given is not None
    if given.file is not None:
        found = read_rows(description.path("angles.file", given.file), views, 1, ANGLE, description.general.angle_unit)
    elif given.values is not None:
        found = np.array(given.values, dtype=np.float64)
    else:
        found = given.first + np.arange(views) * (given.step if given.step is not None else (given.arc or 0) / views)
    if found.shape != (views,):
        raise InputError(
            f"{description.folder / FILE}: angles", expected=f"one angle for each of the {views} views", found=f"shape {found.shape}"
        )
    if given.file is not None or given.values is not None:
        _check_angle_unit(f"{description.folder / FILE}: angle_unit", found, description.general.angle_unit)
    return -found if given.rotation == "clockwise" else found


def _check_angle_unit(where: str, found: np.ndarray, unit: str) -> None:
    """Raise InputError for listed angles that span half a turn, one or two in the other unit, and note those that may be in it."""
    turn, other_turn, other = (360.0, 2 * np.pi, "radians") if unit == "degrees" else (2 * np.pi, 360.0, "degrees")
    span = float(np.ptp(found))
    ends = (span, span * len(found) / max(len(found) - 1, 1))  # the last view at the end of the arc, or one step before it
    said = f"{span:.5g} {unit} in all ({span / turn:.3g} turns)"
    if len(found) >= LEAST_ANGLES and any(abs(end / other_turn - part) < SAME_ARC * part for end in ends for part in (0.5, 1, 2)):
        fix = f"Set angle_unit: {other}. If they are {unit} indeed, say so with first and step in place of the list."
        raise InputError(where, expected=f"angles in {unit}", found=f"{said}, as {other} a whole number of half turns", fix=fix)
    if len(found) >= LEAST_ANGLES and (0 < span <= 1.001 * other_turn if unit == "degrees" else span > MANY_TURNS * turn):
        note(f"{where} is {unit}, and the angles span {said}: if they are {other} set it")


def _per_view(description: Description, where: str, value: PerView, views: int) -> np.ndarray:
    value = 0.0 if value == AUTO and where == "geometry.axis_shift" else value  # until it is found
    if isinstance(value, str):
        key, general = where.rpartition(".")[2], description.general
        unit = general.length_unit if key in ("axis_shift", "source_height") else general.angle_unit
        found = read_rows(description.path(where, value), views, 1, key.replace("_", "[ _]?"), unit)
    else:
        found = np.asarray(value, dtype=np.float64)
    if found.ndim > 1 or (found.ndim == 1 and len(found) != views):
        raise InputError(f"{description.folder / FILE}: {where}", expected=f"a number or {views} of them", found=f"shape {found.shape}")
    return found


def _box(description: Description, scanner: dict[str, Any]) -> dict[str, Any]:
    """Return the reconstruction grid; voxels are cubes of a thousandth of the longest edge unless their number is given."""
    unit, given, truth = length(description), description.volume, description.truth
    offset = scaled(given.offset, unit) if given else (0.0, 0.0, 0.0)
    if given and given.extent != "auto":
        extent = scaled(given.extent, unit)
    elif given and truth:  # the box that is scored
        if truth.extent is None:
            where = f"{description.folder / FILE}: truth.extent"
            raise InputError(where, expected="the truth's edge lengths, as volume.extent is auto", found="none")
        extent, offset = scaled(truth.extent, unit), scaled(truth.offset, unit) if truth.offset else offset
    else:
        extent = field_of_view(scanner)
    _check_positive(description, "volume.extent", extent)
    shape = given.shape if given and given.shape else tuple(max(1, round(1000 * edge / max(extent))) for edge in extent)
    if min(shape) < 1:
        raise InputError(f"{description.folder / FILE}: volume.shape", expected="positive numbers of voxels", found=f"{shape}")
    return {"volume_shape": shape, "volume_spacing": spacing_of(extent, shape), "volume_offset": offset}


def surroundings(description: Description, scanner: dict[str, Any]) -> np.ndarray | None:
    """Return the region to reconstruct around the scored box, lower and upper corner [2, 3] z y x [mm]; None if it is the box.

    `scanner` holds the keywords of the geometry, the volume's included.
    """
    given = description.volume
    if given is None or (given.extent != "auto" and not given.margin):
        return None
    box = np.multiply(scanner["volume_shape"], scanner["volume_spacing"])
    centre = np.array(scanner["volume_offset"])
    region = np.stack([centre - box / 2, centre + box / 2])
    if given.extent == "auto":
        seen, middle = np.array(field_of_view(scanner)), np.array(scaled(given.offset, length(description)))
        region = np.stack([np.minimum(region[0], middle - seen / 2), np.maximum(region[1], middle + seen / 2)])
    return region + np.array([[-1.0], [1.0]]) * given.margin * length(description)


def field_of_view(scanner: dict[str, Any]) -> Triple:
    """Return edge lengths (z, y, x) [mm] of the box around the field of view at the axis (by the longer side of a displaced detector)."""
    distance, origin = scanner["source_to_detector"], scanner["source_to_origin"]
    half_v, half_u = (
        count * pitch / 2 + abs(offset)
        for count, pitch, offset in zip(scanner["detector_shape"], scanner["detector_pitch"], scanner["detector_offset"], strict=True)
    )
    radius = min(origin * half_u / float(np.hypot(distance, half_u)), 0.7 * origin)
    return (2 * half_v * origin / distance + float(np.ptp(scanner.get("source_height", 0.0))), 2 * radius, 2 * radius)


def _check_positive(description: Description, where: str, values: tuple[float, ...]) -> None:
    if not all(np.isfinite(value) and value > 0 for value in values):
        raise InputError(f"{description.folder / FILE}: {where}", expected="positive lengths", found=f"{values}")


def _from_vectors(description: Description, views: int, detector: tuple[int, int]) -> dict[str, Any]:
    """Read twelve numbers per view: source, detector centre, step from column to column, step from row to row; x y z each."""
    assert description.geometry.vectors is not None
    table = read_rows(description.path("geometry.vectors", description.geometry.vectors), views, 12, unit=description.general.length_unit)
    if table.shape not in ((views, 12), (views, 4, 3)):
        where = f"{description.folder / FILE}: geometry.vectors"
        raise InputError(where, expected=f"{views} rows (one for each view) of 12 numbers", found=f"shape {table.shape}")
    vectors = table.reshape(views, 4, 3) * length(description)
    if description.projections.first_row == "top":
        vectors[:, 3] *= -1  # rows are turned upright when they are read
    if description.projections.first_column == "right":
        vectors[:, 2] *= -1
    scanner = {**ConeBeamGeometry.nominal(vectors), "detector_shape": detector, "detector_offset": (0.0, 0.0)}
    scanner = Window.of(description, detector).placed(scanner)
    return {**scanner, **_box(description, scanner)}
