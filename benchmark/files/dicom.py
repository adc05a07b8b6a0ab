"""Read a DICOM series of CT slices: one file per slice, ordered by position, never by name."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError, MissingDependency, one_line
from benchmark.files.limits import check_array
from benchmark.files.medical import Image

TOLERANCE = 0.01  # allowed position error, as a share of the slice distance
MOST_FILES = 20_000
TO_RAS = np.array([-1.0, -1.0, 1.0])  # DICOM's x and y run to the patient's left and back


def is_dicom(path: Path) -> bool:
    """Return True if a file begins with the DICOM signature or its name ends in .dcm."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return path.suffix.lower() == ".dcm" or file.read(132)[128:] == b"DICM"


def read_series(folder: Path) -> Image:
    """Read the only series of slices in a folder, slope and intercept applied: Hounsfield units float32 for CT.

    Raise InputError for several series, missing or repeated slices, slices of different shape or direction and
    compressions that cannot be read; MissingDependency without pydicom.
    """
    try:
        import pydicom
    except ImportError:
        raise MissingDependency("DICOM needs pydicom (install: pip install 'seed-ct[medical]')") from None
    files = [path for path in sorted(folder.iterdir()) if is_dicom(path)][: MOST_FILES + 1]
    if not files or len(files) > MOST_FILES:
        raise InputError(str(folder), expected=f"1 .. {MOST_FILES} DICOM files", found=f"{len(files)}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns about odd values; the relevant ones are checked here
        slices = [_Slice.read(pydicom, path) for path in files]
        _check_alike(folder, slices)
        normal = np.cross(slices[0].column_step, slices[0].row_step)
        normal /= np.linalg.norm(normal)
        slices.sort(key=lambda one: float(one.position @ normal))
        step = _step(folder, slices, normal)
        shape = (len(slices), slices[0].rows, slices[0].columns)
        check_array(str(folder), shape, np.dtype(np.float32))
        values = np.empty(shape, dtype=np.float32)
        for index, one in enumerate(slices):
            values[index] = one.pixels(pydicom)
    axes = np.stack([slices[0].column_step, slices[0].row_step, step], axis=1)
    return Image(values, TO_RAS[:, None] * axes, TO_RAS * slices[0].position)


class _Slice:
    """The header of one file. column_step is the vector from a pixel to its neighbour in the row, row_step to the pixel below [mm]."""

    def __init__(self, path: Path, header: Any) -> None:
        self.path = path
        self.series = str(header.get("SeriesInstanceUID", ""))
        self.rows, self.columns = self._whole(header, "Rows"), self._whole(header, "Columns")
        if int(header.get("NumberOfFrames") or 1) != 1 or int(header.get("SamplesPerPixel") or 1) != 1:
            raise InputError(str(path), expected="one grey slice", found="several frames or colours", fix="Convert it to NIfTI first.")
        directions = self._numbers(header, "ImageOrientationPatient", 6)
        spacing = self._numbers(header, "PixelSpacing", 2)
        if (spacing <= 0).any():
            raise InputError(f"{path}: PixelSpacing", expected="positive lengths", found=f"{spacing.tolist()}")
        self.position = self._numbers(header, "ImagePositionPatient", 3)
        lengths = np.linalg.norm(directions.reshape(2, 3), axis=1)
        if np.abs(lengths - 1).max() > 0.01 or abs(directions[:3] @ directions[3:]) > 0.01:
            where = f"{path}: ImageOrientationPatient"
            raise InputError(where, expected="two unit vectors at right angles", found=f"{directions.tolist()}")
        self.column_step, self.row_step = directions[:3] * spacing[1], directions[3:] * spacing[0]
        self.slope, self.intercept = self._number(header, "RescaleSlope", 1.0), self._number(header, "RescaleIntercept", 0.0)

    @classmethod
    def read(cls, pydicom: Any, path: Path) -> _Slice:
        try:
            return cls(path, pydicom.dcmread(path, stop_before_pixels=True, force=True))
        except InputError:
            raise
        except Exception as error:  # a broken file raises anything
            raise InputError(str(path), expected="a DICOM file", found=one_line(error)) from error

    def pixels(self, pydicom: Any) -> np.ndarray:
        """Rescaled values, float32 [row, column]."""
        try:
            dataset = pydicom.dcmread(self.path, force=True)
            if not hasattr(dataset.file_meta, "TransferSyntaxUID"):
                dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
            stored = np.asarray(dataset.pixel_array)
        except Exception as error:  # a broken file raises anything, an unknown compression too
            raise InputError(str(self.path), expected="pixels that can be read", found=one_line(error)) from error
        if stored.shape != (self.rows, self.columns):
            raise InputError(str(self.path), expected=f"{self.rows} x {self.columns} pixels", found=f"shape {stored.shape}")
        return stored.astype(np.float32) * np.float32(self.slope) + np.float32(self.intercept)

    def _whole(self, header: Any, name: str) -> int:
        value = header.get(name)
        if not isinstance(value, int) or not 1 <= value <= 1 << 16:
            raise InputError(f"{self.path}: {name}", expected="a number of pixels", found=f"{value!r:.40}")
        return int(value)

    def _number(self, header: Any, name: str, default: float) -> float:
        value = header.get(name)
        found = default if value is None or value == "" else float(value)
        if not np.isfinite(found):
            raise InputError(f"{self.path}: {name}", expected="a finite number", found=f"{value!r:.40}")
        return found

    def _numbers(self, header: Any, name: str, count: int) -> np.ndarray:
        value = header.get(name)
        try:
            found = np.array([float(item) for item in value], dtype=np.float64)
        except (TypeError, ValueError):
            found = np.empty(0)
        if found.shape != (count,) or not np.isfinite(found).all():
            fix = "" if value is not None else "The file is no slice of a volume (it may be a scout or a report): remove it."
            raise InputError(f"{self.path}: {name}", expected=f"{count} numbers", found=f"{value!r:.60}", fix=fix)
        return found


def _check_alike(folder: Path, slices: list[_Slice]) -> None:
    series = {one.series for one in slices}
    if len(series) > 1:
        fix = "Put each series into a folder of its own."
        raise InputError(str(folder), expected="one DICOM series", found=f"{len(series)}", fix=fix)
    first = slices[0]
    for one in slices[1:]:
        same = (one.rows, one.columns) == (first.rows, first.columns)
        near = np.allclose(one.column_step, first.column_step, atol=1e-3) and np.allclose(one.row_step, first.row_step, atol=1e-3)
        if not (same and near):
            raise InputError(str(one.path), expected=f"shape and direction of {first.path.name}", found="others")


def _step(folder: Path, slices: list[_Slice], normal: np.ndarray) -> np.ndarray:
    """Return the step between slices [mm]. Raise InputError if a slice is missing or repeated."""
    if len(slices) < 2:
        raise InputError(str(folder), expected="at least two slices", found=f"{len(slices)}")
    places = np.array([one.position @ normal for one in slices])
    gaps = np.diff(places)
    usual = float(np.median(gaps))
    for index in np.flatnonzero(np.abs(gaps - usual) > TOLERANCE * max(usual, 1e-6)):
        missing = gaps[index] / usual - 1 if usual > 0 else 0.0
        between = f"{slices[index].path.name} and {slices[index + 1].path.name}"
        if gaps[index] <= TOLERANCE * max(usual, 1e-6):
            found = f"{between} at the same place"
        elif abs(missing - round(missing)) < 0.05:
            found = f"{round(missing)} missing between {between} ({gaps[index]:g} mm apart)"
        else:
            found = f"{between} {gaps[index]:g} mm apart"
        raise InputError(str(folder), expected=f"{len(slices)} slices every {usual:g} mm", found=found)
    if usual <= 0:
        raise InputError(str(folder), expected="slices behind one another", found="all at the same place")
    return (slices[-1].position - slices[0].position) / (len(slices) - 1)
