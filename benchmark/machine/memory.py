"""Amounts of memory: parsed, printed, free, and used by a worker before a method begins."""

from __future__ import annotations

import contextlib
import math
import os
import re
from pathlib import Path
from typing import Any

from benchmark.errors import Mistakes

GIB = 2**30
BASE_MEMORY = 300 << 20  # [bytes] of a process with torch and the kernels
UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


def memory_bytes(value: Any, where: str, mistakes: Mistakes) -> int | None:
    """Return the bytes of '8GB', '500MiB' or a plain number; None for None."""
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
    """Return an amount in words: '8.0 GB', '512 MB'."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{math.ceil(count / 1e6)} MB"


def free_memory(device: str = "cpu") -> float:
    """Return the memory that this process may still take [GiB]: of the GPU, or of the machine and its container."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.mem_get_info(torch.device(device))[0] / GIB
    amounts = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB]
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        amounts.append(next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) * 1024 / GIB)
    with contextlib.suppress(OSError, ValueError):  # "max" if the container has no limit
        limit, used = (int(Path(f"/sys/fs/cgroup/memory.{name}").read_text(encoding="utf-8")) for name in ("max", "current"))
        amounts.append((limit - used) / GIB)
    return max(0.0, min(amounts))
