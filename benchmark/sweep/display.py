"""The one who watches a sweep."""

from __future__ import annotations

from typing import Any, Protocol

from benchmark.records.record import RunRecord, RunSpec


class Display(Protocol):
    """Told of everything that happens, in the thread of the sweep."""

    def loading(self, spec: RunSpec, done: int, total: int) -> None:
        """A case is about to be loaded."""

    def sweep_started(self, total: int, finished: int) -> None:
        """So many runs in the plan, so many of them finished earlier."""

    def run_started(self, spec: RunSpec) -> None:
        """A run begins."""

    def progress(self, event: dict[str, Any]) -> None:
        """The step, total, seconds of the run with this `run_id`, and whatever it logs."""

    def run_finished(self, record: RunRecord) -> None:
        """A run has ended and its record is stored."""

    def warning(self, text: str) -> None:
        """Something that does not stop anything."""
