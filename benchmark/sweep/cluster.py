"""Execute runs on the workers of an existing Dask cluster, exactly as on this machine: one process per run.

Cases travel to the workers, records, volumes and arrays come back; only the sweep's own machine writes into the results folder, so no
shared file system is needed. Each Dask worker executes one run at a time, on its own number of threads.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from benchmark.errors import InputError, MissingDependency
from benchmark.execution.options import OnEvent, Options, Stop, Stopped
from benchmark.execution.runner import blank_record, perform
from benchmark.machine.environment import environment
from benchmark.plugins.registry import Registry
from benchmark.records.record import SCHEMA_VERSION, RunRecord, RunSpec
from benchmark.scan.case import Case
from benchmark.scan.reconstruction import ARRAYS
from benchmark.storage import atomic
from benchmark.sweep.executor import LaneLost

POLL = 0.3  # [s]
TIMEOUT = 15  # [s] to find the scheduler
EVENT_INTERVAL = 1.0  # [s] between progress messages of one run


class ClusterExecutor:
    """Executor whose lanes are the workers of a Dask scheduler. Use as a context manager."""

    inline = False

    def __init__(self, registry: Registry, address: str, options: Options) -> None:
        self.registry, self.address, self.options = registry, address, options

    def __enter__(self) -> ClusterExecutor:
        try:
            from distributed import Client
        except ImportError as error:
            raise MissingDependency("--scheduler needs distributed (install: pip install 'seed-ct[dask]')") from error
        try:
            self.client = Client(self.address, timeout=TIMEOUT, set_as_default=False)
        except (OSError, ValueError) as error:
            raise _mistake("the address of a running Dask scheduler", f"{self.address} ({error})") from error
        try:
            self._wait_for_workers()
            self._check_workers()
        except BaseException:
            self.client.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.client.close()

    def _wait_for_workers(self) -> None:
        try:
            self.client.wait_for_workers(1, timeout=60)
        except TimeoutError:
            raise _mistake("at least one worker within 60 s", "none", "Start some dask workers.") from None

    def _check_workers(self) -> None:
        """Raise InputError unless every worker runs this version. Later workers are recorded with their version."""
        here = _about()
        try:
            found: dict[str, Any] = self.client.run(_about)
        except Exception as error:  # any error of importing benchmark there
            raise _mistake("workers that can import benchmark", f"{type(error).__name__}: {error}") from error
        for worker, there in found.items():
            if there != here:
                raise _mistake(f"benchmark {here}", f"{there} on worker {worker}", "Install the same there.")

    def lanes(self) -> list[str]:
        """Return the addresses of the present workers. Raise InputError if the scheduler is gone."""
        try:
            return list(self.client.nthreads())
        except (OSError, ValueError, RuntimeError) as error:
            kept = "Finished runs are kept: start a scheduler and run the same command with its address."
            raise _mistake("a scheduler that answers", f"none any more ({error})", kept) from error

    def perform(self, lane: str, spec: RunSpec, case: Case, on_event: OnEvent, stop: Stop) -> tuple[RunRecord, np.ndarray | None]:
        """Execute a run on a worker. Raise LaneLost if it is gone, InputError if the scheduler is, Stopped soon after `stop()` is true."""
        topic = f"{spec.id}-{uuid.uuid4().hex[:8]}"
        self.client.subscribe_topic(topic, lambda event: on_event(event[1]))
        future = None
        try:
            data = self.client.scatter(case, workers=[lane], hash=False)
            future = self.client.submit(
                perform_there, spec, data, self.options, topic, key=topic, workers=[lane], allow_other_workers=False, retries=0
            )
            while not future.done():
                if stop():
                    raise Stopped
                if lane not in self.lanes():
                    raise LaneLost(f"worker {lane} was lost while the run was under way")
                time.sleep(POLL)
            return self._result(future, lane, spec, case)
        except InputError:  # the scheduler is gone
            raise
        except (OSError, TimeoutError, ValueError) as error:  # of the connection, or no worker to take the data
            raise LaneLost(f"worker {lane} could not be reached ({error})") from error
        finally:
            with contextlib.suppress(Exception):  # a lost connection needs no clean-up
                if future is not None:
                    future.cancel()
                self.client.unsubscribe_topic(topic)

    def _result(self, future: Any, lane: str, spec: RunSpec, case: Case) -> tuple[RunRecord, np.ndarray | None]:
        from distributed import CancelledError, KilledWorker

        if future.status == "finished":
            record, volume, arrays = future.result()
            if arrays and self.options.checkpoints is not None:
                atomic.replace(self.options.checkpoints / spec.id / ARRAYS, arrays)
            return record, volume
        error = future.exception() if future.status == "error" else CancelledError(future.status)
        if isinstance(error, KilledWorker | CancelledError):
            raise LaneLost(f"worker {lane} was lost while the run was under way")
        reason = f"worker {lane}: {type(error).__name__}: {error}"
        return blank_record(spec, self.registry.method(spec.method), case, self.options).model_copy(update={"reason": reason}), None


def perform_there(spec: RunSpec, case: Case, options: Options, topic: str) -> tuple[RunRecord, np.ndarray | None, bytes]:
    """Execute a run on a worker, as this machine would. Also return the method's arrays beside the volume, as a file's content.

    Ends soon after the scheduler takes the task back.
    """
    from distributed import get_worker

    from benchmark.plugins.registry import registry

    worker = get_worker()
    next_event = 0.0

    def tell(event: dict[str, Any]) -> None:
        nonlocal next_event
        if event.get("event") != "progress" or time.monotonic() >= next_event:
            next_event = time.monotonic() + EVENT_INTERVAL
            worker.log_event(topic, event)

    def taken_back() -> bool:
        task = worker.state.tasks.get(topic)
        return task is None or task.state != "executing"

    own = dataclasses.replace(options, threads=options.threads or worker.state.nthreads)
    with tempfile.TemporaryDirectory(prefix="run-") as scratch:
        place = Path(scratch, ARRAYS)
        record, volume = perform(registry(), spec, case, Path(scratch), own, tell, taken_back, place)
        arrays = place.read_bytes() if place.exists() else b""
    return record.model_copy(update={"environment": record.environment | {"worker": worker.address}}), volume, arrays


def _about() -> tuple[str, int, str]:
    """Return the facts that must agree between machines: version, schema of the records, and the state of the code in a checkout."""
    return environment()["benchmark"], SCHEMA_VERSION, environment()["git"].removesuffix("+changes")


def _mistake(expected: str, found: str, fix: str = "") -> InputError:
    return InputError("--scheduler", expected=expected, found=found, fix=fix)
