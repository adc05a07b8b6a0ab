"""The turn: directions of views in their order around the axis, and the gaps between them."""

from __future__ import annotations

import dataclasses

import numpy as np

WIDE = 2.3  # typical steps: a wider gap is no step. One lost view makes 2, one of 5 views chosen out of 6 also; rounding decides nowhere
SAME = 0.01  # of the mean step: directions that near count as one


@dataclasses.dataclass(frozen=True, eq=False)
class Turn:
    """Views in the order of their direction: `order` [view], and the gap [rad] from each to the next, `gaps` [view], which sum to 2 pi.

    `step` [rad] is the typical gap: the median of all but the widest, without repeated directions.
    """

    order: np.ndarray
    gaps: np.ndarray
    step: float

    @classmethod
    def of(cls, angles: np.ndarray) -> Turn:
        """Return the turn of views at these angles [view] [rad], in any order, over any number of turns."""
        wrapped = np.mod(angles, 2 * np.pi)
        order = np.argsort(wrapped, kind="stable")
        gaps = np.diff(np.append(wrapped[order], wrapped[order[0]] + 2 * np.pi))
        others = np.delete(gaps, int(gaps.argmax()))
        others = others[others > SAME * others.mean()] if others.size else others
        return cls(order, gaps, float(np.median(others)) if others.size else float(gaps.max()))

    def missing(self) -> np.ndarray:
        """Return the angle [view] [rad] that the gap after each view of `order` leaves unmeasured: 0 for steps, else all but one step."""
        return np.where(self.gaps > WIDE * self.step, self.gaps - self.step, 0.0)

    def starting_after(self, place: int) -> Turn:
        """Return the turn beginning with the view after the gap at this place."""
        return dataclasses.replace(self, order=np.roll(self.order, -place - 1), gaps=np.roll(self.gaps, -place - 1))
