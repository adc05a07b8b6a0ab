"""Hands the runs of a sweep to the lanes of an engine, in order; records are written by one thread, here."""

from __future__ import annotations

import dataclasses
import queue
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.execution.options import OnEvent
from benchmark.execution.runner import blank_record
from benchmark.records.record import RunRecord, RunSpec
from benchmark.records.results import latest_record
from benchmark.scan.case import Case
from benchmark.sweep.claims import Claims
from benchmark.sweep.local import Engine, LaneLost

if TYPE_CHECKING:
    from benchmark.sweep.sweep import Sweep

AGAIN = 1.0  # [s] until a run that another sweep works on is looked at again
ATTEMPTS = 4  # at a run whose lanes get lost


@dataclasses.dataclass
class _Job:
    """A run under way."""

    spec: RunSpec
    attempt: int
    case: Case
    lane: str
    thread: threading.Thread | None = None


class Lanes:
    """Works off the runs of one sweep."""

    def __init__(self, sweep: Sweep, engine: Engine, claims: Claims) -> None:
        self.sweep, self.engine, self.claims = sweep, engine, claims
        self._busy: dict[str, _Job] = {}  # by lane
        self._known: dict[str, int] = {}  # run id -> number of its latest attempt when this sweep began
        self._not_before: dict[str, float] = {}  # run id -> time to look again
        self._lost: Counter[str] = Counter()  # run id -> lanes lost with it
        self._news: queue.Queue[tuple[_Job, Any]] = queue.Queue()  # progress (a dict), results, exceptions
        self._settled: set[str] = set()  # run ids
        self._stop = threading.Event()

    def work_off(self, todo: list[RunSpec]) -> list[RunSpec]:
        """Make every run that nobody else makes and wait for those that others make; what Ctrl-C left undone. Raises StorageError."""
        pending = list(todo)
        self._known = {spec.id: latest_record(self.sweep.plan.output, spec.id)[0] for spec in todo}
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
        """Give the free lanes the first runs that can be claimed."""
        free = [lane for lane in self.engine.lanes() if lane not in self._busy]
        for spec in list(pending):
            if not free:
                return
            if time.monotonic() < self._not_before.get(spec.id, 0.0):
                continue
            attempt = self.claims.take(spec.id)
            if attempt is None:
                self._not_before[spec.id] = time.monotonic() + AGAIN
                continue
            try:
                started = self._start(spec, attempt, free[0])
            except BaseException:
                self.claims.release(spec.id, attempt)
                raise
            pending.remove(spec)
            if started:
                free.pop(0)
            else:
                self.claims.release(spec.id, attempt)

    def _start(self, spec: RunSpec, attempt: int, lane: str) -> bool:
        """Whether the run is under way now; else it is settled without one."""
        number, record = latest_record(self.sweep.plan.output, spec.id)
        if record is not None and (record.status == "ok" or number > self._known[spec.id]):
            self.sweep.adopt(spec, record)  # another sweep has made it meanwhile
            self._settled.add(spec.id)
            return False
        case = self.sweep.prepare_run(spec)
        if isinstance(case, RunRecord):
            self.sweep.keep(spec, case, None, None, attempt)
            self._settled.add(spec.id)
            return False
        job = _Job(spec, attempt, case, lane)
        if self.engine.inline:
            self._perform(job, lambda event: self._show(job, event))
        else:
            job.thread = threading.Thread(target=self._perform, args=(job, lambda event: self._news.put((job, event))), daemon=True)
            self._busy[lane] = job
            job.thread.start()
        return True

    def _perform(self, job: _Job, on_event: OnEvent) -> None:
        """Runs in the lane's thread."""
        try:
            result: Any = self.engine.perform(job.lane, job.spec, job.case, on_event, self._stop.is_set)
        except Exception as error:
            result = error
        self._news.put((job, result))

    def _show(self, job: _Job, event: dict[str, Any]) -> None:
        self.sweep.display.progress({**event, "run_id": job.spec.id})

    def _listen(self, pending: list[RunSpec]) -> None:
        """Wait a moment for news and deal with them."""
        try:
            job, news = self._news.get(timeout=AGAIN / 4)
        except queue.Empty:
            return
        if isinstance(news, dict):
            self._show(job, news)
        elif isinstance(news, LaneLost):
            self._settle(job, self._failure(job, str(news)), None)
            self._lost[job.spec.id] += 1
            if self._lost[job.spec.id] < ATTEMPTS:
                self._known[job.spec.id] = job.attempt
                self._settled.discard(job.spec.id)
                pending.insert(0, job.spec)
        elif isinstance(news, Exception):
            self._release(job)
            raise news
        else:
            self._settle(job, *news)

    def _failure(self, job: _Job, reason: str) -> RunRecord:
        return blank_record(job.spec, job.case, self.sweep.options).model_copy(update={"reason": reason})

    def _settle(self, job: _Job, record: RunRecord, volume: np.ndarray | None) -> None:
        self.sweep.keep(job.spec, record, volume, job.case, job.attempt)
        self._settled.add(job.spec.id)
        self._release(job)

    def _release(self, job: _Job) -> None:
        self.claims.release(job.spec.id, job.attempt)
        self._busy.pop(job.lane, None)

    def _end(self) -> None:
        """Stop what is still running, wait until nothing is left of it, and keep what has finished all the same."""
        self._stop.set()
        for job in self._busy.values():
            if job.thread is not None:
                job.thread.join()
        try:
            while not self._news.empty():
                job, news = self._news.get()
                if isinstance(news, tuple):
                    self._settle(job, *news)
        finally:
            for job in list(self._busy.values()):
                self._release(job)
