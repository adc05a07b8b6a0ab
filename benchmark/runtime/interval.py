"""Interval between two looks at a run: a number of steps, or seconds of method time."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Interval:
    """One of the two: steps, or seconds [s]."""

    steps: int | None = None
    seconds: float | None = None

    def passed(self, last: tuple[int, float], now: tuple[int, float]) -> bool:
        """Return True if a multiple of the interval lies between two moments (step, seconds), the second included."""
        if self.steps is not None:
            return now[0] // self.steps > last[0] // self.steps
        return self.seconds is not None and now[1] // self.seconds > last[1] // self.seconds
