"""Limits on the memory a file may claim: read from its header and checked before allocation."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmark.errors import InputError

MOST_VIEWS = 100_000  # more than any scanner takes; a header that declares more is broken
CONTAINER = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # cgroups, version 2 and 1
NUMBERS = "biuf"  # kinds of dtype that are numbers: bool, integers, floats


def memory_limit() -> int:
    """Return the bytes that one array from a file may take: half of the memory of this machine, or of its container."""
    amounts = []
    with contextlib.suppress(AttributeError, ValueError, OSError):  # not available on this system
        amounts.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for name in CONTAINER:
        with contextlib.suppress(ValueError, OSError):  # "max" if the container has no limit
            amounts.append(int(Path(name).read_text(encoding="utf-8")))
    return min(amounts, default=16 << 30) // 2


def check_array(where: str, shape: Sequence[int], dtype: np.dtype, *, stored: int | None = None) -> int:
    """Return the bytes of an array of this shape and type. `stored` is the size of uncompressed data in the file.

    Raise InputError if the type is not numeric, if the array is larger than `stored` or, where `stored` is not known, larger
    than `memory_limit`: uncompressed numbers can be read in pieces.
    """
    if dtype.kind not in NUMBERS:
        raise InputError(where, expected="an array of real numbers", found=f"type {dtype}")
    if not shape or any(length < 1 for length in shape):
        raise InputError(where, expected="a shape of positive lengths", found=f"{tuple(shape)}")
    size = math.prod(shape) * dtype.itemsize
    if stored is not None and size > stored:
        raise InputError(
            where,
            expected=f"{size} bytes of numbers (shape {tuple(shape)}, type {dtype})",
            found=f"{stored} bytes",
            fix="The file is cut off, or its shape or type is wrong.",
        )
    if stored is None and size > memory_limit():
        raise InputError(
            where,
            expected=f"an array that fits into half of this machine's memory ({memory_limit() / 2**30:.1f} GiB)",
            found=f"shape {_short(shape)}, type {dtype}: {size / 2**30:.1f} GiB",
        )
    return size


def _short(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape[:6]))
