"""NumPy files (.npy, .npz) and raw numbers, mapped from the disk where they are not compressed."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from benchmark.errors import InputError
from benchmark.files.limits import check_array

# What NumPy and zipfile raise for bytes that are no such file.
BROKEN = (ValueError, TypeError, KeyError, EOFError, SyntaxError, OverflowError, zipfile.BadZipFile, NotImplementedError, RuntimeError)


def read_npy(path: Path) -> np.ndarray:
    """A .npy file, mapped. Raises InputError for objects (which could run code), truncated or oversized files."""
    where = str(path)
    try:
        with path.open("rb") as file:
            shape, _, dtype = _npy_header(file)
            check_array(where, shape, dtype, stored=path.stat().st_size - file.tell())
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except InputError:
        raise
    except BROKEN as error:
        raise InputError(where, expected="a NumPy file (.npy) of numbers", found=_reason(error)) from error


def npz_names(path: Path) -> list[str]:
    """Names of the arrays in a .npz file."""
    try:
        with zipfile.ZipFile(path) as content:
            return [name.removesuffix(".npy") for name in content.namelist()]
    except BROKEN as error:
        raise InputError(str(path), expected="a NumPy archive (.npz)", found=_reason(error)) from error


def read_npz(path: Path, key: str | None = None) -> np.ndarray:
    """One array of a .npz file: `key`, or the only one with three axes. The header inside is checked before unpacking."""
    where = f"{path}: {key}" if key else str(path)
    try:
        with zipfile.ZipFile(path) as content:
            headers = {}
            for name in content.namelist():
                with content.open(name) as file:
                    headers[name.removesuffix(".npy")] = (name, *_npy_header(file))
            chosen = key if key is not None else _only_stack(where, headers)
            if chosen not in headers:
                raise InputError(where, expected=f"one of the arrays {', '.join(headers)}", found=f"'{chosen}'")
            name, shape, _, dtype = headers[chosen]
            size = check_array(where, shape, dtype)
            if content.getinfo(name).file_size < size:
                raise InputError(where, expected=f"{size} bytes of numbers", found=f"{content.getinfo(name).file_size} bytes")
            with content.open(name) as file:
                return npy.read_array(file, allow_pickle=False)
    except InputError:
        raise
    except BROKEN as error:
        raise InputError(where, expected="a NumPy archive (.npz) of numbers", found=_reason(error)) from error
    except Exception as error:  # zlib.error and lzma's own
        raise InputError(where, expected="an undamaged NumPy archive (.npz)", found=_reason(error)) from error


def read_raw(path: Path, shape: Sequence[int], dtype: str, *, big_endian: bool = False, header_bytes: int = 0) -> np.ndarray:
    """Numbers without a description, mapped. Raises InputError unless the file is exactly as long as stated."""
    kind = np.dtype(dtype).newbyteorder(">" if big_endian else "<")
    stored = path.stat().st_size - header_bytes
    size = check_array(str(path), shape, kind, stored=max(0, stored))
    if stored != size:
        raise InputError(
            str(path),
            expected=f"{size} bytes (shape {tuple(shape)}, type {dtype}) after a header of {header_bytes}",
            found=f"{stored} bytes",
            fix="Check raw.shape, raw.dtype and raw.header_bytes.",
        )
    return np.memmap(path, dtype=kind, mode="r", offset=header_bytes, shape=tuple(shape))


def _only_stack(where: str, headers: dict[str, tuple[str, Any, Any, Any]]) -> str:
    stacks = [name for name, (_, shape, _, _) in headers.items() if len(shape) == 3]
    if len(stacks) == 1:
        return stacks[0]
    found = ", ".join(f"{name} {shape}" for name, (_, shape, _, _) in headers.items())
    raise InputError(where, expected="one array with three axes", found=found or "nothing", fix="Name the array (key: ...).")


def _npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = npy.read_magic(file)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"format version {version}")
    return read(file)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
