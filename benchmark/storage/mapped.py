"""Arrays in files, read and written in pieces and then released: scans and volumes may be larger than memory."""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from benchmark.storage.atomic import StorageError
from benchmark.storage.cache_folder import cache_folder

WHOLE = 64 << 20  # [bytes] larger arrays lie in files and are processed in pieces: loading and scoring need constant memory


def file_map(array: np.ndarray) -> mmap.mmap | None:
    """Return the file behind an array; None for arrays in memory or mapped copy-on-write."""
    base: object = array
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap) and base.mode == "c":
            return None
        base = base.base
    return base if isinstance(base, mmap.mmap) else None


def is_read_only_file(array: np.ndarray) -> bool:
    """Return True if the array lies in a file and no code in this process can change it."""
    found = file_map(array)
    return found is not None and memoryview(found).readonly


def read_only(array: np.ndarray) -> np.ndarray:
    """Return a view of an array through which nothing can be written."""
    view = array.view()
    view.setflags(write=False)
    return view


def release(array: np.ndarray) -> None:
    """Drop a mapped file's pages from this process's memory; they are read again on demand."""
    found = file_map(array)
    if found is not None and hasattr(mmap, "MADV_DONTNEED"):
        with contextlib.suppress(OSError, ValueError):  # systems that keep the pages count them as cache
            found.madvise(mmap.MADV_DONTNEED)


def take(array: np.ndarray, indices: Sequence[int] | np.ndarray, rows: slice = slice(None)) -> np.ndarray:
    """Copy these views and rows of projections [view, v, u] into memory."""
    part = np.stack([array[index, rows] for index in indices])
    release(array)
    return part


def pieces(array: np.ndarray, most: int | None = None) -> Iterator[slice]:
    """Yield slices of the first axis of at most `most` bytes (default WHOLE), at least one index each; release each after use."""
    count = max(1, (WHOLE if most is None else most) * len(array) // max(1, array.nbytes))
    for start in range(0, len(array), count):
        yield slice(start, min(start + count, len(array)))
        release(array)


def extent(array: np.ndarray) -> tuple[float, float]:
    """Return the smallest and the largest number; NaN if any number is NaN."""
    bounds = [(array[part].min(), array[part].max()) for part in pieces(array)]
    return float(np.min([low for low, _ in bounds])), float(np.max([high for _, high in bounds]))


def not_finite(array: np.ndarray) -> int:
    """Count the numbers that are NaN or Inf."""
    return sum(int((~np.isfinite(array[part])).sum()) for part in pieces(array))


def update(content: Any, array: np.ndarray) -> None:
    """Add the numbers of an array, in C order, to a hash of hashlib."""
    for part in pieces(array):
        content.update(np.ascontiguousarray(array[part]).data)


def save(path: Path, array: np.ndarray) -> None:
    """Write a .npy file as np.save does; copy an array in a file in pieces."""
    if file_map(array) is None:
        np.save(path, array, allow_pickle=False)
        return
    form = np.lib.format
    with path.open("wb") as file:
        form.write_array_header_1_0(file, {"descr": form.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape})
        for part in pieces(array):
            array[part].tofile(file)


def load(path: Path) -> np.ndarray:
    """Read a .npy file: into memory, or mapped read-only if large. Raise OSError or ValueError for other files."""
    mode: Any = "r" if path.stat().st_size > WHOLE else None
    try:
        return np.load(path, mmap_mode=mode, allow_pickle=False)
    except (OSError, ValueError):
        raise
    except Exception as error:  # a damaged header is parsed as Python: it raises anything
        raise ValueError(f"not a .npy file ({type(error).__name__})") from error


def zeros(shape: tuple[int, ...], folder: Path | None = None) -> np.ndarray:
    """Return float32 zeros in a file that vanishes with the array; `folder` defaults to the system's temporary folder."""
    with tempfile.TemporaryFile(dir=folder) as file:
        return np.memmap(file, dtype=np.float32, mode="w+", shape=shape)


def filled(shape: tuple[int, ...], write: Callable[[np.ndarray], None], dtype: Any = np.float32) -> np.ndarray:
    """Return an array filled by `write`: in memory, or in a file if larger than WHOLE.

    The file lies in the cache folder, vanishes with the array and is read-only afterwards. `write` should go along the
    first axis and `release` the parts already written. Raise StorageError if the disk is full.
    """
    size = int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize
    if size <= WHOLE:
        array = np.empty(shape, dtype=dtype)
        write(array)
        return array
    with _scratch(size) as file:
        write(np.memmap(file, dtype=dtype, mode="r+", shape=shape))
        return np.asarray(np.memmap(file, dtype=dtype, mode="r", shape=shape))


@contextlib.contextmanager
def _scratch(size: int) -> Iterator[IO[bytes]]:
    """Return an unnamed file of the given size. Raise StorageError if the disk is full: later that would kill the process."""
    folder = cache_folder() / "scratch"
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(tempfile.TemporaryFile(dir=folder))
            reserve = getattr(os, "posix_fallocate", lambda descriptor, start, count: os.truncate(descriptor, start + count))
            reserve(file.fileno(), 0, size)
        except OSError as error:
            raise StorageError(folder, error) from error
        yield file


def contiguous(array: np.ndarray, dtype: Any = np.float32) -> np.ndarray:
    """Return the array itself if C-contiguous and of this type, else a converted copy."""
    same = array.dtype == dtype and array.flags.c_contiguous
    return np.asarray(array) if same else copied(array, dtype)


def copied(array: np.ndarray, dtype: Any = np.float32) -> np.ndarray:
    """Return a C-contiguous copy of this type, made in pieces."""

    def write(copy: np.ndarray) -> None:
        for part in pieces(copy):
            copy[part] = array[part]
            release(array)

    return filled(array.shape, write, dtype)
