"""The budget of a run: seconds, steps, ray samples, projections. The harness counts them, for every method alike."""

from __future__ import annotations

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Used:
    """Amounts that a run has used so far."""

    seconds: float = 0.0  # [s] of method time
    steps: int = 0  # in all loops over run.steps() together
    samples: int = 0  # points at which a field was evaluated along rays
    projections: float = 0.0  # applications of A to all training views; a subset is its share of one


@dataclasses.dataclass(frozen=True)
class Budget:
    """Upper limits of a run; None = no limit. Once one limit is reached, no further step begins."""

    seconds: float | None = None
    steps: int | None = None
    samples: int | None = None
    projections: int | None = None

    def within(self, steps: int) -> Budget:
        """Return this budget limited to at most `steps` steps."""
        return dataclasses.replace(self, steps=steps if self.steps is None else min(steps, self.steps))

    def spent(self, used: Used) -> bool:
        """Return True if a limit is reached."""
        return any(getattr(used, name) >= limit for name, limit in self._limits())

    def share(self, before: Used, now: Used) -> float:
        """Return the used share of the budget left at `before`, for the nearest limit; 0 without any limit."""
        shares = [0.0]
        for name, limit in self._limits():
            begin = getattr(before, name)
            shares.append((getattr(now, name) - begin) / (limit - begin) if limit > begin else math.inf)
        return max(shares)

    def seconds_left(self, before: Used, now: Used) -> float | None:
        """Return the method time until the first limit at the pace since `before` [s]; None if not known yet."""
        share = self.share(before, now)
        return max(0.0, (now.seconds - before.seconds) * (1 / share - 1)) if share > 0 else None

    def _limits(self) -> list[tuple[str, float]]:
        return [(name, limit) for name, limit in vars(self).items() if limit is not None]
