"""Read TIFF and PNG images: one file per page, or one TIFF with many pages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmark.errors import InputError, one_line
from benchmark.files.limits import NUMBERS, check_array
from benchmark.files.stack import Stack

TIFF, PNG = (".tif", ".tiff"), (".png",)


def in_order(paths: Sequence[Path]) -> list[Path]:
    """Sort names by their numbers: img2 before img10."""
    return sorted(paths, key=lambda path: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)])


def image_folder(folder: Path, pattern: str = "*") -> list[Path]:
    """Return the numbered images of a folder. Raise InputError for no images, for several kinds, and for a gap in the numbers."""
    named = [path for path in folder.glob(pattern) if path.suffix.lower() in TIFF + PNG and not path.name.startswith(".")]
    files = [path for path in named if path.is_file()]
    kinds = sorted({path.suffix.lower() for path in files})
    where = str(folder / pattern)
    if len(kinds) != 1 and tuple(kinds) != tuple(sorted(TIFF)):
        found = f"both {' and '.join(kinds)}" if kinds else "none"
        raise InputError(where, expected="numbered images of one kind (TIFF or PNG)", found=found)
    files = in_order(files)
    numbers = [int(match[-1]) for path in files if (match := re.findall(r"\d+", path.stem))]
    steps = np.diff(np.array(numbers, dtype=object))
    holes = np.flatnonzero(steps != np.median(steps)) if len(steps) else np.empty(0, dtype=int)
    if 0 < len(holes) <= len(steps) / 10:  # more gaps mean a different numbering
        hole = f"none between number {numbers[holes[0]]} and {numbers[holes[0] + 1]}"
        raise InputError(where, expected="a gapless series of images", found=hole)
    return files


def image_stack(files: Sequence[Path]) -> Stack:
    """Return a stack of one image per file, all with the shape and type of the first, each read on demand."""
    first = files[0]
    shape, dtype = _header(first)
    check_array(str(first), shape, dtype)

    def page(index: int) -> np.ndarray:
        found = _header(files[index])
        if found != (shape, dtype):
            expected = f"shape {shape} and type {dtype} as in {first.name}"
            raise InputError(str(files[index]), expected=expected, found=f"{found[0]}, {found[1]}")
        return _pixels(files[index])

    return Stack(str(first.parent), (len(files), *shape), dtype, page)


def tiff_pages(path: Path) -> Stack:
    """Open a TIFF file with many pages (or one page with three axes)."""
    import tifffile

    with _readable(path), tifffile.TiffFile(path) as file:
        series = file.series[0]
        shape = tuple(length for length in series.shape if length > 1 or len(series.shape) <= 3)
        dtype = np.dtype(series.dtype)
        if len(shape) != 3:
            raise InputError(str(path), expected="three axes: grey pages of one shape", found=f"shape {series.shape}")
        if series.dataoffset is not None:  # not compressed and in one piece
            check_array(str(path), shape, dtype, stored=path.stat().st_size - series.dataoffset)
            return Stack.of(str(path), tifffile.memmap(path, mode="r").reshape(shape))
        if len(file.pages) == shape[0] and len(file.series) == 1:
            check_array(str(path), shape[1:], dtype)
            return Stack(str(path), shape, dtype, lambda index: _pixels(path, index, shape[1:]))
        check_array(str(path), shape, dtype)
        return Stack.of(str(path), series.asarray().reshape(shape))


def page_count(path: Path) -> int:
    """Return the number of pages of a TIFF or PNG file."""
    if path.suffix.lower() in PNG:
        return 1
    import tifffile

    with _readable(path), tifffile.TiffFile(path) as file:
        return len(file.pages)


def _header(path: Path) -> tuple[tuple[int, int], np.dtype]:
    """Read shape (rows, columns) and type of one grey image, without its pixels."""
    with _readable(path):
        if path.suffix.lower() in TIFF:
            import tifffile

            with tifffile.TiffFile(path) as file:
                page = file.pages[0]
                shape, dtype = tuple(page.shape), np.dtype(page.dtype)
        else:
            from PIL import Image

            with Image.open(path) as image:
                kinds = {"1": np.bool_, "I;16": np.uint16, "I;16B": np.uint16, "I": np.int32, "L": np.uint8}
                shape = (image.height, image.width)
                dtype = np.dtype(kinds.get(image.mode, object))
    if len(shape) != 2 or dtype.kind not in NUMBERS:
        raise InputError(str(path), expected="one grey image", found=f"shape {shape}" if dtype.kind in NUMBERS else "colours")
    return (int(shape[0]), int(shape[1])), dtype


def _pixels(path: Path, page: int = 0, shape: tuple[int, ...] | None = None) -> np.ndarray:
    with _readable(path):
        if path.suffix.lower() in TIFF:
            import tifffile

            with tifffile.TiffFile(path) as file:
                found = file.pages[page]
                if shape is not None and found.shape != shape:
                    raise InputError(str(path), expected=f"pages of {shape}, as the first one", found=f"{found.shape} on page {page}")
                return found.asarray()
        from PIL import Image

        with Image.open(path) as image:
            return np.asarray(image)


class _readable:
    """Turn any error of a decoder into one InputError."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        import logging
        import warnings

        logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it also logs the errors it raises
        self._warnings = warnings.catch_warnings()
        self._warnings.__enter__()
        warnings.simplefilter("ignore")  # Pillow warns about large images; the header is checked here

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        self._warnings.__exit__(None, None, None)
        if isinstance(error, Exception) and not isinstance(error, InputError | FileNotFoundError):
            raise InputError(str(self.path), expected="an undamaged TIFF or PNG image", found=one_line(error)) from error
