"""Services of the harness for a running method: randomness, steps, logging, snapshots. Never the truth."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, SupportsFloat

import numpy as np

from benchmark.machine import counters
from benchmark.machine.clock import Clock
from benchmark.records.budget import Budget, Used
from benchmark.runtime.checkpoint import Checkpoint, Checkpoints, Stateful
from benchmark.runtime.interval import Interval
from benchmark.runtime.validation import Validation
from benchmark.scan.reconstruction import averaged


class Interrupted(Exception):
    """Requested end of a run, after its checkpoint was written."""


class Run:
    """Third argument of every method: the run's facts, its randomness, its loop, its log. It knows no truth and no score.

    - `seed`, `rng`: the run's seed, and a NumPy generator seeded with it. Use no other randomness.
    - `device`: where to compute, such as 'cpu' or 'cuda:0'; `threads`: CPU threads, None = torch's default.
    - `budget`: limits of the run (`steps` obeys them).
    - `memory_bytes`: most memory that the process may take; None = no limit.
    - `scratch`: folder for temporary files, removed after the run; None = the system's own.
    - `weights`: result of an earlier fit to other scans (see MethodSpec.fit); None = none.
    - `validation`: in a fit, the scans that it is judged by (see Validation); None = none.

    In a test, `Run()` is enough.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        device: str = "cpu",
        threads: int | None = None,
        budget: Budget | None = None,
        views: int = 1,
        memory_bytes: int | None = None,
        scratch: Path | None = None,
        on_log: Callable[[dict[str, Any]], None] | None = None,
        on_snapshot: Callable[[int, float, np.ndarray], None] | None = None,
        snapshots: int = 12,
        on_validation: Callable[[int, float, np.ndarray], None] | None = None,
        validate_every: Interval | None = None,
        on_picture: Callable[[int, float, np.ndarray], None] | None = None,
        keep_every: int | None = None,
        checkpoints: Checkpoints | None = None,
        history: Stateful | None = None,
        weights: dict[str, Any] | None = None,
        validation: Validation | None = None,
    ) -> None:
        self.weights, self.validation = weights, validation
        self.seed, self.device, self.threads = seed, device, threads
        self.budget, self.views = budget or Budget(), views  # views: of the scan; so many make one projection
        self.memory_bytes, self.scratch = memory_bytes, scratch
        self.rng = np.random.default_rng(seed)
        self.clock = Clock(device)
        self.step = 0  # of all loops
        self.resumed = 0  # steps that an earlier, interrupted process had done
        self._loop, self._before = Budget(), Used()  # limits of the present loop; what had been used up when it began
        self._on_log, self._on_snapshot = on_log, on_snapshot
        self._snapshots, self._next_snapshot = snapshots, 0.0  # next: as a share of the present loop
        self._on_validation, self._validate_every = on_validation, validate_every or Interval()
        self._validated = (0, 0.0)  # step and seconds of the last volume offered for scores along the run
        self._on_picture, self._keep_every = on_picture, keep_every  # steps between numbered checkpoints and pictures
        self._pictured = 0  # step of the last volume offered for pictures
        self._checkpoints, self._next_checkpoint = checkpoints, 0.0
        self._state: Stateful | None = None  # state for the next checkpoint
        self._stateful = 0  # loops with a state that have begun
        self._history = history  # the harness's own record of the run; goes into the checkpoints
        self._interrupted = False
        self._averaged = 1  # voxels along each edge of offered volumes that make one of the scan's

    def steps(self, count: int, state: Stateful | None = None) -> Iterator[int]:
        """Yield 0 .. count - 1, but end early when the budget is spent. Every iterative method loops over it.

        With `state` (an object whose `state_dict()` and `load_state_dict()` cover everything that training changes), checkpoints are
        written at intervals, and an interrupted run continues from the last one: the first number yielded is the next step's. Loops
        before the checkpoint's are repeated. A loop left by `break` keeps its last checkpoint.
        """
        first = self.step
        self._loop = loop = self.budget.within(first + count)
        self._before, self._next_snapshot = self.used(), 0.0
        begin = self._resume(state) if state is not None else 0
        try:
            for index in range(begin, count):
                if loop.spent(self.used()):
                    break
                try:
                    yield index
                except GeneratorExit:  # `break`, or an exception in the loop: these cannot be told apart here
                    self.step = max(self.step, first + index + 1)
                    raise  # unsaved: a resumed run must reach the same break
                self.step = first + index + 1
                if self._state is state:  # not the state of an enclosing loop
                    if self._keep_every and self._checkpoints is not None and self.step % self._keep_every == 0:
                        self._write(index + 1, self._checkpoints.numbered(self.step))
                    if self._interrupted or self.clock.seconds >= self._next_checkpoint:
                        self._save(index + 1)
                    if self._interrupted:
                        raise Interrupted(f"after step {self.step}")
            if self._state is state:
                self._save(self.step - first)
        finally:
            if self._state is state:
                self._state = None

    def used(self) -> Used:
        """Return the seconds, steps, ray samples and projections used so far."""
        work = counters.totals()
        return Used(self.clock.seconds, self.step, work.get("ray_samples", 0), work.get("forward_views", 0) / self.views)

    def interrupt(self) -> bool:
        """Ask the run to write its checkpoint and stop after the present step. Return False if it keeps no checkpoints."""
        self._interrupted = self._state is not None
        return self._interrupted

    @property
    def stopping(self) -> bool:
        """True once the run is to end after the present step."""
        return self._interrupted

    def _resume(self, state: Stateful) -> int:
        """Restore `state` from the checkpoint; return the number of steps done."""
        if self._checkpoints is None:
            return 0
        found, loop = self._checkpoints.find(), self._stateful
        self._stateful += 1
        if found is not None and found.loop > loop:
            return 0  # done again without checkpoints, so that the one of the later loop stays
        self._state, done = state, 0
        if found is not None and found.loop == loop:
            done = found.step
            state.load_state_dict(found.state)
            self.rng.bit_generator.state = found.random
            self.step += found.step
            self.resumed = found.step
            self.clock.resume(found.seconds, found.cpu_seconds)
            counters.resume(found.counters or {})  # after the state: to load one may take work
            self._next_snapshot, self._validated = found.history["next_snapshot"], (self.step, found.seconds)
            if self._history is not None:
                self._history.load_state_dict(found.history["kept"])
        self._next_checkpoint = self.clock.seconds + self._checkpoints.every
        return done

    def _save(self, done: int) -> None:
        if self._state is not None and self._checkpoints is not None:
            self._write(done, self._checkpoints.path)
            self._next_checkpoint = self.clock.seconds + self._checkpoints.every

    def _write(self, done: int, path: Path) -> None:
        """Write the state after `done` steps of the present loop into a checkpoint."""
        assert self._state is not None and self._checkpoints is not None
        with self.clock.paused(), counters.paused():
            Checkpoint(
                facts=self._checkpoints.facts,
                step=done,
                seconds=self.clock.seconds,
                random=dict(self.rng.bit_generator.state),
                state=self._state.state_dict(),
                cpu_seconds=self.clock.cpu_seconds,
                counters=counters.totals(),
                loop=self._stateful - 1,
                history={"next_snapshot": self._next_snapshot, "kept": {} if self._history is None else self._history.state_dict()},
            ).write(path)

    def log(self, **values: SupportsFloat) -> None:
        """Report scalars of the current step, such as `loss=...`, to the progress display and the record.

        Pass tensors of one element as they are, so that the device is waited for only when somebody displays or records them.
        """
        if self._on_log is None:
            return
        with self.clock.paused():
            facts: dict[str, Any] = {"step": self.step, "total": self._loop.steps or 0, "seconds": self.clock.seconds}
            left = self._loop.seconds_left(self._before, self._with_this_step())
            plain = {name: value if isinstance(value, int | float) else float(value) for name, value in values.items()}
            self._on_log(facts | ({"seconds_left": left} if left else {}) | plain)

    def snapshot(self, volume: Callable[[], np.ndarray]) -> None:
        """Offer the current volume for the convergence curve. `volume()` ([z, y, x], 1/mm) is called when due, with the clock paused."""
        progress, now = self._loop.share(self._before, self._with_this_step()), (self.step, self.clock.seconds)
        kept = self._on_snapshot if progress >= self._next_snapshot else None
        scored = self._on_validation if self._validate_every.passed(self._validated, now) else None
        done = self.step + 1  # as the numbered checkpoint at the end of this step
        due = self._keep_every is not None and done % self._keep_every == 0 and done != self._pictured
        pictured = self._on_picture if due else None
        if kept is None and scored is None and pictured is None:
            return
        with self.clock.paused(), counters.paused():
            values = np.asarray(volume(), dtype=np.float32)
            if self._averaged > 1:
                values = averaged(values, self._averaged)
            if kept is not None:
                kept(self.step, self.clock.seconds, values)
                self._next_snapshot = progress + 1 / self._snapshots
            if scored is not None:
                scored(self.step, self.clock.seconds, values)
                self._validated = now
            if pictured is not None:
                pictured(done, self.clock.seconds, values)
                self._pictured = done

    @contextlib.contextmanager
    def averaging(self, factor: int) -> Iterator[None]:
        """Average factor^3 voxels of the volumes that `snapshot` is offered inside the `with` block: their grid is so much finer."""
        before, self._averaged = self._averaged, self._averaged * factor
        try:
            yield
        finally:
            self._averaged = before

    def _with_this_step(self) -> Used:
        """Return the resources used, including the step under way."""
        now = self.used()
        return dataclasses.replace(now, steps=now.steps + 1)
