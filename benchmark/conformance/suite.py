"""Checks of one method in a child process, with findings yielded one by one."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any, Literal

from benchmark.errors import unknown_name
from benchmark.machine.interpreter import PYTHON

if TYPE_CHECKING:
    from benchmark.plugins.registry import Registry

LONGEST_CHECK, START_UP = 300.0, 120.0  # [s]


@dataclasses.dataclass(frozen=True)
class Finding:
    """One line of the table."""

    check: str
    status: Literal["passed", "failed", "not applicable"]
    detail: str
    seconds: float | None = None


def chosen(registry: Registry, text: str, sets: tuple[str, ...] = ()) -> tuple[str, dict[str, Any]]:
    """Return name and resolved parameters of 'name' or 'name:preset' and `sets` (name.key=value). Raise InputError with all mistakes."""
    from benchmark.errors import Mistakes
    from benchmark.plan.entries import Entry, resolve_entry
    from benchmark.plan.plan import apply_sets

    name, _, preset = text.partition(":")
    spec = registry.method(name, "check")
    mistakes, entry = Mistakes(), Entry(name, name, {}, preset or "default")
    apply_sets(registry, sets, [], [entry], mistakes)
    resolved = resolve_entry(entry, spec, {}, mistakes)
    mistakes.raise_if_any("check")
    return name, resolved[0]


def examine(method: str, values: dict[str, Any], only: Sequence[str] = (), longest: float = LONGEST_CHECK) -> Iterator[Finding]:
    """Run the checks (`only` these, or all) on a method of the registry with these resolved parameters; yield the findings.

    A crash and a check of more than `longest` seconds are findings, too. Raise InputError for an unknown check.
    """
    from benchmark.conformance.checks import CHECKS

    for name in only:
        if name not in CHECKS:
            raise unknown_name("--only", name, CHECKS)
    left = list(only or CHECKS)
    while left:
        with tempfile.TemporaryFile() as log:
            for finding in _from_child({"method": method, "values": values, "checks": left}, longest, log):
                left = left[1:]
                yield finding
            if left:
                yield Finding(left[0], "failed", f"the process ended in this check ({_last_line(log)})")
                left = left[1:]


def _from_child(job: dict[str, Any], longest: float, log: IO[bytes]) -> Iterator[Finding]:
    """Yield the findings of one child until it ends or a check takes too long."""
    process = subprocess.Popen(
        [*PYTHON, "-m", "benchmark.conformance.child", json.dumps(job)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert process.stdout is not None

    def end() -> None:
        log.write(f"\nit took longer than {longest:g} s\n".encode())
        os.killpg(process.pid, signal.SIGKILL)

    watch = threading.Timer(START_UP + longest, end)
    watch.start()
    try:
        for line in process.stdout:
            watch.cancel()
            watch = threading.Timer(longest, end)
            watch.start()
            values = json.loads(line)
            if "check" in values:
                yield Finding(**values)
    finally:
        watch.cancel()
        process.kill()
        process.wait()
        process.stdout.close()


def _last_line(log: IO[bytes]) -> str:
    log.seek(0)
    lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith("Fatal Python error")]
    return (fatal or lines or ["without a message"])[-1]
