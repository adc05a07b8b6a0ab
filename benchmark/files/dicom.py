"""Read a DICOM series of CT slices, ordered by position, never by name."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from benchmark.errors import InputError, MissingDependency
from benchmark.files.dicom_disc import find_slices, holds_dicom, is_dicom
from benchmark.files.dicom_slice import Slice, pixels
from benchmark.files.dicom_strays import without_strays
from benchmark.files.limits import check_array, check_image
from benchmark.files.medical import Image
from benchmark.storage import mapped

__all__ = ["holds_dicom", "is_dicom", "read_series"]

TOLERANCE = 0.01  # allowed position error, as a share of the slice distance
JITTER = 0.02  # the same, of each place from an even grid; said
TO_RAS = np.array([-1.0, -1.0, 1.0])  # DICOM's x and y run to the patient's left and back

Spacing = tuple[float, float, float]


def read_series(path: Path, spacing: Spacing | None = None, air: float = -1000.0) -> Image:
    """Read the only series of CT in a folder (or the series of a file), slope and intercept applied: Hounsfield units float32 for CT.

    `spacing` (z, y, x) [mm] is for files that have none; `air` replaces padding outside of the field of view. Raise InputError for
    several series, missing or repeated slices, slices of different shape or direction and compressions that cannot be read;
    MissingDependency without pydicom.
    """
    try:
        import pydicom  # noqa: F401
    except ImportError:
        raise MissingDependency("DICOM needs pydicom (install: pip install 'seed-ct[medical]')") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns about odd values; the relevant ones are checked here
        slices, note = find_slices(path)
        slices, strays = without_strays(slices)
        _check_alike(slices)
        in_plane, more = _in_plane(path, slices, spacing)
        slices, step, so = _in_order(path, slices, spacing)
        shape = (len(slices), slices[0].rows, slices[0].columns)
        check_image(str(path), shape[1:], np.dtype(np.float32))
        check_array(str(path), shape, np.dtype(np.float32))
        values = _values(slices, air)
    axes = np.stack([*in_plane, step], axis=1)
    first = slices[0]
    origin = np.zeros(3) if first.position is None else first.position
    note = note + strays + more + so
    return Image(values, TO_RAS[:, None] * axes, TO_RAS * origin, note, stated=first.placed, frame=first.frame_of_reference)


def _values(slices: list[Slice], air: float) -> np.ndarray:
    """Return the values of all slices; each file is read once, the volume lies in a file if large."""
    places: dict[Path, dict[int, int]] = {}
    for index, one in enumerate(slices):
        places.setdefault(one.path, {})[one.frame or 0] = index

    def write(values: np.ndarray) -> None:
        for path, wanted in places.items():
            count = 0
            for frame, stored in enumerate(pixels(path)):
                if frame in wanted:
                    values[wanted[frame]] = slices[wanted[frame]].rescaled(stored, air)
                    count += 1
            if count < len(wanted):
                raise InputError(str(path), expected=f"{len(wanted)} frames", found=f"{count}")
            mapped.release(values)

    return mapped.filled((len(slices), slices[0].rows, slices[0].columns), write)


def _check_alike(slices: list[Slice]) -> None:
    first = slices[0]
    for one in slices[1:]:
        same = (one.rows, one.columns) == (first.rows, first.columns)
        near = np.allclose(one.column_step, first.column_step, atol=1e-3) and np.allclose(one.row_step, first.row_step, atol=1e-3)
        if not (same and near):
            raise InputError(str(one.path), expected=f"shape and direction of {first.path.name}", found="others")
    lacking = [one for one in slices if not one.placed]
    if lacking and len(lacking) < len(slices):
        name, count = ("ImagePositionPatient", 3) if lacking[0].position is None else ("ImageOrientationPatient", 6)
        fix = "The file is no slice of a volume (it may be a scout or a report): remove it."
        raise InputError(f"{lacking[0].path}: {name}", expected=f"{count} numbers", found="None", fix=fix)


def _in_plane(path: Path, slices: list[Slice], spacing: Spacing | None) -> tuple[list[np.ndarray], str]:
    """Return the steps along a row and along a column [mm], and a note. Raise InputError for a file without pixel size."""
    first = slices[0]
    if first.sized:
        return [first.column_step, first.row_step], ""
    if spacing is None:
        raise InputError(f"{first.path}: PixelSpacing", expected="2 numbers", found="None", fix=_give())
    return [first.column_step * spacing[2], first.row_step * spacing[1]], ", pixel size as given"


def _give() -> str:
    return "Give the voxels' edges in mm: --set volume.spacing=0.5 (or z, y, x)."


def _in_order(path: Path, slices: list[Slice], spacing: Spacing | None) -> tuple[list[Slice], np.ndarray, str]:
    """Return the slices from one end to the other, the step between them [mm], and a note."""
    if len(slices) < 2:
        raise InputError(str(path), expected="at least two slices", found=f"{len(slices)}")
    normal = np.cross(slices[0].column_step, slices[0].row_step)
    normal /= np.linalg.norm(normal)
    if not slices[0].placed:
        return _by_number(path, slices, normal, spacing)
    if spacing is not None and slices[0].sized:
        raise InputError(f"{path}: spacing", expected="none, since the file has its own", found=f"{spacing}")
    slices = sorted(slices, key=lambda one: float(one.position @ normal))  # type: ignore[operator]
    return (slices, *_step(path, slices, normal))


def _by_number(path: Path, slices: list[Slice], normal: np.ndarray, spacing: Spacing | None) -> tuple[list[Slice], np.ndarray, str]:
    """Order slices without positions by SliceLocation, else by InstanceNumber."""
    locations, numbers = [one.location for one in slices], [one.number for one in slices]
    stated = {one.thickness for one in slices}
    if None not in locations and len(set(locations)) == len(slices) and spacing is None:
        slices = sorted(slices, key=lambda one: one.location or 0.0)
        length, name = _even(path, slices, [one.location or 0.0 for one in slices], "mm"), "SliceLocation"
        return slices, normal * length, f", no positions in the files: slices placed by {name} (growing to the head)"
    if None in numbers or len(set(numbers)) < len(slices):
        fix = "Convert the slices to NIfTI, or to a stack of TIFF in the right order."
        raise InputError(str(path), expected="slices with positions or with different InstanceNumber", found="neither", fix=fix)
    if spacing is None and (None in stated or len(stated) > 1):
        raise InputError(str(path), expected="positions of the slices, or one SliceThickness", found="neither", fix=_give())
    slices = sorted(slices, key=lambda one: one.number or 0.0)
    _even(path, slices, [one.number or 0.0 for one in slices], "numbers")
    length = spacing[0] if spacing is not None else float(next(iter(stated)) or 0.0)
    how = "as given" if spacing is not None else "as SpacingBetweenSlices or SliceThickness says"
    return slices, normal * length, f", no positions in the files: slices by number (the first at the feet), every {length:g} mm {how}"


def _even(path: Path, slices: list[Slice], places: list[float], unit: str) -> float:
    """Return the usual gap between places. Raise InputError for a gap of another size."""
    gaps = np.diff(places)
    usual = float(np.median(gaps))
    wrong = np.flatnonzero(np.abs(gaps - usual) > 0.1 * usual)
    if len(wrong):
        between = f"{slices[wrong[0]].name} and {slices[wrong[0] + 1].name}"
        raise InputError(
            str(path), expected=f"{len(slices)} slices every {usual:g} {unit}", found=f"{between} {gaps[wrong[0]]:g} {unit} apart"
        )
    return float(places[-1] - places[0]) / (len(places) - 1)


def _step(path: Path, slices: list[Slice], normal: np.ndarray) -> tuple[np.ndarray, str]:
    """Return the step between slices [mm], and a note. Raise InputError if a slice is missing or repeated."""
    first, last = slices[0].position, slices[-1].position
    assert first is not None and last is not None
    step = (last - first) / (len(slices) - 1)
    places = np.array([one.position @ normal for one in slices])  # type: ignore[operator]
    gaps = np.diff(places)
    usual = float(np.median(gaps))
    wrong = np.flatnonzero(np.abs(gaps - usual) > TOLERANCE * max(usual, 1e-6))
    if usual > 0 and not len(wrong):
        return step, ""
    rounding = _rounding(slices, normal)
    mean = float(np.polyfit(np.arange(len(places)), places, 1)[0])
    stated = slices[0].thickness or 0.0
    exactly = stated * np.arange(len(places))
    if stated and np.ptp(places - exactly) <= 1.01 * rounding <= 1.01 * stated:
        return step * (
            stated / float(step @ normal)
        ), f", slice positions rounded to {rounding:g} mm taken as every {stated:g} mm, as stated"
    if rounding <= 0.5 * mean and np.abs(gaps - mean).max() <= 1.05 * rounding + TOLERANCE * mean:
        length = float(step @ normal)
        exact = stated if abs(stated - length) <= 1.01 * rounding / (len(slices) - 1) else length
        return step * (exact / length), f", slice positions rounded to {rounding:g} mm taken as every {exact:.6g} mm"
    apart = places - np.polyval(np.polyfit(np.arange(len(places)), places, 1), np.arange(len(places)))
    if mean > 0 and np.abs(apart).max() <= JITTER * mean:
        return step * (
            mean / float(step @ normal)
        ), f", slice positions up to {np.abs(apart).max():.2g} mm off taken as every {mean:.6g} mm"
    for index in wrong:
        missing = gaps[index] / usual - 1 if usual > 0 else 0.0
        between = f"{slices[index].name} and {slices[index + 1].name}"
        if gaps[index] <= TOLERANCE * max(usual, 1e-6):
            found = f"{between} at the same place"
        elif round(missing) and abs(missing - round(missing)) < 0.05:
            found = f"{round(missing)} missing between {between} ({gaps[index]:g} mm apart)"
        else:
            found = f"{between} {gaps[index]:g} mm apart"
        raise InputError(str(path), expected=f"{len(slices)} slices every {usual:g} mm", found=found)
    raise InputError(str(path), expected="slices behind one another", found="all at the same place")


def _rounding(slices: list[Slice], normal: np.ndarray) -> float:
    """Return the unit of the last decimal of the coordinate along the normal [mm]; 0 where positions are not decimal texts."""
    axis = int(np.abs(normal).argmax())
    decimals = [one.decimals[axis] for one in slices if len(one.decimals) == 3]
    return 10.0 ** -max(decimals) if decimals else 0.0
