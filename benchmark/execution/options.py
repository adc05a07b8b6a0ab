"""Settings of the execution of runs, and types by which a run reports to its caller."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmark.runtime.interval import Interval

OnEvent = Callable[[dict[str, Any]], None]  # gets every progress line of a run: step, total, seconds [s], loss, ...
OUTPUT_EVENT = "output"  # with `lines` that the method printed
Stop = Callable[[], bool]  # whether the sweep wants to end


class Stopped(Exception):
    """The sweep wants to end; no process of the run is left."""


@dataclasses.dataclass(frozen=True)
class Keep:
    """Checkpoints and pictures to keep along a run: every so many steps; pictures of `axes` and training views (see pictures.py)."""

    every: int
    views: tuple[str | int, ...] = ("xy", "xz", "yz")


@dataclasses.dataclass(frozen=True)
class Options:
    """Settings of the execution of runs; none is part of a run's identity."""

    device: str = "auto"  # 'auto', 'cpu', 'cuda:0'
    threads: int | None = None
    timeout: float | None = None  # [s] of wall time per run, start-up included
    in_process: bool = False
    snapshots: int = 12  # volumes kept along a run for its convergence curve
    validate_every: Interval | None = None  # between scores along a run
    keep: Keep | None = None
    command: str = ""  # the command line, for the records
    checkpoints: Path | None = None  # <here>/<run id>/checkpoint.pt, from which interrupted runs go on; none = no checkpoints
    checkpoint_every: float = 60.0  # [s] of method time
    tensorboard: Path | None = None  # <here>/<run id>/ gets event files
    memory_bytes: int | None = None  # limit of a run's processes together
    show_output: bool = False  # pass on what the method prints, as events

    def kept_folder(self, run_id: str) -> Path | None:
        """Return the absolute folder in which a run keeps its checkpoint, snapshots and arrays; None = it keeps nothing."""
        return None if self.checkpoints is None else self.checkpoints.absolute() / run_id

    def event_folder(self, run_id: str) -> Path | None:
        """Return the absolute folder for a run's TensorBoard files; None = it writes none."""
        return None if self.tensorboard is None else self.tensorboard.absolute() / run_id


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Outcome of a job: the worker's result.json (status, reason, seconds, ...) or its substitute, and the end of its log."""

    result: dict[str, Any]
    log_tail: str = ""
