"""Limits on the memory a file may claim: read from its header and checked before allocation."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmark.errors import InputError

MOST_VIEWS = 100_000  # more than any scanner takes; a header that declares more is broken
GROUPS = {"": ("/sys/fs/cgroup", "memory.max"), "memory": ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")}  # cgroups 2 and 1
MOST_IMAGE = 1 << 30  # [bytes] of one image, which is decoded in memory; the largest detectors need less than half of it
NUMBERS = "biuf"  # kinds of dtype that are numbers: bool, integers, floats


def memory_limit() -> int:
    """Return the bytes that one array from a file may take: half of the memory of this machine, its container or this process."""
    amounts = []
    with contextlib.suppress(AttributeError, ValueError, OSError):  # not available on this system
        amounts.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for path in _group_limits():
        with contextlib.suppress(ValueError, OSError):  # "max" if the group has no limit
            amounts.append(int(path.read_text(encoding="utf-8")))
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import resource

        most, _ = resource.getrlimit(resource.RLIMIT_AS)
        amounts += [most] if most != resource.RLIM_INFINITY else []
    return min(amounts, default=16 << 30) // 2


def _group_limits() -> Iterator[Path]:
    """Yield the files with the limits of this process's control groups, and of the groups around them."""
    lines = ["0::/", "0:memory:/"]  # as a container sees its own
    with contextlib.suppress(OSError):
        lines += Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    for line in lines:
        _, kinds, inside = line.split(":", 2)
        for kind in kinds.split(","):
            if kind in GROUPS:
                root, name = GROUPS[kind]
                group = Path(inside.lstrip("/"))
                yield from (Path(root, part, name) for part in (group, *group.parents))


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


def check_image(where: str, shape: Sequence[int], dtype: np.dtype) -> None:
    """Raise InputError for an image [row, column] that no detector takes (see `check_array`)."""
    if check_array(where, shape, dtype) > MOST_IMAGE:
        raise InputError(where, expected=f"an image of at most {MOST_IMAGE >> 30} GiB", found=f"shape {_short(shape)}, type {dtype}")


def _short(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape[:6]))
