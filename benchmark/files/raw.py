"""Read files of raw numbers, which do not describe themselves: one file with all, or one image per file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmark.errors import InputError
from benchmark.files.limits import MOST_VIEWS, check_array
from benchmark.files.series import is_pattern, series
from benchmark.files.stack import Stack

TYPES = ("uint8", "uint16", "float32", "float64")  # named when a size does not fit
MOST_HEADER = 1 << 20


def open_raw(path: Path, shape: Sequence[int], dtype: str, *, big_endian: bool = False, header_bytes: int = 0) -> Stack:
    """Open raw numbers: a file of this shape (three axes), or a folder or pattern of files with one image each.

    The shape of one of several files is [v, u] or [1, v, u]; [files, v, u], the shape of all, is understood as well. Raise InputError
    unless each file has exactly the stated length.
    """
    if not is_pattern(path) and not path.is_dir():
        if not path.is_file():
            raise InputError(str(path), expected="a file or folder", found="none")
        whole = tuple(shape) if len(shape) == 3 else (1, *shape)
        return Stack.of(str(path), read_raw(path, whole, dtype, big_endian=big_endian, header_bytes=header_bytes))
    folder, pattern = (path, "*") if path.is_dir() else (path.parent, path.name)
    files = [file for file in folder.glob(pattern) if file.is_file() and not file.name.startswith(".")]
    if not files:
        raise InputError(str(folder / pattern), expected="files of raw numbers", found="none")
    files = series(str(folder / pattern), files)
    if len(shape) == 3 and shape[0] not in (1, len(files)):
        expected = f"[v, u] of one file, or [{len(files)}, v, u] of all {len(files)} files"
        raise InputError(str(folder / pattern), expected=expected, found=f"raw.shape {list(shape)}")
    one = (shape[-2], shape[-1])

    def page(index: int) -> np.ndarray:
        return np.array(read_raw(files[index], one, dtype, big_endian=big_endian, header_bytes=header_bytes))

    for file in files:
        _checked(file, one, dtype, header_bytes)
    kind = np.dtype(dtype).newbyteorder(">" if big_endian else "<")
    return Stack(str(folder / pattern), (len(files), *one), kind, page, names=tuple(file.name for file in files))


def read_raw(path: Path, shape: Sequence[int], dtype: str, *, big_endian: bool = False, header_bytes: int = 0) -> np.ndarray:
    """Map a file of raw numbers. Raise InputError unless the file has exactly the stated length."""
    _checked(path, shape, dtype, header_bytes)
    kind = np.dtype(dtype).newbyteorder(">" if big_endian else "<")
    return np.memmap(path, dtype=kind, mode="r", offset=header_bytes, shape=tuple(shape))


def _checked(path: Path, shape: Sequence[int], dtype: str, header_bytes: int) -> None:
    total = path.stat().st_size
    stored = total - header_bytes
    where = str(path)
    try:
        size = check_array(where, shape, np.dtype(dtype), stored=max(0, stored))
    except InputError as error:
        if min(shape) >= 1:
            error.fix = _what_fits(total, shape, dtype, header_bytes)
        raise
    if stored != size:
        raise InputError(
            where,
            expected=f"{size} bytes (shape {tuple(shape)}, type {dtype}) after a header of {header_bytes}",
            found=f"{stored} bytes",
            fix=_what_fits(total, shape, dtype, header_bytes),
        )


def _what_fits(total: int, shape: Sequence[int], dtype: str, header_bytes: int) -> str:
    """Return which single change of raw would fit the file's size."""
    count, width = math.prod(shape), np.dtype(dtype).itemsize
    image, stored = math.prod(shape[-2:]) * width, total - header_bytes
    found = []
    for name in TYPES:
        if np.dtype(name).itemsize != width and count * np.dtype(name).itemsize == stored:
            found.append(f"raw.dtype: {name}")
    if 0 <= total - count * width <= MOST_HEADER:
        found.append(f"raw.header_bytes: {total - count * width}")
    if len(shape) == 3 and stored > 0 and stored % image == 0 and stored // image <= MOST_VIEWS:
        found.append(f"raw.shape: {[stored // image, *shape[-2:]]}")
    side = math.isqrt(max(0, stored // (width * (math.prod(shape) // math.prod(shape[-2:])))))
    if side > 1 and math.prod(shape[:-2]) * side * side * width == stored:
        found.append(f"raw.shape: {[*shape[:-2], side, side]}")
    fits = f"This would fit: {', or '.join(dict.fromkeys(found))}." if found else ""
    return " ".join(filter(None, [fits, "Check raw.shape, raw.dtype and raw.header_bytes."]))
