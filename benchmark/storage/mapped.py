"""Arrays in files: read and written in pieces, and let go again, so that scans and volumes larger than memory can be worked on."""

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

WHOLE = 64 << 20  # [bytes] larger arrays lie in files and are worked on in pieces: loading and scoring take as much for any scan


def file_map(array: np.ndarray) -> mmap.mmap | None:
    """The file that an array is a view of, or None for one in memory (or of whose changes the file does not know)."""
    base: object = array
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap) and base.mode == "c":
            return None
        base = base.base
    return base if isinstance(base, mmap.mmap) else None


def is_read_only_file(array: np.ndarray) -> bool:
    """Whether nobody in this process can change the array's numbers, which lie in a file."""
    found = file_map(array)
    return found is not None and memoryview(found).readonly


def release(array: np.ndarray) -> None:
    """Take what was read of a file, or written to it, out of this process's memory; it is read again when it is needed."""
    found = file_map(array)
    if found is not None and hasattr(mmap, "MADV_DONTNEED"):
        with contextlib.suppress(OSError, ValueError):  # a system that keeps the pages: they count as its cache
            found.madvise(mmap.MADV_DONTNEED)


def take(array: np.ndarray, indices: Sequence[int] | np.ndarray, rows: slice = slice(None)) -> np.ndarray:
    """A copy in memory of these views and rows of projections [view, v, u]."""
    part = np.stack([array[index, rows] for index in indices])
    release(array)
    return part


def pieces(array: np.ndarray, most: int | None = None) -> Iterator[slice]:
    """Parts of the first axis of at most `most` bytes (WHOLE unless given), one index at least; each is let go after its turn."""
    count = max(1, (WHOLE if most is None else most) * len(array) // max(1, array.nbytes))
    for start in range(0, len(array), count):
        yield slice(start, min(start + count, len(array)))
        release(array)


def extent(array: np.ndarray) -> tuple[float, float]:
    """The smallest and the largest number; NaN if there is one among them."""
    bounds = [(array[part].min(), array[part].max()) for part in pieces(array)]
    return float(np.min([low for low, _ in bounds])), float(np.max([high for _, high in bounds]))


def not_finite(array: np.ndarray) -> int:
    """How many numbers are NaN or Inf."""
    return sum(int((~np.isfinite(array[part])).sum()) for part in pieces(array))


def update(content: Any, array: np.ndarray) -> None:
    """Add the numbers of an array, in C order, to a hash of hashlib."""
    for part in pieces(array):
        content.update(np.ascontiguousarray(array[part]).data)


def save(path: Path, array: np.ndarray) -> None:
    """A .npy file, as np.save writes it; an array in a file is copied in pieces."""
    if file_map(array) is None:
        np.save(path, array, allow_pickle=False)
        return
    form = np.lib.format
    with path.open("wb") as file:
        form.write_array_header_1_0(file, {"descr": form.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape})
        for part in pieces(array):
            array[part].tofile(file)


def load(path: Path) -> np.ndarray:
    """The numbers of a .npy file: in memory, or mapped and read-only where they are many. Raises OSError or ValueError for other files."""
    mode: Any = "r" if path.stat().st_size > WHOLE else None
    return np.load(path, mmap_mode=mode, allow_pickle=False)


def zeros(shape: tuple[int, ...], folder: Path | None = None) -> np.ndarray:
    """float32 zeros in a file that vanishes with the array; `folder` is where (the system's own for such files unless given)."""
    with tempfile.TemporaryFile(dir=folder) as file:
        return np.memmap(file, dtype=np.float32, mode="w+", shape=shape)


def filled(shape: tuple[int, ...], write: Callable[[np.ndarray], None], dtype: Any = np.float32) -> np.ndarray:
    """An array with the numbers that `write` puts into it: in memory, or where it is larger than WHOLE in a file.

    The file lies in the cache folder, vanishes with the array and cannot be changed any more. `write` should go along the
    first axis and `release` what it has written. Raises StorageError where the disk is full.
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
    """A nameless file of so many bytes. Raises StorageError where they are not there: later, a full disk would end the process."""
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
    """The array itself if it is C-contiguous and of this type, else a copy that is."""
    same = array.dtype == dtype and array.flags.c_contiguous
    return np.asarray(array) if same else copied(array, dtype)


def copied(array: np.ndarray, dtype: Any = np.float32) -> np.ndarray:
    """A C-contiguous copy of this type, made in pieces."""

    def write(copy: np.ndarray) -> None:
        for part in pieces(copy):
            copy[part] = array[part]
            release(array)

    return filled(array.shape, write, dtype)
