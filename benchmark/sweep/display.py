"""Interface of displays that follow a sweep."""

from __future__ import annotations

from typing import Any, Protocol

from benchmark.records.record import RunRecord, RunSpec
from benchmark.scan.case import Case


class Display(Protocol):
    """Receiver of a sweep's events, called in the thread of the sweep."""

    def loading(self, spec: RunSpec, done: int, total: int) -> None:
        """Announce that a case is about to be loaded."""

    def loaded(self, spec: RunSpec, case: Case) -> None:
        """Announce that a case is loaded."""

    def sweep_started(self, total: int, finished: int) -> None:
        """Announce the number of runs in the plan and of those that finished earlier."""

    def run_started(self, spec: RunSpec) -> None:
        """Announce that a run begins."""

    def progress(self, event: dict[str, Any]) -> None:
        """Report step, total, seconds and logged values of the run `run_id`."""

    def run_finished(self, record: RunRecord) -> None:
        """Announce that a run has ended and its record is stored."""

    def note(self, text: str) -> None:
        """Report a remark about the data or a result."""

    def warning(self, text: str) -> None:
        """Report a problem that does not stop the sweep."""
