"""Checks of one method in a child process, with findings yielded one by one."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmark.conformance.imports import home_of
from benchmark.errors import unknown_name
from benchmark.machine import stacks
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


def examine(
    method: str,
    values: dict[str, Any],
    only: Sequence[str] = (),
    longest: float = LONGEST_CHECK,
    on_begin: Callable[[str], None] = lambda check: None,
) -> Iterator[Finding]:
    """Run the checks (`only` these, or all) on a method of the registry with these resolved parameters; yield the findings.

    `on_begin` gets the name of each check as it begins. A crash and a check of more than `longest` seconds are findings, too.
    Raise InputError for an unknown check.
    """
    from benchmark.conformance.checks import CHECKS
    from benchmark.plugins.registry import registry

    for name in only:
        if name not in CHECKS:
            raise unknown_name("--only", name, CHECKS)
    left, spec = list(only or CHECKS), registry().methods.get(method)
    home = home_of(spec.target) if spec else None
    while left:
        with tempfile.TemporaryDirectory() as folder:
            child = _Child({"method": method, "values": values, "checks": left}, home, longest, Path(folder))
            for finding in child.findings(on_begin):
                left = left[1:]
                yield finding
            if left:
                yield Finding(left[0], "failed", child.end())
                left = left[1:]


class _Child:
    """One child process that makes checks until it ends or one of them takes too long. `folder` is for its files."""

    def __init__(self, job: dict[str, Any], home: Path | None, longest: float, folder: Path) -> None:
        self.longest, self.log, self.stacks, self.dumped = longest, folder / "log.txt", folder / stacks.FILE, ""
        self.hung, self.home = False, home
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*PYTHON, "-m", "benchmark.conformance.child", json.dumps(job | {"stacks": str(self.stacks)})],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            )

    def findings(self, on_begin: Callable[[str], None]) -> Iterator[Finding]:
        """Yield the findings as they come."""
        assert self.process.stdout is not None
        watch = threading.Timer(START_UP + self.longest, self._end)
        watch.start()
        try:
            for line in self.process.stdout:
                watch.cancel()
                watch = threading.Timer(self.longest, self._end)
                watch.start()
                values = json.loads(line)
                if "begin" in values:
                    on_begin(values["begin"])
                else:
                    yield Finding(**values)
        finally:
            watch.cancel()
            self._kill()
            self.process.wait()
            self.process.stdout.close()

    def _end(self) -> None:
        self.hung = True
        self.dumped = stacks.request(self.process.pid, self.stacks)
        self._kill()

    def _kill(self) -> None:
        """End the child and all that the method has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def end(self) -> str:
        """Return the reason for an end without all findings."""
        if self.hung:
            place = stacks.place(self.dumped, self.home)
            return f"ended: still running after {self.longest:g} s (--timeout)" + (f" ({place})" if place else "")
        lines = [line.strip() for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        fatal = [line for line in lines if line.startswith("Fatal Python error")]
        return f"the process ended in this check ({(fatal or lines or ['without a message'])[-1]})"
