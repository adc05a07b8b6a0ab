"""Arrays mapped from files: read in pieces, and let go again, so that a scan larger than memory can be worked on."""

from __future__ import annotations

import contextlib
import mmap
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def file_map(array: np.ndarray) -> mmap.mmap | None:
    """The file that an array is a view of, or None for one in memory."""
    base: object = array
    while isinstance(base, np.ndarray):
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


def zeros(shape: tuple[int, ...], folder: Path | None = None) -> np.ndarray:
    """float32 zeros in a file that vanishes with the array; `folder` is where (the system's own for such files unless given)."""
    with tempfile.TemporaryFile(dir=folder) as file:
        return np.memmap(file, dtype=np.float32, mode="w+", shape=shape)
