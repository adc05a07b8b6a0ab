"""Report of a bug in the program itself, kept as a file for its maintainers."""

from __future__ import annotations

import contextlib
import datetime
import shlex
import traceback
from pathlib import Path

from benchmark.machine import environment


def keep_fault(error: BaseException, arguments: list[str]) -> Path | None:
    """Write the traceback, the command line and the versions into the cache folder; return the path, or None if writing fails."""
    from benchmark.storage.cache_folder import cache_folder

    now = datetime.datetime.now(datetime.timezone.utc)
    facts = "\n".join(f"{name}: {value}" for name, value in environment.environment().items())
    text = "".join(traceback.format_exception(error))
    with contextlib.suppress(OSError):
        path = cache_folder() / "faults" / f"{now:%Y%m%d-%H%M%S-%f}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"python -m benchmark {shlex.join(arguments)}\n{facts}\n\n{text}", encoding="utf-8", errors="backslashreplace")
        return path
    return None
