"""Method under examination: run on a scan, with its result checked as in the harness."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmark.machine import counters
from benchmark.machine.global_state import Change
from benchmark.plugins.isolation import isolated
from benchmark.plugins.specs import MethodSpec, Params, resolve
from benchmark.runtime.checkpoint import Stateful
from benchmark.runtime.context import Run
from benchmark.scan.reconstruction import Reconstruction
from benchmark.scan.scan import Scan

MOST_STEPS = 5  # of each loop over run.steps(), in checks that need any result rather than a good one


class Violation(Exception):
    """Violation of the contract, described by the text."""


class NotApplicable(Exception):
    """Reason not to check: the method declines such scans, or there is nothing to check."""


class WatchedRun(Run):
    """Run with shortened loops that can be interrupted inside a loop, or asked to stop after `stop_after` steps."""

    def __init__(
        self, most: int | None = None, at_step: Callable[[int], None] | None = None, stop_after: int | None = None, **values: Any
    ) -> None:
        super().__init__(**values)
        self.most, self.at_step, self.stop_after = most, at_step, stop_after
        self.taken = 0  # steps of all loops together

    def steps(self, count: int, state: Stateful | None = None) -> Iterator[int]:
        """Yield steps as in every run, at most `most` of them."""
        for index in super().steps(count if self.most is None else min(count, self.most), state):
            self.taken += 1
            if self.at_step is not None:
                self.at_step(self.taken)
            if self.taken == self.stop_after:
                self.interrupt()
            yield index


@dataclasses.dataclass(frozen=True)
class Result:
    """Result of one run."""

    volume: np.ndarray  # float32 [z, y, x]
    seconds: float  # of method time
    steps: int  # requested from run.steps()
    counters: dict[str, int]  # ray samples, views of A and of its transpose


class Subject:
    """Method with the parameters chosen for the examination."""

    def __init__(self, spec: MethodSpec, values: dict[str, Any]) -> None:
        self.spec, self.values = spec, values
        self.changes: dict[Change, str] = {}  # of global state -> when: 'at import', 'in a run'
        with self._watched("at import"):
            self.target = resolve(spec.target)

    @contextlib.contextmanager
    def _watched(self, when: str) -> Iterator[None]:
        """Restore the global state after the block, and remember what had changed. Seeds are reset for every run anyway."""
        with isolated() as found:
            yield
        for change in found:
            if when == "at import" or "the seed of" not in change.words:
                self.changes.setdefault(change, when)

    def params(self, **changes: Any) -> Params:
        """Return the parameters with these changes."""
        return self.spec.params(**{**self.values, **changes})

    def declines(self, scan: Scan, params: Params | None = None) -> str:
        """Return the method's reason for declining this scan; '' if it accepts the scan."""
        if self.spec.skip is None:
            return ""
        return str(resolve(self.spec.skip)(scan, params or self.params()) or "")

    def run(self, scan: Scan, params: Params | None = None, *, most: int | None = MOST_STEPS, **keys: Any) -> Result:
        """Reconstruct. Raise Violation for results that the harness would refuse, NotApplicable if the method declines the scan."""
        params = params or self.params()
        reason = self.declines(scan, params)
        if reason:
            raise NotApplicable(f"declined by the method: {reason}")
        run = WatchedRun(most, **{"threads": 1, "views": scan.geometry.views, **keys})
        before = scan.digest
        counters.reset()
        run.clock.start()
        try:
            with self._watched("in a run"):
                found = self.target(scan, params, run)
        finally:
            run.clock.stop()
        volume = accepted(found, scan)
        if scan.digest != before:
            raise Violation("the method changed the projections it was given")
        return Result(volume, run.clock.seconds, run.taken, counters.totals())


def accepted(found: Any, scan: Scan) -> np.ndarray:
    """Return the volume as float32. Raise Violation for anything the harness would refuse."""
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
