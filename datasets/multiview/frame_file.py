"""Open the file with the frames of a sequence: arrays by name, in HDF5 or zarr."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.api import InputError, MissingDependency, one_line


class Kind(NamedTuple):
    """A kind of file: its name in messages, and its opener, a context with a mapping from names to arrays."""

    text: str
    open: Callable[[Path], Any]


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[tuple[Path, Any]]:
    """Open the file with the frames in a folder; yield it and its arrays, which are read when indexed.

    Raise InputError for no file or more than one, and for a damaged file, even during reading; MissingDependency without the package
    that reads it.
    """
    present = [name for name in KINDS if (folder / name).exists()]
    if len(present) != 1:
        raise InputError(str(folder), expected=f"one of {' and '.join(KINDS)}", found="both" if present else "neither")
    path, kind = folder / present[0], KINDS[present[0]]
    try:
        with kind.open(path) as arrays:
            yield path, arrays
    except (InputError, MissingDependency):
        raise
    except Exception as error:  # each codec of zarr has its own exceptions
        raise InputError(str(path), expected=kind.text, found=one_line(error)) from error


def count_frames(folder: Path) -> int:
    """Return the number of frames in a folder. Raise InputError as `opened`, and if it has no images."""
    with opened(folder) as (path, arrays):
        if "images" not in arrays:
            raise InputError(f"{path}: images", expected="uint8 [frame, camera, row, column, 3]", found="none")
        return len(arrays["images"])


def _hdf5(path: Path) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise MissingDependency("photographs in HDF5 need h5py (install: pip install 'seed-ct[photographs]')") from error
    return h5py.File(path, "r")


def _zarr(path: Path) -> Any:
    try:
        import zarr
    except ImportError as error:
        raise MissingDependency("photographs in zarr need zarr (install: pip install 'seed-ct[zarr]'; Python 3.11 or newer)") from error
    return contextlib.nullcontext(zarr.open_group(path, mode="r"))


KINDS = {"frames.h5": Kind("an HDF5 file", _hdf5), "frames.zarr": Kind("a zarr group", _zarr)}
