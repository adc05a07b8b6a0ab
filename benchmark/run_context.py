"""What a method may ask of the harness while it runs: randomness, steps, logging, snapshots. Never the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmark import counters
from benchmark.clock import Clock


class Run:
    """Handed to every method as its third argument.

    seed, device ('cpu', 'cuda:0') and threads are facts; `rng` is a numpy Generator seeded for this run.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        device: str = "cpu",
        threads: int | None = None,
        budget_seconds: float | None = None,
        on_log: Callable[[dict[str, Any]], None] | None = None,
        on_snapshot: Callable[[int, float, np.ndarray], None] | None = None,
        snapshots: int = 12,
    ) -> None:
        self.seed, self.device, self.threads = seed, device, threads
        self.budget_seconds = budget_seconds
        self.rng = np.random.default_rng(seed)
        self.clock = Clock()
        self.step = 0
        self._total = 0
        self._on_log, self._on_snapshot = on_log, on_snapshot
        self._snapshots, self._next_snapshot = snapshots, 0.0

    def steps(self, count: int) -> Iterator[int]:
        """Yield 0 .. count - 1; ends early when the time budget is spent. Counts steps for the record."""
        self._total, first = count, self.step
        for index in range(count):
            if self.budget_seconds is not None and self.clock.seconds >= self.budget_seconds:
                return
            yield index
            self.step = first + index + 1

    def log(self, **values: float) -> None:
        """Report scalars (loss=..., psnr=...) of the current step to the progress display and the record."""
        if self._on_log is not None:
            with self.clock.paused():
                self._on_log({"step": self.step, "total": self._total, "seconds": self.clock.seconds, **values})

    def snapshot(self, volume: Callable[[], np.ndarray]) -> None:
        """Offer the current volume ([z, y, x], 1/mm) for the convergence curve; called only when one is due, clock paused."""
        if self._on_snapshot is None:
            return
        progress = (self.step + 1) / max(1, self._total)
        if progress < self._next_snapshot:
            return
        with self.clock.paused(), counters.paused():
            self._on_snapshot(self.step, self.clock.seconds, np.asarray(volume(), dtype=np.float32))
            self._next_snapshot = progress + 1 / self._snapshots
