"""Process of one run: `python -m benchmark.execution.worker FOLDER`.

It reads the job of the folder (its only input: no truth, no held-out views) and does it. Progress goes as JSON lines to the
original standard output; the method's own prints go to the log.
"""

from __future__ import annotations

import contextlib
import ctypes
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
from benchmark.machine import stacks
from benchmark.storage.json_values import dumps

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # of prctl(2)


def main(folder: Path) -> None:
    """Do the job of a folder, as the child process."""
    faulthandler.enable()
    stacks.offer(folder / stacks.FILE)
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
    with contextlib.suppress(OSError, AttributeError):  # Linux: a stopped process, which cannot watch, goes on then
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGCONT)
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)  # daemons that the method starts stay below it, and count with it

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def _progress_lines() -> OnEvent:
    """Reserve the standard output for progress; from now on the method's prints, also from C++, go to the log."""
    lines = os.fdopen(os.dup(1), "w", buffering=1)  # not inherited by processes that the method may start
    os.dup2(2, 1)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # the log holds each line at once, also after a crash

    def write(event: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):
            lines.write(dumps(event) + "\n")

    return write


if __name__ == "__main__":
    main(Path(sys.argv[1]))
