"""Time series of stacks in one file, [t, z, y, x]: TIFF of ImageJ, OME or tifffile, and NumPy arrays, read one frame at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmark.errors import InputError
from benchmark.files.arrays import npz_headers, read_npy, read_npz
from benchmark.files.compressed import check_tiff_page
from benchmark.files.limits import check_array
from benchmark.files.pictures import TIFF, readable
from benchmark.files.tiff_chain import check_chain
from benchmark.storage import mapped

UNNAMED = set("QIS")  # axes of a TIFF whose meaning it does not say: taken in the file's order


@dataclasses.dataclass(frozen=True, eq=False)
class Frames:
    """A series of `shape` [t, z, y, x] in the file `where`; `frame(t)` reads one, [z, y, x]."""

    where: str
    shape: tuple[int, int, int, int]
    frame: Callable[[int], np.ndarray]


def open_frames(path: Path, key: str | None = None) -> Frames:
    """Open a time series of stacks in a TIFF, .npy or .npz file (`key` names its array), [t, z, y, x].

    Axes of a TIFF that say what they are must be T, Z, Y, X, in any order of T and Z. Raise InputError for any other file.
    """
    if not path.is_file():
        raise InputError(str(path), expected="a file with a time series of stacks", found="a folder" if path.is_dir() else "none")
    if path.suffix.lower() in TIFF:
        return _tiff(path)
    if path.suffix.lower() not in (".npy", ".npz"):
        raise InputError(str(path), expected="a time series of stacks in TIFF, .npy or .npz", found=f"'{path.name}'")
    if path.suffix.lower() == ".npy":
        return _of_array(str(path), read_npy(path), "TZYX")
    names = list(npz_headers(path))
    return _of_array(str(path), read_npz(path, names[0] if key is None and len(names) == 1 else key), "TZYX")


def _of_array(where: str, array: np.ndarray, axes: str) -> Frames:
    """Return the frames of an array, in memory or mapped, whose axes T and Z may be in any order."""
    _check(where, array.shape, axes)
    time = 1 if axes.startswith("ZT") else 0
    shape = (array.shape[time], array.shape[1 - time], *array.shape[2:])

    def frame(index: int) -> np.ndarray:
        found = np.array(array[:, index] if time else array[index])
        mapped.release(array)
        return found

    return Frames(where, shape, frame)


def _tiff(path: Path) -> Frames:
    import tifffile

    where = str(path)
    with readable(path):
        check_chain(path)
    with readable(path), tifffile.TiffFile(path) as file:
        series = file.series[0]
        dtype = np.dtype(series.dtype)
        axes = "".join("TZ"[place] if name in UNNAMED and place < 2 else name for place, name in enumerate(series.axes))
        _check(where, series.shape, axes)
        if series.dataoffset is not None:  # not compressed and in one piece
            check_array(where, series.shape, dtype, stored=path.stat().st_size - series.dataoffset)
            return _of_array(where, tifffile.memmap(path, mode="r").reshape(series.shape), axes)
        check_array(where, series.shape[1:], dtype)
        if len(series.pages) != series.shape[0] * series.shape[1]:
            raise InputError(where, expected="a page for each z of each frame", found=f"{len(series.pages)} pages of {series.shape}")
        for page in series.pages:
            check_tiff_page(where, page)
        times, depth = (series.shape[axes.index(name)] for name in "TZ")
        first = axes.startswith("TZ")

    def frame(index: int) -> np.ndarray:
        with readable(path), tifffile.TiffFile(path) as again:
            pages = again.series[0].pages
            return np.stack([pages[index * depth + z if first else z * times + index].asarray() for z in range(depth)])

    return Frames(where, (times, depth, *series.shape[2:]), frame)


def _check(where: str, shape: tuple[int, ...], axes: str) -> None:
    if len(shape) != 4 or axes not in ("TZYX", "ZTYX") or not all(shape):
        expected = "a time series of grey stacks, four axes TZYX"
        raise InputError(where, expected=expected, found=f"shape {tuple(shape)}" + (f", axes {axes}" if len(shape) == len(axes) else ""))
