"""The process of one run: `python -m benchmark.execution.worker FOLDER`.

Reads the job of the folder (all it ever gets: no truth, no held-out views) and does it. Progress goes out as JSON lines on the
standard output it was given; whatever the method itself prints goes to the log.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from benchmark.errors import InputError
from benchmark.execution.attempt import work, write_result
from benchmark.execution.job import read_job
from benchmark.execution.options import OnEvent
from benchmark.storage.json_values import dumps


def main(folder: Path) -> None:
    """Entry point of the child process."""
    faulthandler.enable()
    try:
        job = read_job(folder)
    except InputError as error:
        write_result(folder, {"status": "failed", "reason": str(error)})
        return
    on_event = _progress_lines()
    _follow_parent(job.process.parent)
    sys.path[:] = job.process.sys_path
    work(folder, job, on_event)


def _follow_parent(parent: int) -> None:
    """End this process and its children soon after the parent is gone (killed hard, terminal closed)."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def _progress_lines() -> OnEvent:
    """Take the standard output for progress; what the method prints, also from C++, goes to the log from now on."""
    lines = os.fdopen(os.dup(1), "w", buffering=1)  # not inherited by processes that the method may start
    os.dup2(2, 1)

    def write(event: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):
            lines.write(dumps(event) + "\n")

    return write


if __name__ == "__main__":
    main(Path(sys.argv[1]))
