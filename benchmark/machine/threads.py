"""Let OpenMP's threads spin for a fraction of a millisecond, then sleep: longer spinning keeps cores from other processes.

A runtime reads the environment once, when it is loaded. `import benchmark` therefore sets the variables before torch or the kernels load a
runtime; child processes inherit them.
"""

from __future__ import annotations

import os
import re
from collections.abc import MutableMapping
from pathlib import Path
from typing import NamedTuple

# GCC's runtime (torch's on Linux, too) spins for up to 3 ms by default, LLVM's and Intel's for 200 ms. A tenth of the former [iterations]
# and 1 ms are enough where each thread has a core; to sleep at once would cost half the speed there (docs/performance.md).
POLICY = {"GOMP_SPINCOUNT": "30000", "KMP_BLOCKTIME": "1"}
RUNTIMES = {"libgomp": "GOMP_SPINCOUNT", "libomp": "KMP_BLOCKTIME", "libiomp5": "KMP_BLOCKTIME"}
FOR_ALL = "OMP_WAIT_POLICY"  # read by every runtime, unless its own variable is set
MARK = "SEED_WAITING"  # names the variables that this module set, here or in a parent process

_late: list[str] = []  # runtimes that were loaded before their variable was set in this process


class Waiting(NamedTuple):
    """Waiting policy of a runtime's threads: the deciding variable ('' = the runtime's own default), and True if the user set it."""

    runtime: str
    setting: str
    by_user: bool


def limit_spinning() -> None:
    """Set the variables that the user has not set, and remember the runtimes that were loaded too early to read them."""
    added = set_variables(os.environ)
    _late.extend(runtime for runtime in loaded_runtimes() if RUNTIMES[runtime] in added)


def set_variables(environment: MutableMapping[str, str]) -> set[str]:
    """Set the variables of POLICY that the user has not set; return the newly set ones.

    OMP_WAIT_POLICY overrides all of them, even if set later for a child process.
    """
    before = {name for name in POLICY if _is_ours(name, environment)}
    for name in before:
        del environment[name]
    environment.pop(MARK, None)
    ours = [] if FOR_ALL in environment else [name for name in POLICY if name not in environment]
    environment.update({name: POLICY[name] for name in ours})
    if ours:
        environment[MARK] = ",".join(ours)
    return set(ours) - before


def loaded_runtimes() -> list[str]:
    """Return the OpenMP runtimes in this process; none are found without /proc (macOS)."""
    try:
        text = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [name for name in RUNTIMES if re.search(rf"/{name}[-.\w]*\.so[.\d]*$", text, re.MULTILINE)]


def waiting() -> list[Waiting]:
    """Return the deciding variable of each runtime that is loaded from now on."""
    return [_waiting(runtime, own, os.environ) for runtime, own in RUNTIMES.items()]


def late() -> list[str]:
    """Return the runtimes loaded before `import benchmark` could set any variable: their threads spin in this process."""
    return list(_late)


def _waiting(runtime: str, own: str, environment: MutableMapping[str, str]) -> Waiting:
    name = own if own in environment else FOR_ALL
    if name not in environment:
        return Waiting(runtime, "", by_user=False)
    return Waiting(runtime, f"{name}={environment[name]}", by_user=not _is_ours(name, environment))


def _is_ours(name: str, environment: MutableMapping[str, str]) -> bool:
    return name in environment.get(MARK, "").split(",") and environment.get(name) == POLICY.get(name)
