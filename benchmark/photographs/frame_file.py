"""Open the file with the frames of a sequence: arrays by name, in HDF5 or zarr."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.errors import InputError, MissingDependency, one_line


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
        fix = "Preparing them has not ended: give prepare-frames again." if not present and (folder / PIECES).is_dir() else ""
        raise InputError(str(folder), expected=f"one of {' and '.join(KINDS)}", found="both" if present else "neither", fix=fix)
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


def hdf5() -> Any:
    """Return the package h5py. Raise MissingDependency without it."""
    try:
        import h5py
    except ImportError as error:
        raise MissingDependency("photographs in HDF5 need h5py (install: pip install 'seed-ct[photographs]')") from error
    return h5py


def _hdf5(path: Path) -> Any:
    file = hdf5().File(path, "r")
    for array in file.values():
        for source in array.virtual_sources() if getattr(array, "is_virtual", False) else ():
            piece = path.parent / source.file_name
            if not piece.is_file():  # would be read as zeros
                raise InputError(str(piece), expected=f"a part of {path.name}", found="no such file", fix="Give prepare-frames again.")
    return file


def _zarr(path: Path) -> Any:
    try:
        import zarr
    except ImportError as error:
        raise MissingDependency("photographs in zarr need zarr (install: pip install 'seed-ct[zarr]'; Python 3.11 or newer)") from error
    return contextlib.nullcontext(zarr.open_group(path, mode="r"))


KINDS = {"frames.h5": Kind("an HDF5 file", _hdf5), "frames.zarr": Kind("a zarr group", _zarr)}
PIECES = "frames"  # folder beside frames.h5 with the files that prepare-frames makes it of
