"""Where the runs of a sweep execute, as a sweep sees it: benchmark.sweep.local is this machine, benchmark.sweep.cluster a Dask one."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from benchmark.execution.options import OnEvent, Stop
from benchmark.records.record import RunRecord, RunSpec
from benchmark.scan.case import Case


class LaneLost(RuntimeError):
    """The lane on which a run executed is gone, and the run with it; it is worth another attempt elsewhere."""


class Executor(Protocol):
    """Executes runs on lanes, of which each has one run at a time. `perform` is called from a thread per busy lane, unless `inline`."""

    inline: bool  # in the caller's own thread and process, for debugging

    def lanes(self) -> list[str]:
        """Return the names of the lanes there are now."""

    def perform(self, lane: str, spec: RunSpec, case: Case, on_event: OnEvent, stop: Stop) -> tuple[RunRecord, np.ndarray | None]:
        """Return the record and volume [z, y, x] of one run. Raises Stopped, LaneLost and StorageError."""
