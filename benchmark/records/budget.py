"""What a run may use up: seconds, steps, ray samples, projections. The harness counts them, for every method alike."""

from __future__ import annotations

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Used:
    """What a run has used up by now."""

    seconds: float = 0.0  # [s] of method time
    steps: int = 0  # of all loops over run.steps() together
    samples: int = 0  # points at which a field was evaluated along rays
    projections: float = 0.0  # applications of A to all training views; a subset is its share of one


@dataclasses.dataclass(frozen=True)
class Budget:
    """The most that a run may use up of each; None = no limit. Once one of them is spent, no further step begins."""

    seconds: float | None = None
    steps: int | None = None
    samples: int | None = None
    projections: int | None = None

    def within(self, steps: int) -> Budget:
        """The same, and at most so many steps."""
        return dataclasses.replace(self, steps=steps if self.steps is None else min(steps, self.steps))

    def spent(self, used: Used) -> bool:
        """Whether a limit is reached."""
        return any(getattr(used, name) >= limit for name, limit in self._limits())

    def share(self, before: Used, now: Used) -> float:
        """Which part of what was left at `before` is used up now, of the limit that is nearest; 0 without any limit."""
        shares = [0.0]
        for name, limit in self._limits():
            begin = getattr(before, name)
            shares.append((getattr(now, name) - begin) / (limit - begin) if limit > begin else math.inf)
        return max(shares)

    def seconds_left(self, before: Used, now: Used) -> float | None:
        """[s] of method time until the first limit is reached at the pace since `before`; None if that cannot be told yet."""
        share = self.share(before, now)
        return max(0.0, (now.seconds - before.seconds) * (1 / share - 1)) if share > 0 else None

    def _limits(self) -> list[tuple[str, float]]:
        return [(name, limit) for name, limit in vars(self).items() if limit is not None]
