"""A method under examination: run on a scan, its result checked as the harness would."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmark.machine import counters
from benchmark.plugins.specs import MethodSpec, Params, resolve
from benchmark.runtime.checkpoint import Stateful
from benchmark.runtime.context import Run
from benchmark.scan.reconstruction import Reconstruction
from benchmark.scan.scan import Scan

MOST_STEPS = 5  # of each loop over run.steps(), where a check needs a result and not a good one


class Violation(Exception):
    """The contract is broken; the text says how."""


class NotApplicable(Exception):
    """The method declines such scans itself, or there is nothing to check; the text says why."""


class WatchedRun(Run):
    """A run whose loops end early and that can be broken off in the middle of a loop, or asked to stop after `stop_after` steps."""

    def __init__(
        self, most: int | None = None, at_step: Callable[[int], None] | None = None, stop_after: int | None = None, **values: Any
    ) -> None:
        super().__init__(**values)
        self.most, self.at_step, self.stop_after = most, at_step, stop_after
        self.taken = 0  # steps of all loops together

    def steps(self, count: int, state: Stateful | None = None) -> Iterator[int]:
        """As in every run, but `most` steps at most."""
        for index in super().steps(count if self.most is None else min(count, self.most), state):
            self.taken += 1
            if self.at_step is not None:
                self.at_step(self.taken)
            if self.taken == self.stop_after:
                self.interrupt()
            yield index


@dataclasses.dataclass(frozen=True)
class Result:
    """What came back."""

    volume: np.ndarray  # float32 [z, y, x]
    seconds: float  # of method time
    steps: int  # that were asked of run.steps()
    counters: dict[str, int]  # ray samples, views of A and of its transpose


class Subject:
    """A method with the parameters that its author wants it examined with."""

    def __init__(self, spec: MethodSpec, values: dict[str, Any]) -> None:
        self.spec, self.values = spec, values
        self.target = resolve(spec.target)

    def params(self, **changes: Any) -> Params:
        """The parameters, with changes."""
        return self.spec.params(**{**self.values, **changes})

    def declines(self, scan: Scan, params: Params | None = None) -> str:
        """Why the method says that it cannot do this scan; '' if it does not."""
        if self.spec.skip is None:
            return ""
        return str(resolve(self.spec.skip)(scan, params or self.params()) or "")

    def run(self, scan: Scan, params: Params | None = None, *, most: int | None = MOST_STEPS, **keys: Any) -> Result:
        """Reconstruct. Raises Violation for what the harness would not accept, NotApplicable where the method declines the scan."""
        params = params or self.params()
        reason = self.declines(scan, params)
        if reason:
            raise NotApplicable(f"declined by the method: {reason}")
        run = WatchedRun(most, **{"threads": 1, "views": scan.geometry.views, **keys})
        before = scan.digest
        counters.reset()
        run.clock.start()
        try:
            found = self.target(scan, params, run)
        finally:
            run.clock.stop()
        volume = accepted(found, scan)
        if scan.digest != before:
            raise Violation("the method changed the projections it was given")
        return Result(volume, run.clock.seconds, run.taken, counters.totals())


def accepted(found: Any, scan: Scan) -> np.ndarray:
    """The volume as float32. Raises Violation for anything the harness would refuse."""
    if not isinstance(found, Reconstruction):
        raise Violation(f"expected a benchmark.api.Reconstruction, the method returned {type(found).__name__}")
    volume = found.volume
    if hasattr(volume, "detach"):
        volume = volume.detach().cpu().numpy()
    volume = np.asarray(volume)
    expected = scan.geometry.volume_shape
    if volume.shape != expected:
        raise Violation(f"expected a volume [z, y, x] = {expected}, the method returned {volume.shape}")
    if volume.dtype.kind != "f":
        raise Violation(f"expected floating-point numbers, the method returned {volume.dtype}")
    bad = int((~np.isfinite(volume)).sum())
    if bad:
        raise Violation(f"{bad} of {volume.size} voxels are NaN or Inf")
    return np.array(volume, dtype=np.float32)
