"""Progress of one run: logged losses, offered volumes, and progress lines."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.execution.options import OnEvent
from benchmark.execution.tensorboard import Board
from benchmark.storage import mapped

MOST_LOSSES = 500  # points of the loss curve that a record keeps
EVENT_INTERVAL = 0.2  # [s] between progress lines
OFFERED = "offered.npy"  # a volume for the harness
OFFERED_EVENT, PICTURE_EVENT = "offered", "picture"  # events that tell so: it is to score it, to draw it
POLL = 0.005  # [s] while it does


class Tracker:
    """Store of a method's logged values and offered volumes; passes some of them on. Snapshots lie in `folder`."""

    def __init__(self, folder: Path, on_event: OnEvent) -> None:
        self.folder, self.on_event = folder, on_event
        self.losses: list[tuple[int, float, float]] = []  # (step, seconds, loss)
        self.snapshots: list[dict[str, Any]] = []
        self.board: Board | None = None
        self.validated: list[dict[str, Any]] = []  # step, seconds and loss of the volumes offered
        self._next_event = 0.0

    def log(self, values: dict[str, Any]) -> None:
        """Keep the loss of every step; pass on a progress line every EVENT_INTERVAL."""
        if "loss" in values:
            self.losses.append((int(values["step"]), float(values["seconds"]), float(values["loss"])))
        if self.board is not None:
            self.board.log(values)
        now = time.monotonic()
        if now >= self._next_event:
            self._next_event = now + EVENT_INTERVAL
            self.on_event({"event": "progress", **{key: _number(value) for key, value in values.items()}})

    def snapshot(self, step: int, seconds: float, volume: np.ndarray) -> None:
        """Keep a volume [z, y, x] on disk, to be scored after the run."""
        if self.board is not None:
            self.board.snapshot(step, volume)
        self.folder.mkdir(exist_ok=True)
        path = self.folder / f"snapshot-{len(self.snapshots):04d}.npy"
        mapped.save(path, volume)
        self.snapshots.append({"file": str(path), "step": step, "seconds": seconds, "loss": self._last_loss()})

    def offer(self, event: str, step: int, seconds: float, volume: np.ndarray, scratch: Path, stopping: Callable[[], bool]) -> None:
        """Write a volume [z, y, x] for the harness and wait until it has used and removed it, or until `stopping()` is true."""
        path = scratch / OFFERED
        mapped.save(path, volume)
        point = {"step": step, "seconds": seconds, "loss": self._last_loss()}
        self.on_event({"event": event, **point})
        while path.exists():
            if stopping():
                return
            time.sleep(POLL)
        if event == OFFERED_EVENT:
            self.validated.append(point)

    def _last_loss(self) -> float | None:
        return self.losses[-1][2] if self.losses else None

    def state_dict(self) -> dict[str, Any]:
        """Return losses and lists of the volumes for a checkpoint; the snapshots themselves stay where they are."""
        return {"losses": list(self.losses), "snapshots": list(self.snapshots), "validated": list(self.validated)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.losses = [tuple(loss) for loss in state["losses"]]
        self.snapshots = list(itertools.takewhile(lambda snapshot: Path(snapshot["file"]).exists(), state["snapshots"]))
        self.validated = list(state.get("validated", []))  # absent in older files

    def thinned_losses(self) -> list[tuple[int, float, float]]:
        """Return at most MOST_LOSSES points, evenly chosen, first and last included."""
        if len(self.losses) <= MOST_LOSSES:
            return self.losses
        chosen = np.linspace(0, len(self.losses) - 1, MOST_LOSSES).round().astype(int)
        return [self.losses[index] for index in chosen]


def _number(value: Any) -> Any:
    try:
        return value if isinstance(value, int) else float(value)
    except (TypeError, ValueError):
        return repr(value)
