"""One slice of a DICOM series: a file, or a frame of a multi-frame file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError, one_line
from benchmark.files.compressed import check_deflate

MOST_RATIO = 100  # of pixels to their deflated size
CHOOSING = ("SOPClassUID", "SeriesInstanceUID", "Modality", "ImageType", "Rows", "SeriesDescription")  # elements that choose a series
MOST_FRAMES = 20_000
AXIAL = np.array([1.0, 0, 0, 0, 1, 0])  # rows to the patient's left, columns to the back


def read_header(path: Path) -> Any:
    """Return a file's elements up to the pixels. Raise InputError for a file that pydicom cannot read."""
    import pydicom

    try:
        check_deflated(path)
        header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        for name in CHOOSING:
            header.get(name)  # pydicom converts an element, and finds its damage, when it is first asked for
        header.file_meta.get("MediaStorageSOPClassUID")
        return header
    except InputError:
        raise
    except Exception as error:  # a broken file raises anything
        raise InputError(str(path), expected="a DICOM file", found=one_line(error)) from error


def check_deflated(path: Path) -> None:
    """Raise InputError for a deflated file that unpacks to far more than images do: pydicom unpacks all of it at once, in memory."""
    from pydicom.filereader import read_dataset, read_preamble
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    with path.open("rb") as file:
        read_preamble(file, force=True)
        meta = read_dataset(file, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, vr, length: tag.group != 2)
        if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
            check_deflate(str(path), file, MOST_RATIO * path.stat().st_size)


def slices_of(path: Path, header: Any) -> list[Slice]:
    """Return the slices of a file, one for each frame. Raise InputError for impossible headers."""
    try:
        count = int(header.get("NumberOfFrames") or 1)
        groups = header.get("PerFrameFunctionalGroupsSequence")
        if not 1 <= count <= MOST_FRAMES or (groups is not None and len(groups) != count):
            found = f"{count} and {len(groups or ())} groups"
            raise InputError(f"{path}: NumberOfFrames", expected=f"1 .. {MOST_FRAMES}, each with its functional group", found=found)
        if count == 1 and groups is None:
            return [Slice(path, header, None)]
        return [Slice(path, header, frame) for frame in range(count)]
    except InputError:
        raise
    except Exception as error:  # a broken file raises anything
        raise InputError(str(path), expected="a DICOM file", found=one_line(error)) from error


class Slice:
    """Header of a slice. column_step is the vector from a pixel to its neighbour in the row, row_step to the pixel below [mm].

    `position`, `location` and `number` are None where the file has none; `thickness` is the distance that it states [mm].
    `oriented` and `sized` say whether directions and pixel size are the file's own.
    """

    def __init__(self, path: Path, header: Any, frame: int | None) -> None:
        self.path, self.frame, self._header = path, frame, header
        self.series, self.uid = str(header.get("SeriesInstanceUID", "")), str(header.get("SOPInstanceUID", ""))
        self.frame_of_reference = str(header.get("FrameOfReferenceUID", "") or "")
        self.rows, self.columns = self._whole("Rows"), self._whole("Columns")
        if int(header.get("SamplesPerPixel") or 1) != 1:
            raise InputError(str(path), expected="grey slices", found="several colours", fix="Convert it to NIfTI first.")
        directions, spacing = self._numbers("PlaneOrientation", "ImageOrientationPatient", 6), self._spacing()
        self.oriented, self.sized = directions is not None, spacing is not None
        directions = AXIAL if directions is None else directions
        spacing = np.ones(2) if spacing is None else spacing
        if (spacing <= 0).any():
            raise InputError(f"{path}: PixelSpacing", expected="positive lengths", found=f"{spacing.tolist()}")
        lengths = np.linalg.norm(directions.reshape(2, 3), axis=1)
        if np.abs(lengths - 1).max() > 0.01 or abs(directions[:3] @ directions[3:]) > 0.01:
            where = f"{path}: ImageOrientationPatient"
            raise InputError(where, expected="two unit vectors at right angles", found=f"{directions.tolist()}")
        self.column_step, self.row_step = directions[:3] * spacing[1], directions[3:] * spacing[0]
        self.position = self._numbers("PlanePosition", "ImagePositionPatient", 3)
        self.decimals = [_decimals(item) for item in self._get("PlanePosition", "ImagePositionPatient") or ()]
        between = self._number("PixelMeasures", "SpacingBetweenSlices", 0.0) or self._number("PixelMeasures", "SliceThickness", 0.0)
        self.thickness = abs(between) or None
        if frame is not None and self._group("PlanePosition", "ImagePositionPatient") is None:
            self._stack_frames(frame, directions)
        self.location = None if frame is not None else self._optional("SliceLocation")
        self.number = float(frame) if frame is not None else self._optional("InstanceNumber")
        self.slope = self._number("PixelValueTransformation", "RescaleSlope", 1.0)
        self.intercept = self._number("PixelValueTransformation", "RescaleIntercept", 0.0)
        if self.slope == 0:
            raise InputError(f"{path}: RescaleSlope", expected="a number other than 0", found="0, which makes all pixels equal")

    def _stack_frames(self, frame: int, directions: np.ndarray) -> None:
        """Place a frame without a position of its own behind the first one, if the file has one position for all."""
        if self.position is not None and self.thickness:
            self.position = self.position + frame * self.thickness * np.cross(directions[:3], directions[3:])
            self.decimals = []
        elif frame:
            self.position = None

    @property
    def name(self) -> str:
        """Name for messages."""
        return self.path.name if self.frame is None else f"{self.path.name} frame {self.frame + 1}"

    @property
    def placed(self) -> bool:
        return self.position is not None and self.oriented

    def rescaled(self, stored: np.ndarray, air: float) -> np.ndarray:
        """Return values, float32 [row, column]; padding that reaches the edge of the slice, outside of the field of view, becomes `air`."""
        if stored.shape != (self.rows, self.columns):
            raise InputError(str(self.path), expected=f"{self.rows} x {self.columns} pixels", found=f"shape {stored.shape}")
        values = stored.astype(np.float32) * np.float32(self.slope) + np.float32(self.intercept)
        padding = self._padding(stored.dtype)
        if padding is not None:
            from benchmark.files.gaps import at_the_edge

            padded = (stored >= padding[0]) & (stored <= padding[1])
            values[at_the_edge(padded)] = air
        return values

    def _padding(self, dtype: np.dtype) -> tuple[Any, Any] | None:
        """Return the range of stored values that are no measurement."""
        value, limit = self._header.get("PixelPaddingValue"), self._header.get("PixelPaddingRangeLimit")
        if not isinstance(value, int) or dtype.kind not in "iu":
            return None
        ends = [_wrapped(value, dtype), _wrapped(limit if isinstance(limit, int) else value, dtype)]
        return min(ends), max(ends)

    def _group(self, sequence: str, name: str) -> Any:
        """Return an element of the frame's functional groups, or of those that all frames share; None without one."""
        if self.frame is None:
            return None
        own = self._header.get("PerFrameFunctionalGroupsSequence") or [None] * (self.frame + 1)
        for groups in (own[self.frame], *(self._header.get("SharedFunctionalGroupsSequence") or ())):
            items = groups.get(f"{sequence}Sequence") if groups is not None else None
            value = items[0].get(name) if items else None
            if value is not None:
                return value
        return None

    def _get(self, sequence: str, name: str) -> Any:
        value = self._group(sequence, name)
        return self._header.get(name) if value is None else value

    def _whole(self, name: str) -> int:
        value = self._header.get(name)
        if not isinstance(value, int) or not 1 <= value <= 1 << 16:
            raise InputError(f"{self.path}: {name}", expected="a number of pixels", found=f"{value!r:.40}")
        return int(value)

    def _optional(self, name: str) -> float | None:
        value = self._header.get(name)
        return None if value is None or value == "" else self._number("", name, 0.0)

    def _number(self, sequence: str, name: str, default: float) -> float:
        value = self._get(sequence, name)
        found = default if value is None or value == "" else float(value)
        if not np.isfinite(found):
            raise InputError(f"{self.path}: {name}", expected="a finite number", found=f"{value!r:.40}")
        return found

    def _spacing(self) -> np.ndarray | None:
        return self._numbers("PixelMeasures", "PixelSpacing", 2)

    def _numbers(self, sequence: str, name: str, count: int) -> np.ndarray | None:
        """Return the numbers of an element, None if the file does not have it. Raise InputError for another count."""
        value = self._get(sequence, name)
        if value is None or value == "" or (hasattr(value, "__len__") and not len(value)):
            return None
        try:
            found = np.array([float(item) for item in value], dtype=np.float64)
        except (TypeError, ValueError):
            found = np.empty(0)
        if found.shape != (count,) or not np.isfinite(found).all():
            raise InputError(f"{self.path}: {name}", expected=f"{count} numbers", found=f"{value!r:.60}")
        return found


def pixels(path: Path) -> Iterator[np.ndarray]:
    """Yield the stored frames of a file, [row, column] each. Raise InputError for pixels that cannot be read."""
    import pydicom
    from pydicom.pixels import iter_pixels

    try:
        check_deflated(path)
        dataset = pydicom.dcmread(path, force=True)
        if not hasattr(dataset.file_meta, "TransferSyntaxUID"):
            dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        if int(dataset.get("NumberOfFrames") or 1) == 1:
            yield np.asarray(dataset.pixel_array)
        else:
            yield from map(np.asarray, iter_pixels(dataset))
    except Exception as error:  # a broken file raises anything, an unknown compression too
        raise InputError(str(path), expected="pixels that can be read", found=one_line(error)) from error


def _decimals(item: Any) -> int:
    """Return the decimals of a number as the file writes it."""
    text = str(getattr(item, "original_string", item)).strip().lower()
    return 9 if "e" in text else len(text.partition(".")[2])


def _wrapped(value: int, dtype: np.dtype) -> Any:
    """Return a value whose sign the file may have lost, as stored."""
    return np.array(value & ((1 << 8 * dtype.itemsize) - 1), dtype=f"u{dtype.itemsize}").view(dtype)[()]
