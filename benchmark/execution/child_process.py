"""Do a job in its own process (which contains a crash, a kill or a time-out), or in this one for debugging."""

from __future__ import annotations

import contextlib
import io
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from benchmark.conformance.imports import home_of
from benchmark.execution.attempt import BEGAN_EVENT, RESULT, work
from benchmark.execution.job import read_job
from benchmark.execution.options import OnEvent, Options, Outcome, Stop, Stopped
from benchmark.execution.output import Output
from benchmark.execution.watchdog import Watchdog
from benchmark.machine import stacks
from benchmark.machine.environment import HOME
from benchmark.machine.interpreter import PYTHON
from benchmark.machine.threads import set_variables
from benchmark.plugins.isolation import isolated
from benchmark.storage.atomic import StorageError

GRACE = 10.0  # [s] to finish a step and write a checkpoint
LOG = "log.txt"
LOG_TAIL = 4000  # characters of the log that a record keeps
LONGEST_TRACEBACK = 200_000  # characters of one that it keeps
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def execute(folder: Path, options: Options, on_event: OnEvent, stop: Stop = lambda: False) -> Outcome:
    """Do the job of a folder to its end.

    Raise only Stopped (soon after `stop()` is true), KeyboardInterrupt and StorageError, after the job's processes
    have ended.
    """
    if options.in_process:
        return _execute_here(folder, on_event, show_output=options.show_output)
    return _execute_in_child(folder, options, on_event, stop)


def _execute_here(folder: Path, on_event: OnEvent, *, show_output: bool) -> Outcome:
    log, streams = folder / LOG, (sys.stdout, sys.stderr)

    def outside(event: dict[str, Any]) -> None:
        with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
            on_event(event)

    try:
        with log.open("w", encoding="utf-8", errors="replace") as file, contextlib.ExitStack() as diverted:
            if show_output:
                shown = diverted.enter_context(contextlib.closing(_Shown(log, file, outside)))
                diverted.enter_context(contextlib.redirect_stdout(shown))
                diverted.enter_context(contextlib.redirect_stderr(shown))
            else:
                diverted.enter_context(contextlib.redirect_stderr(_Tee(file, sys.stderr)))
            with isolated():
                work(folder, read_job(folder), outside)
    except FileNotFoundError:
        raise
    except OSError as error:  # not from the method: its errors are results
        raise StorageError(folder, error) from error
    result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    return Outcome(result, _with_traceback(_tail(log), result.get("traceback", "")))


class _Tee:
    """Writer to both a file and the terminal."""

    def __init__(self, *streams: Any) -> None:
        self.streams = streams

    def write(self, text: str) -> int:
        for stream in self.streams:
            stream.write(text)
        return len(text)

    def flush(self) -> None:
        for stream in self.streams:
            stream.flush()


class _Shown(io.TextIOBase):
    """Writer to the log whose lines are passed on at once."""

    def __init__(self, log: Path, file: IO[str], on_event: OnEvent) -> None:
        self.file, self.output = file, Output(log, on_event)

    def write(self, text: str) -> int:
        self.file.write(text)
        if "\n" in text:
            self.file.flush()
            self.output.look()
        return len(text)

    def close(self) -> None:
        self.file.flush()
        self.output.close()
        super().close()


def _execute_in_child(folder: Path, options: Options, on_event: OnEvent, stop: Stop) -> Outcome:
    log, own = folder / LOG, home_of(read_job(folder).method.function)
    began, dumped = False, ""

    def listen(event: dict[str, Any]) -> None:
        nonlocal began
        if event.get("event") == BEGAN_EVENT:
            began = True
        else:
            on_event(event)

    def dump() -> None:
        nonlocal dumped
        dumped = stacks.request(process.pid, folder / stacks.FILE)

    output = Output(log, on_event) if options.show_output else None
    with log.open("wb") as file, Watchdog(options.memory_bytes) as watchdog, _child(folder, options, file) as process:
        watchdog.start(process.pid, dump)
        in_time = _follow(process, options.timeout, listen, stop, output)
        if not in_time:
            dump()
    if output is not None:
        output.close()
    peak = {"peak_memory_mb": watchdog.peak / 2**20} if watchdog.peak else {}
    path = folder / RESULT
    if path.exists() and not watchdog.excess:  # written last and atomically: complete, even if the process crashed at exit
        result = json.loads(path.read_text(encoding="utf-8"))
        peak["peak_memory_mb"] = max(result.get("peak_memory_mb") or 0.0, peak.get("peak_memory_mb", 0.0))
        return Outcome(result | peak, _with_traceback(_tail(log), result.get("traceback", "")))
    if watchdog.excess:
        reason = f"{watchdog.reason} (--memory)" if began else f"{watchdog.reason} before the method began (--memory): allow it more"
    else:
        reason = _death(process.returncode, None if in_time else options.timeout, log)
    place = stacks.place(dumped or (_tail(log, 1 << 16) if process.returncode else ""), own)
    reason += f" ({place})" if place else ""
    if not in_time and options.checkpoints:
        reason += " (a method with checkpoints goes on from its last one if you repeat the command)"
    device = "" if options.device == "auto" else options.device
    tail = _tail(log) + (f"\nStacks at the end, innermost frame first:\n{dumped}\n" if dumped else "")
    return Outcome({"status": "failed", "reason": reason, "device": device} | peak, tail)


def _environment(options: Options) -> dict[str, str]:
    """Return the environment of a child: that of this process, with the harness in its path and the run's threads."""
    environment = dict(os.environ)
    set_variables(environment)
    if options.memory_bytes:  # glibc would keep freed arrays of up to 32 MiB; work in slabs frees many of them
        environment.setdefault("MALLOC_MMAP_THRESHOLD_", str(1 << 20))
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HOME), environment.get("PYTHONPATH")]))
    if options.threads:
        environment |= dict.fromkeys(_THREAD_VARIABLES, str(options.threads))
    return environment


@contextlib.contextmanager
def _child(folder: Path, options: Options, log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a worker in its own session (Ctrl-C reaches only the parent); kill its remaining processes at the end."""
    process = subprocess.Popen(
        [*PYTHON, "-m", "benchmark.execution.worker", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        env=_environment(options),
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


def _follow(process: subprocess.Popen[bytes], timeout: float | None, on_event: OnEvent, stop: Stop, output: Output | None = None) -> bool:
    """Pass on progress lines until the process ends (True) or its time is up (False). Raise Stopped."""
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
            if output is not None:
                output.look()
            wait = min(0.2, max(0.0, deadline - time.monotonic()))
            if not open_pipe:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(wait)
            elif selector.select(wait):
                block = os.read(process.stdout.fileno(), 1 << 16)
                open_pipe = bool(block)
                began = time.monotonic()
                pending = _pass_on(pending + block, on_event)
                deadline += time.monotonic() - began  # the harness's own work, such as scoring, while the run waits
    return True


def _pass_on(data: bytes, on_event: OnEvent) -> bytes:
    """Pass on every complete line; return the rest."""
    *lines, rest = data.split(b"\n")
    for line in lines:
        with contextlib.suppress(ValueError):  # only the harness writes JSON lines
            event = json.loads(line)
            if isinstance(event, dict):
                on_event(event)
    return rest


def _death(code: int, timed_out: float | None, log: Path) -> str:
    """Return the reason for a missing result, in words."""
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


def _tail(path: Path, most: int = LOG_TAIL) -> str:
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - most))
        return file.read().decode(errors="replace")


def _with_traceback(tail: str, trace: str) -> str:
    """Return the end of a log that holds the whole traceback, or of a very long one its beginning and its end."""
    if len(trace) > LONGEST_TRACEBACK:
        trace = f"{trace[: LONGEST_TRACEBACK // 2]}\n...\n{trace[-LONGEST_TRACEBACK // 2 :]}"
    return tail if trace in tail else trace
