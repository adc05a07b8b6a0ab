"""Run a plan in order: finished runs are skipped, failures become records, stopped sweeps can be resumed."""

from __future__ import annotations

import contextlib
import dataclasses

from benchmark.execution.options import Options
from benchmark.kernels.cpu_library import library
from benchmark.plan.plan import Plan
from benchmark.plugins.registry import Registry
from benchmark.records.record import RunRecord, RunSpec
from benchmark.records.store import Store
from benchmark.records.suite import write_suite
from benchmark.sweep.cases import Cases
from benchmark.sweep.claims import Claims
from benchmark.sweep.display import Display
from benchmark.sweep.executor import Executor
from benchmark.sweep.lanes import Lanes
from benchmark.sweep.ledger import Ledger
from benchmark.sweep.local import LocalExecutor
from benchmark.sweep.pulse import Pulse
from benchmark.sweep.rerun import NOTHING, Rerun


@dataclasses.dataclass(frozen=True)
class SweepOutcome:
    """Outcome of a sweep: the latest record of each recorded run of the plan, and the remaining runs."""

    records: list[RunRecord]
    remaining: list[RunSpec]
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """Exit code: 130 after Ctrl-C; 1 if a run failed or a metric could not be computed; else 0."""
        if self.interrupted:
            return 130
        return int(any(record.status == "failed" or (record.status == "ok" and record.reason) for record in self.records))


class Sweep:
    """Execution of a plan into its output folder. Several sweeps may share a folder: each run is made by one of them."""

    def __init__(
        self,
        registry: Registry,
        plan: Plan,
        options: Options,
        display: Display,
        *,
        workers: int = 1,
        scheduler: str | None = None,
        rerun: Rerun = NOTHING,
    ) -> None:
        self.registry, self.plan, self.options = registry, plan, options
        self.display = Pulse(display, plan.name)
        self.workers, self.scheduler = workers, scheduler  # runs at a time here, or the address of a Dask scheduler
        self.store, self.cases = Store(plan.output), Cases(registry)
        self.ledger = Ledger(registry, self.store, self.cases, options, self.display, rerun)

    def run(self) -> SweepOutcome:
        """Execute every missing run. Raise InputError before the first run if the data or the folder are invalid,
        MissingDependency if no kernels are available for scoring, StorageError if a result could not be written;
        KeyboardInterrupt while a run is under way becomes an outcome.
        """
        self.store.prepare()
        write_suite(self.plan.output, self.plan.suite)
        library()
        with Claims(self.plan.output) as claims, self.display.kept(claims.state_file()):
            self.cases.load_all(self.plan.runs, self.display)
            self._check_pictures()
            specs = [self.cases.with_digest(spec) for spec in self.plan.runs]
            remaining = self._work_off(specs, claims)
            self.ledger.close(complete=not remaining)
            return SweepOutcome(self.ledger.records(specs), remaining, bool(remaining))

    def _work_off(self, specs: list[RunSpec], claims: Claims) -> list[RunSpec]:
        """Execute the runs still to do; return those that Ctrl-C left undone."""
        todo = self.ledger.read(specs)
        with self._open_executor(claims) as executor:
            volumes = self.options.snapshots + (self.options.validate_every is not None)  # kept on disk at a time, of one run
            self.store.check_space(self.cases.bytes_needed(todo, len(executor.lanes()), volumes))
            self.display.sweep_started(len(specs), len(specs) - len(todo))
            return Lanes(self.ledger, executor, claims, self.display).work_off(todo)

    def _check_pictures(self) -> None:
        """Raise InputError for pictures of views that a case does not have."""
        if self.options.keep is not None:
            from benchmark.execution.pictures import check_views

            for spec in {spec.case_key: spec for spec in self.plan.runs if self.cases.unavailable(spec) is None}.values():
                check_views(self.options.keep.views, self.cases.get(spec))

    def _open_executor(self, claims: Claims) -> contextlib.AbstractContextManager[Executor]:
        if self.scheduler is None:
            return contextlib.nullcontext(LocalExecutor(self.registry, self.options, claims.scratch, self.workers))
        from benchmark.sweep.cluster import ClusterExecutor

        return ClusterExecutor(self.registry, self.scheduler, self.options)
