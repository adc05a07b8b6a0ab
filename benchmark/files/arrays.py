"""Read NumPy files (.npy, .npz); uncompressed ones are memory-mapped."""

from __future__ import annotations

import contextlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from benchmark.errors import InputError, one_line
from benchmark.files.compressed import read_to_end
from benchmark.files.limits import check_array
from benchmark.storage import mapped
from benchmark.storage.archive import check_members
from benchmark.storage.atomic import StorageError

LENGTH_BYTES = {(1, 0): 2, (2, 0): 4}  # of the header's length, by version of the format
MOST_HEADER = 1 << 16  # [bytes]


def read_npy(path: Path) -> np.ndarray:
    """Map a .npy file read-only. Raise InputError for object arrays (which could run code) and for truncated or oversized files."""
    with _readable(str(path)):
        with path.open("rb") as file:
            shape, _, dtype = _npy_header(file)
            check_array(str(path), shape, dtype, stored=path.stat().st_size - file.tell())
        return np.load(path, mmap_mode="r", allow_pickle=False)


def npz_headers(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Return shape and type of each array in a .npz file without unpacking any."""
    with _readable(str(path)), zipfile.ZipFile(path) as content:
        check_members(content)
        found = {}
        for name in content.namelist():
            with content.open(name) as file:
                shape, _, dtype = _npy_header(file)
            found[name.removesuffix(".npy")] = shape, dtype
        return found


def read_npz(path: Path, key: str | None = None) -> np.ndarray:
    """Read one array of a .npz file: `key`, or the only one with three axes. Its header is checked before unpacking."""
    where = f"{path}: {key}" if key else str(path)
    headers = npz_headers(path)
    chosen = key if key is not None else _only_stack(where, headers)
    if chosen not in headers:
        raise InputError(where, expected=f"one of the arrays {', '.join(headers)}", found=f"'{chosen}'")
    size = check_array(where, *headers[chosen])
    with _readable(where), zipfile.ZipFile(path) as content:
        name = chosen if chosen in content.namelist() else f"{chosen}.npy"
        if content.getinfo(name).file_size < size:
            raise InputError(where, expected=f"{size} bytes of numbers", found=f"{content.getinfo(name).file_size} bytes")
        with content.open(name) as file:
            array = _unpacked(file)
            read_to_end(where, file)
            return array


def _unpacked(file: IO[bytes]) -> np.ndarray:
    """Read a .npy file that cannot be mapped piece by piece; a large array is unpacked into a file."""
    shape, backwards, dtype = _npy_header(file)

    def write(array: np.ndarray) -> None:
        for part in mapped.pieces(array):
            content = file.read(array[part].nbytes)
            array[part] = np.frombuffer(content, dtype=dtype).reshape(array[part].shape)

    array = mapped.filled(shape[::-1] if backwards else shape, write, dtype)
    return array.T if backwards else array


def _only_stack(where: str, headers: dict[str, tuple[tuple[int, ...], np.dtype]]) -> str:
    stacks = [name for name, (shape, _) in headers.items() if len(shape) == 3]
    if len(stacks) == 1:
        return stacks[0]
    found = ", ".join(f"{name} {shape}" for name, (shape, _) in headers.items())
    raise InputError(where, expected="one array with three axes", found=found or "nothing", fix="Name the array (key: ...).")


def _npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = npy.read_magic(file)
    if version not in LENGTH_BYTES:
        raise ValueError(f"format version {version}")
    stated = file.read(LENGTH_BYTES[version])
    length = int.from_bytes(stated, "little")
    if length > MOST_HEADER:  # NumPy would read it all first
        raise ValueError(f"a header of {length} bytes")
    text = io.BytesIO(stated + file.read(length))
    return npy.read_array_header_1_0(text) if version == (1, 0) else npy.read_array_header_2_0(text)


@contextlib.contextmanager
def _readable(where: str) -> Iterator[None]:
    """Turn any error of NumPy, zipfile and its decompressors for a damaged file into one InputError."""
    try:
        yield
    except (InputError, StorageError, FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # each decompressor has its own exceptions
        raise InputError(where, expected="an undamaged NumPy file of numbers", found=one_line(error)) from error
