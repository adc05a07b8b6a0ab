"""Where a job runs: in a process of its own (a crash, a kill or a time-out stays there), or right here for debugging."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmark.execution import worker
from benchmark.machine.environment import HOME
from benchmark.storage.atomic import StorageError

OnEvent = Callable[[dict[str, Any]], None]
Stop = Callable[[], bool]
GRACE = 10.0  # [s] to finish a step and write a checkpoint
LOG_TAIL = 4000  # characters of the log that a record keeps
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclasses.dataclass(frozen=True)
class Options:
    """How runs are executed; nothing here is part of a run's identity."""

    device: str = "auto"  # 'auto', 'cpu', 'cuda:0'
    threads: int | None = None
    timeout: float | None = None  # [s] of wall time per run, start-up included
    in_process: bool = False
    snapshots: int = 12  # volumes kept along a run for its convergence curve
    command: str = ""  # the command line, for the records
    checkpoints: Path | None = None  # <here>/<run id>/checkpoint.pt, from which interrupted runs go on; none = no checkpoints
    checkpoint_every: float = 60.0  # [s] of method time
    tensorboard: Path | None = None  # <here>/<run id>/ gets event files
    memory: int | None = None  # [bytes] that a run's process may take


@dataclasses.dataclass
class Outcome:
    """How a job ended: the worker's result.json (status, reason, seconds, ...) or what stands for it, and the end of its log."""

    result: dict[str, Any]
    log_tail: str = ""


class Stopped(Exception):
    """The sweep wants to end; nothing of the job is left running."""


def execute(folder: Path, options: Options, on_event: OnEvent, stop: Stop = lambda: False) -> Outcome:
    """Run the job of a folder to its end.

    Only Stopped (soon after `stop()` is true), KeyboardInterrupt and StorageError get out, and then nothing of the job is left
    running.
    """
    return _execute_here(folder, on_event) if options.in_process else _execute_in_child(folder, options, on_event, stop)


def _execute_here(folder: Path, on_event: OnEvent) -> Outcome:
    log = folder / "log.txt"
    try:
        with log.open("w") as file, contextlib.redirect_stderr(_Tee(file, sys.stderr)):
            worker.work(folder, on_event)
    except FileNotFoundError:
        raise
    except OSError as error:  # not of the method, whose errors are results
        raise StorageError(folder, error) from error
    return Outcome(json.loads((folder / "result.json").read_text()), _tail(log))


class _Tee:
    """Writes to a file and to the terminal."""

    def __init__(self, *targets: Any) -> None:
        self.targets = targets

    def write(self, text: str) -> int:
        for target in self.targets:
            target.write(text)
        return len(text)

    def flush(self) -> None:
        for target in self.targets:
            target.flush()


def _execute_in_child(folder: Path, options: Options, on_event: OnEvent, stop: Stop) -> Outcome:
    log = folder / "log.txt"
    with log.open("wb") as file, _child(folder, options, file) as process:
        in_time = _follow(process, options.timeout, on_event, stop)
    path = folder / "result.json"
    if path.exists():  # written last and in one step: complete, even if the process then fell over while it ended
        return Outcome(json.loads(path.read_text()), _tail(log))
    reason = _death(process.returncode, None if in_time else options.timeout, log)
    if not in_time and options.checkpoints:
        reason += " (a method that keeps checkpoints goes on from its last one when the same command is given again)"
    return Outcome({"status": "failed", "reason": reason, "device": "" if options.device == "auto" else options.device}, _tail(log))


@contextlib.contextmanager
def _child(folder: Path, options: Options, log: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A worker in a session of its own (Ctrl-C reaches only the parent); whatever is left of it is killed at the end."""
    environment = dict(os.environ)
    # Short kernels follow each other: threads that spin between them take the processor from whoever shares the machine.
    environment.setdefault("GOMP_SPINCOUNT", "1000")
    if options.memory:  # glibc would keep freed arrays of up to 32 MiB; in pieces there are many of them
        environment.setdefault("MALLOC_MMAP_THRESHOLD_", str(1 << 20))
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HOME), environment.get("PYTHONPATH")]))
    if options.threads:
        environment |= dict.fromkeys(_THREAD_VARIABLES, str(options.threads))
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmark.execution.worker", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        env=environment,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if options.checkpoints:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout:
            process.stdout.close()


def _follow(process: subprocess.Popen[bytes], timeout: float | None, on_event: OnEvent, stop: Stop) -> bool:
    """Pass on progress lines until the process ends (True) or its time is up (False). Raises Stopped."""
    assert process.stdout is not None
    deadline = time.monotonic() + timeout if timeout else float("inf")
    os.set_blocking(process.stdout.fileno(), False)
    pending = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        open_pipe = True
        while process.poll() is None:
            if stop():
                raise Stopped
            if time.monotonic() >= deadline:
                return False
            wait = min(0.2, max(0.0, deadline - time.monotonic()))
            if not open_pipe:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(wait)
            elif selector.select(wait):
                block = os.read(process.stdout.fileno(), 1 << 16)
                open_pipe = bool(block)
                pending = _pass_on(pending + block, on_event)
    return True


def _pass_on(data: bytes, on_event: OnEvent) -> bytes:
    """Hand over every complete line; returns the rest."""
    *lines, rest = data.split(b"\n")
    for line in lines:
        with contextlib.suppress(ValueError):  # a line that is no JSON is not ours
            event = json.loads(line)
            if isinstance(event, dict):
                on_event(event)
    return rest


def _death(code: int, timed_out: float | None, log: Path) -> str:
    """Why there is no result, in words."""
    if timed_out is not None:
        return f"time-out: still running after {timed_out:g} s"
    if code == -signal.SIGKILL:
        return "killed (SIGKILL): most likely the machine ran out of memory"
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"crashed ({name})"
    last = next((line.strip() for line in reversed(_tail(log).splitlines()) if line.strip()), "")
    return f"the process ended with exit code {code} and without a result" + (f": {last}" if last else "")


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - LOG_TAIL))
        return file.read().decode(errors="replace")
