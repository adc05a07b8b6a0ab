"""Assign the runs of a sweep, in order, to the lanes of an executor. A lane executes one run at a time; one thread, here, writes
the records.
"""

from __future__ import annotations

import dataclasses
import queue
import threading
import time
from collections import Counter
from typing import Any

import numpy as np

from benchmark.execution.options import OnEvent
from benchmark.records.record import RunRecord, RunSpec
from benchmark.scan.case import Case
from benchmark.sweep.claims import Claims
from benchmark.sweep.display import Display
from benchmark.sweep.executor import Executor, LaneLost
from benchmark.sweep.ledger import Ledger

AGAIN = 1.0  # [s] between looks at a run that another sweep works on
ATTEMPTS = 4  # at a run, if its lanes are lost


@dataclasses.dataclass
class _Attempt:
    """A run under way."""

    spec: RunSpec
    number: int
    case: Case
    lane: str
    thread: threading.Thread | None = None


class Lanes:
    """Scheduler of the runs of one sweep."""

    def __init__(self, ledger: Ledger, executor: Executor, claims: Claims, display: Display) -> None:
        self.ledger, self.executor, self.claims, self.display = ledger, executor, claims, display
        self._busy: dict[str, _Attempt] = {}  # by lane
        self._not_before: dict[str, float] = {}  # run id -> time to look again
        self._lost: Counter[str] = Counter()  # run id -> lanes lost with it
        self._news: queue.Queue[tuple[_Attempt, Any]] = queue.Queue()  # progress (a dict), results, exceptions
        self._settled: set[str] = set()  # run ids
        self._stop = threading.Event()

    def work_off(self, todo: list[RunSpec]) -> list[RunSpec]:
        """Execute every run that no other sweep has claimed and wait for the others; return the runs that Ctrl-C left undone.

        Raise StorageError if a record cannot be written.
        """
        pending = list(todo)
        self.ledger.begin(todo)
        try:
            while pending or self._busy:
                self._start_some(pending)
                self._listen(pending)
        except KeyboardInterrupt:
            pass
        finally:
            self._end()
        return [spec for spec in todo if spec.id not in self._settled]

    def _start_some(self, pending: list[RunSpec]) -> None:
        """Assign the first claimable runs to the free lanes."""
        free = [lane for lane in self.executor.lanes() if lane not in self._busy]
        for spec in list(pending):
            if not free:
                return
            if time.monotonic() < self._not_before.get(spec.id, 0.0):
                continue
            number = self.claims.take(spec.id)
            if number is None:
                self._not_before[spec.id] = time.monotonic() + AGAIN
                continue
            try:
                started = self._start(spec, number, free[0])
            except BaseException:
                self.claims.release(spec.id, number)
                raise
            pending.remove(spec)
            if started:
                free.pop(0)
            else:
                self.claims.release(spec.id, number)

    def _start(self, spec: RunSpec, number: int, lane: str) -> bool:
        """Start a run; return False if it is settled without starting."""
        if self.ledger.taken_over(spec):
            self._settled.add(spec.id)
            return False
        case = self.ledger.prepare(spec)
        if isinstance(case, RunRecord):
            self.ledger.keep(spec, case, None, None, number)
            self._settled.add(spec.id)
            return False
        attempt = _Attempt(spec, number, case, lane)
        if self.executor.inline:
            self._perform(attempt, lambda event: self._show(attempt, event))
        else:
            arguments = (attempt, lambda event: self._news.put((attempt, event)))
            attempt.thread = threading.Thread(target=self._perform, args=arguments, daemon=True)
            self._busy[lane] = attempt
            attempt.thread.start()
        return True

    def _perform(self, attempt: _Attempt, on_event: OnEvent) -> None:
        """Execute an attempt, in the lane's thread."""
        try:
            result: Any = self.executor.perform(attempt.lane, attempt.spec, attempt.case, on_event, self._stop.is_set)
        except Exception as error:
            result = error
        self._news.put((attempt, result))

    def _show(self, attempt: _Attempt, event: dict[str, Any]) -> None:
        self.display.progress({**event, "run_id": attempt.spec.id})

    def _listen(self, pending: list[RunSpec]) -> None:
        """Wait briefly for news and handle them."""
        try:
            attempt, news = self._news.get(timeout=AGAIN / 4)
        except queue.Empty:
            return
        if isinstance(news, dict):
            self._show(attempt, news)
        elif isinstance(news, LaneLost):
            self._settle_loss(attempt, str(news), pending)
        elif isinstance(news, Exception):
            self._release(attempt)
            raise news
        else:
            self._settle(attempt, *news)

    def _settle_loss(self, attempt: _Attempt, reason: str, pending: list[RunSpec]) -> None:
        """Keep the record of an attempt that was lost with its lane; try the run again, at most ATTEMPTS times."""
        spec = attempt.spec
        self._settle(attempt, self.ledger.failure(spec, attempt.case, reason), None)
        self._lost[spec.id] += 1
        if self._lost[spec.id] < ATTEMPTS:
            self.ledger.expect_another(spec, attempt.number)
            self._settled.discard(spec.id)
            pending.insert(0, spec)

    def _settle(self, attempt: _Attempt, record: RunRecord, volume: np.ndarray | None) -> None:
        self.ledger.keep(attempt.spec, record, volume, attempt.case, attempt.number)
        self._settled.add(attempt.spec.id)
        self._release(attempt)

    def _release(self, attempt: _Attempt) -> None:
        self.claims.release(attempt.spec.id, attempt.number)
        self._busy.pop(attempt.lane, None)

    def _end(self) -> None:
        """Stop all running attempts, wait for their end, and keep the results that were finished."""
        self._stop.set()
        for attempt in self._busy.values():
            if attempt.thread is not None:
                attempt.thread.join()
        try:
            while not self._news.empty():
                attempt, news = self._news.get()
                if isinstance(news, tuple):
                    self._settle(attempt, *news)
        finally:
            for attempt in list(self._busy.values()):
                self._release(attempt)
