"""Amounts of memory in words, and what a worker takes before a method begins."""

from __future__ import annotations

import math
import re
from typing import Any

from benchmark.mistakes import Mistakes

BASE_MEMORY = 300 << 20  # [bytes] of a process with torch and the kernels
UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


def memory_bytes(value: Any, where: str, mistakes: Mistakes) -> int | None:
    """Bytes of '8GB', '500MiB' or a plain number; None for None."""
    if value is None:
        return None
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", str(value))
    unit = UNITS.get(match.group(2).upper()) if match else None
    size = float(match.group(1)) * unit if match and unit else 0.0
    if not (math.isfinite(size) and size >= BASE_MEMORY):
        mistakes.add(where, expected=f"memory such as 8GB or 500MiB, {amount(BASE_MEMORY)} at least", found=repr(value))
        return None
    return int(size)


def amount(count: float) -> str:
    """'8.0 GB', '512 MB'."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{math.ceil(count / 1e6)} MB"
