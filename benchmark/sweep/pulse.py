"""State of a sweep while it runs, in a small file that other processes may read: runs under way, their losses, progress, failures.

    <folder>/.sweeps/<token>.now     written in one step, at most once a second, by a thread of its own; gone when the sweep ends

A run knows nothing of it: the state is made of the events that every display gets.
"""

from __future__ import annotations

import collections
import contextlib
import datetime
import json
import math
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmark.execution.validation import SCORES
from benchmark.records.record import RunRecord, RunSpec
from benchmark.records.titles import case_title, outcome, run_title, view_count
from benchmark.scan.case import Case
from benchmark.storage import litter
from benchmark.storage.json_values import dumps
from benchmark.sweep.claims import Claims
from benchmark.sweep.display import Display

INTERVAL = 1.0  # [s] between states
MOST_POINTS = 160  # of a curve
MOST_ENDED = 8  # runs named after their end
LARGEST = 4 << 20  # [bytes] of a file that is read


class Curve:
    """Points of a curve that grows: when there are too many, every second one is dropped, so that they stay evenly spread."""

    def __init__(self) -> None:
        self._points: list[tuple[float, float]] = []
        self._last: tuple[float, float] | None = None
        self._count, self._stride = 0, 1

    def add(self, x: Any, y: Any) -> None:
        """Add a point; none if one of the two is no finite number."""
        if not all(isinstance(value, int | float) and math.isfinite(value) for value in (x, y)):
            return
        self._last = (round(float(x), 3), float(f"{y:.6g}"))
        if self._count % self._stride == 0:
            self._points.append(self._last)
        self._count += 1
        if len(self._points) > MOST_POINTS:
            self._points, self._stride = self._points[::2], 2 * self._stride

    def points(self) -> list[tuple[float, float]]:
        """Return the points, the latest last."""
        return self._points if self._last is None or self._points[-1:] == [self._last] else [*self._points, self._last]


class _RunUnderWay:
    """Facts about one run."""

    def __init__(self, spec: RunSpec, title: str, case: str) -> None:
        self.facts: dict[str, Any] = {"title": title, "method": spec.method, "case": case, "views": view_count(spec), "seed": spec.seed}
        self.losses = Curve()
        self.scores = {name: Curve() for name in SCORES}

    def update(self, event: dict[str, Any]) -> None:
        for name in ("step", "total", "seconds", "seconds_left", "loss"):
            if name in event:
                self.facts[name] = event[name]
        self.losses.add(event.get("seconds"), event.get("loss"))
        if event.get("event") == "validated":
            for name, curve in self.scores.items():
                curve.add(event.get("seconds"), event.get("validation", {}).get(name))

    def state(self) -> dict[str, Any]:
        return {**self.facts, "losses": self.losses.points(), **{name: curve.points() for name, curve in self.scores.items()}}


class Pulse:
    """Display that passes every event on to another one, and keeps the sweep's state from them."""

    def __init__(self, display: Display, name: Callable[[RunSpec], str] = lambda spec: "") -> None:
        self.display = display
        self._name = name  # of a run's case, as far as it is known
        self._lock = threading.Lock()
        self._names: dict[str, str] = {}  # of loaded cases, by case key
        self._runs: dict[str, _RunUnderWay] = {}  # by run id
        self._ended: dict[str, str] = {}  # run id -> status, of this sweep
        self._latest: collections.deque[dict[str, str]] = collections.deque(maxlen=MOST_ENDED)
        self._loading = ""
        self._total = self._finished = 0
        self._changed = True
        self._over = threading.Event()
        self._started = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")

    # -- events ---------------------------------------------------------------------------------------------------------

    def loading(self, spec: RunSpec, done: int, total: int) -> None:
        self.display.loading(spec, done, total)
        with self._changing():
            self._loading = f"{case_title(spec, self._case(spec))} ({done + 1} of {total})"

    def loaded(self, spec: RunSpec, case: Case) -> None:
        self.display.loaded(spec, case)
        with self._changing():
            self._names[spec.case_key] = case.name

    def sweep_started(self, total: int, finished: int) -> None:
        self.display.sweep_started(total, finished)
        with self._changing():
            self._total, self._finished, self._loading = total, finished, ""

    def run_started(self, spec: RunSpec) -> None:
        self.display.run_started(spec)
        with self._changing():
            name = self._case(spec)
            self._ended.pop(spec.id, None)  # it is tried again
            self._runs[spec.id] = _RunUnderWay(spec, run_title(spec, name), case_title(spec, name))

    def progress(self, event: dict[str, Any]) -> None:
        self.display.progress(event)
        with self._changing():
            if event.get("run_id") in self._runs:
                self._runs[event["run_id"]].update(event)

    def run_finished(self, record: RunRecord) -> None:
        self.display.run_finished(record)
        with self._changing():
            self._runs.pop(record.run_id, None)
            self._ended[record.run_id] = record.status
            title = run_title(record.spec, record.case or self._case(record.spec))
            self._latest.append({"title": title, "status": record.status, "text": outcome(record)[:600]})

    def note(self, text: str) -> None:
        self.display.note(text)

    def warning(self, text: str) -> None:
        self.display.warning(text)

    def _case(self, spec: RunSpec) -> str:
        return self._names.get(spec.case_key) or self._name(spec)

    @contextlib.contextmanager
    def _changing(self) -> Any:
        with self._lock:
            yield
            self._changed = True

    # -- the file -------------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return the sweep's present state in JSON's own types."""
        with self._lock:
            counts = collections.Counter(self._ended.values())
            return {
                "host": socket.gethostname(),
                "process": os.getpid(),
                "started": self._started,
                "loading": self._loading,
                "total": self._total,
                "done": self._finished + len(self._ended),
                "failed": counts["failed"],
                "skipped": counts["skipped"],
                "runs": [run.state() for run in self._runs.values()],
                "ended": list(self._latest),
            }

    @contextlib.contextmanager
    def kept(self, path: Path) -> Any:
        """Keep the file current inside the block; errors of writing it are of no consequence."""
        self._over.clear()
        temporary = litter.temporary(path)
        thread = threading.Thread(target=self._beat, args=(path, temporary), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join(5)  # a file system that hangs holds nobody up
            for left in (path, temporary):
                with contextlib.suppress(OSError):
                    left.unlink(missing_ok=True)

    def _beat(self, path: Path, temporary: Path) -> None:
        while not self._over.is_set():
            if self._changed:
                self._changed = False
                with contextlib.suppress(OSError):  # a full disk, a deleted folder: the next result to be written reports it
                    temporary.write_text(dumps(self.state()), encoding="utf-8")
                    os.replace(temporary, path)
            self._over.wait(INTERVAL)


def living_sweeps(claims: Claims) -> list[dict[str, Any]]:
    """Return the states of the sweeps that are alive in a folder, oldest first; {} for one that has not told its state yet."""
    found = []
    for token in claims.living():
        path = claims.state_file(token)
        try:
            state = json.loads(path.read_text(encoding="utf-8")) if path.stat().st_size <= LARGEST else {}
        except (OSError, ValueError):
            state = {}
        found.append(state if isinstance(state, dict) else {})
    return sorted(found, key=lambda state: str(state.get("started", "")))
