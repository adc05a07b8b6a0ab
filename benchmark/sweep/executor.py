"""Interface of executors of a sweep's runs: benchmark.sweep.local is this machine, benchmark.sweep.cluster a Dask cluster."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from benchmark.execution.options import OnEvent, Stop
from benchmark.records.record import RunRecord, RunSpec
from benchmark.scan.case import Case


class LaneLost(RuntimeError):
    """The lane of a run is gone, and the run with it; another lane may try again."""


class Executor(Protocol):
    """Executor of runs on lanes, one run at a time per lane. `perform` is called from one thread per busy lane, unless `inline`."""

    inline: bool  # in the caller's own thread and process, for debugging

    def lanes(self) -> list[str]:
        """Return the names of the present lanes."""

    def perform(self, lane: str, spec: RunSpec, case: Case, on_event: OnEvent, stop: Stop) -> tuple[RunRecord, np.ndarray | None]:
        """Execute one run; return its record and volume [z, y, x]. Raise Stopped, LaneLost or StorageError."""
