"""Read projections from DICOM: one view a file, or one file with a frame for each view. Volumes of slices are read by dicom.py."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError, MissingDependency, note, one_line
from benchmark.files.dicom import is_dicom
from benchmark.files.dicom_slice import check_deflated
from benchmark.files.limits import MOST_VIEWS, check_image
from benchmark.files.series import series
from benchmark.files.stack import Stack

SHOWN = 5


@dataclasses.dataclass(frozen=True)
class View:
    """Header of a file: frames of [row, column] numbers, stored value to number by slope and intercept, and what tells its place."""

    path: Path
    frames: int
    shape: tuple[int, int]
    slope: float
    intercept: float
    dtype: np.dtype  # float32 if rescaled
    inverse: bool  # MONOCHROME1: small numbers are shown bright
    series: str
    number: int | None
    time: str


def dicom_files(paths: Sequence[Path]) -> list[Path]:
    """Return the DICOM files among these paths, without the directory of a disc."""
    return [path for path in paths if path.name.upper() != "DICOMDIR" and is_dicom(path)][: MOST_VIEWS + 1]


def in_order_of_exposure(where: str, paths: Sequence[Path]) -> list[Path]:
    """Return the views by instance number, else by time of acquisition, else by the numbers in the names. Objects that are no images are
    left out and named in a note. Raise InputError for several series."""
    found = [_read(path) for path in paths]
    views = [view for view in found if isinstance(view, View)]
    others = [path.name for path, view in zip(paths, found, strict=True) if view is None]
    if not views:
        raise InputError(where, expected="DICOM images", found=f"{len(others)} objects without pixels")
    if others:
        shown = ", ".join(others[:SHOWN]) + f" and {len(others) - SHOWN} more" * (len(others) > SHOWN)
        note(f"{where}: {len(views)} DICOM images are used; left out, since they hold no image: {shown}")
    several = {view.series for view in views}
    if len(several) > 1:
        raise InputError(where, expected="one DICOM series", found=f"{len(several)}", fix="Put each series into a folder of its own.")
    for keys in ([view.number for view in views], [view.time or None for view in views]):
        if None not in keys and len(set(keys)) == len(keys):
            return [view.path for _, view in sorted(zip(keys, views, strict=True), key=lambda pair: pair[0])]  # type: ignore[return-value, arg-type]
    return series(where, [view.path for view in views])


def one_per_file(files: Sequence[Path]) -> Stack:
    """Return a stack of one view per file. Raise InputError for files of another shape, and for several frames in each."""
    if len(files) == 1:
        return frames(files[0])
    first = _view(files[0])
    if first.frames > 1:
        found = f"{first.frames} in each of {len(files)} files"
        raise InputError(str(files[0]), expected="one frame in each file", found=found, fix="Put the files of one scan into one folder.")

    def page(index: int) -> np.ndarray:
        view = _view(files[index])
        if (view.shape, view.frames, view.dtype) != (first.shape, 1, first.dtype):
            expected = f"one image of {first.shape}, {first.dtype}, as in {files[0].name}"
            raise InputError(str(view.path), expected=expected, found=f"{view.frames} of {view.shape}, {view.dtype}")
        return _pixels(view, 0)

    return _stack(str(files[0].parent), len(files), first, page)


def frames(path: Path) -> Stack:
    """Return a stack of the frames of one file."""
    view = _view(path)
    return _stack(str(path), view.frames, view, lambda index: _pixels(view, index))


def _stack(where: str, count: int, view: View, page: Any) -> Stack:
    if view.inverse:
        note(f"{where}: MONOCHROME1 only says how to show the images; their numbers are used as stored")
    check_image(where, view.shape, view.dtype)
    return Stack(where, (count, *view.shape), view.dtype, page)


def _view(path: Path) -> View:
    found = _read(path)
    if found is None:
        raise InputError(str(path), expected="a DICOM image", found="an object without pixels")
    return found


def _read(path: Path) -> View | None:
    """Return the header of a DICOM file; None if it holds no image."""
    pydicom = _pydicom()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom warns about odd values; the relevant ones are checked here
        try:
            check_deflated(path)
            header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
            if not header.get("Rows"):
                return None
            number, count = header.get("InstanceNumber"), int(header.get("NumberOfFrames") or 1)
            shape = int(header.Rows), int(header.Columns)
            values = [_rescale(header, key, default) for key, default in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0))]
            colour, meaning = int(header.get("SamplesPerPixel") or 1), str(header.get("PhotometricInterpretation", "MONOCHROME2"))
            bits, signed = int(header.get("BitsAllocated") or 16), bool(header.get("PixelRepresentation"))
            time = str(header.get("AcquisitionDateTime") or f"{header.get('AcquisitionDate') or ''}{header.get('AcquisitionTime') or ''}")
            place = str(header.get("SeriesInstanceUID", "")), None if number in (None, "") else int(number), time
        except Exception as error:  # a broken file raises anything
            raise InputError(str(path), expected="a DICOM file", found=one_line(error)) from error
    if colour != 1 or not meaning.startswith("MONOCHROME"):
        raise InputError(str(path), expected="grey images", found=f"{colour} values a pixel, {meaning}")
    if not 1 <= count <= MOST_VIEWS or min(shape) < 1 or not np.isfinite(values).all() or values[0] == 0:
        found = f"{count} of {shape}, slope {values[0]:g}, intercept {values[1]:g}"
        raise InputError(str(path), expected="images of positive size with a finite rescale", found=found)
    whole = values == [1.0, 0.0] and bits in (8, 16, 32)
    dtype = np.dtype(f"{'i' if signed else 'u'}{bits // 8}") if whole else np.dtype(np.float32)
    return View(path, count, shape, values[0], values[1], dtype, meaning == "MONOCHROME1", *place)


def _rescale(header: Any, key: str, default: float) -> float:
    """Return slope or intercept of a file, or of all frames of an enhanced one."""
    value = header.get(key)
    if value in (None, ""):
        shared = header.get("SharedFunctionalGroupsSequence") or [{}]
        groups = shared[0].get("PixelValueTransformationSequence") or [{}]
        value = groups[0].get(key)
    return default if value in (None, "") else float(value)


def _pixels(view: View, frame: int) -> np.ndarray:
    """Return one frame [row, column], rescaled."""
    _pydicom()
    from pydicom.pixels import pixel_array

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stored = np.asarray(pixel_array(view.path, index=frame))
    except Exception as error:  # a broken file raises anything, an unknown compression too
        raise InputError(str(view.path), expected="pixels that can be read", found=one_line(error)) from error
    if stored.shape != view.shape:
        raise InputError(str(view.path), expected=f"{view.shape[0]} x {view.shape[1]} pixels", found=f"shape {stored.shape}")
    if view.dtype.kind != "f":
        return stored.astype(view.dtype, copy=False)
    return stored.astype(np.float32) * np.float32(view.slope) + np.float32(view.intercept)


def _pydicom() -> Any:
    try:
        import pydicom
    except ImportError:
        raise MissingDependency("DICOM needs pydicom (install: pip install 'seed-ct[medical]')") from None
    return pydicom
