"""All runs of a plan, in order: what is finished is left alone, what fails is a record, what is stopped can be resumed."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import shutil
from typing import Any, Protocol

import numpy as np

from benchmark.errors import InputError, MissingDependency
from benchmark.execution.options import Options
from benchmark.execution.runner import blank_record
from benchmark.kernels.cpu_library import library
from benchmark.plan.plan import Plan
from benchmark.plugins.registry import Problem, Registry
from benchmark.records.record import RunRecord, RunSpec
from benchmark.records.results import Results, arranged, without_digest
from benchmark.records.store import Store
from benchmark.scan.case import Case
from benchmark.storage.atomic import StorageError
from benchmark.sweep.case_cache import Shelf, case_key, size_in_bytes
from benchmark.sweep.claims import Claims
from benchmark.sweep.lanes import Lanes
from benchmark.sweep.local import Engine, Here


class Display(Protocol):
    """Whoever watches a sweep."""

    def loading(self, spec: RunSpec, done: int, total: int) -> None:
        """A case is about to be loaded."""

    def sweep_started(self, total: int, finished: int) -> None:
        """So many runs in the plan, so many of them finished earlier."""

    def run_started(self, spec: RunSpec) -> None:
        """A run begins."""

    def progress(self, event: dict[str, Any]) -> None:
        """The step, total, seconds of the run with this `run_id`, and whatever it logs."""

    def run_finished(self, record: RunRecord) -> None:
        """A run has ended and its record is stored."""

    def warning(self, text: str) -> None:
        """Something that does not stop anything."""


@dataclasses.dataclass
class Summary:
    """How a sweep ended: the latest record of each run of the plan that has one, and what is left to do."""

    records: list[RunRecord]
    remaining: list[RunSpec]
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """130 after Ctrl-C; 1 if a run failed or a metric could not be computed; else 0."""
        if self.interrupted:
            return 130
        return int(any(record.status == "failed" or (record.status == "ok" and record.reason) for record in self.records))


class Sweep:
    """Executes a plan into its output folder. Several sweeps may share one: each run is made by one of them."""

    def __init__(
        self, registry: Registry, plan: Plan, options: Options, display: Display, *, workers: int = 1, scheduler: str | None = None
    ) -> None:
        self.registry, self.plan, self.options, self.display = registry, plan, options, display
        self.workers, self.scheduler = workers, scheduler  # runs at a time here, or the address of a Dask scheduler
        self.store = Store(plan.output)
        self.shelf = Shelf(registry)
        self.digests: dict[str, str] = {}  # by case key
        self.unavailable: dict[str, tuple[str, str]] = {}  # case key -> (status, reason)
        self.latest: dict[str, RunRecord] = {}  # of the whole folder, by run id

    def run(self) -> Summary:
        """Run everything that is missing. Raises InputError before the first run if the data or the folder are not in order,
        MissingDependency if there are no kernels to score with, StorageError if a result could not be written;
        KeyboardInterrupt while a run is under way becomes a Summary.
        """
        self.store.prepare()
        library()
        with Claims(self.plan.output) as claims:
            return self._run(claims)

    def _run(self, claims: Claims) -> Summary:
        leftovers = self.store.leftovers()
        if claims.alone():  # asked after looking: whoever is writing one of them was alive before
            for path in leftovers:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        self._load_cases()
        specs = [self._with_digest(spec) for spec in self.plan.runs]
        results = Results(self.plan.output)
        for problem in results.problems:
            self.display.warning(problem)
        self._say_what_is_gone(results, {spec.id for spec in specs})
        self.latest = {record.run_id: record for record in results.records}
        todo = [spec for spec in specs if spec.id not in self.latest or self.latest[spec.id].status != "ok"]
        with self._open_engine(claims) as engine:
            self.store.check_space(self._space(todo, len(engine.lanes())))
            self.display.sweep_started(len(specs), len(specs) - len(todo))
            remaining = Lanes(self, engine, claims).work_off(todo)
        self.store.write_table(Results(self.plan.output).records)  # with what other sweeps may have added
        return Summary([self.latest[spec.id] for spec in specs if spec.id in self.latest], remaining, bool(remaining))

    def _say_what_is_gone(self, results: Results, planned: set[str]) -> None:
        """Finished runs stay finished; their volumes may have been removed on purpose."""
        finished = [record for record in results.records if record.run_id in planned and record.status == "ok"]
        gone = [record for record in finished if not results.volume_path(record).exists()]
        if gone:
            text = f"finished runs whose volume is gone: {len(gone)}, such as {results.volume_path(gone[0])}."
            self.display.warning(f"{text} {results.remedy(gone[0])}")

    def _open_engine(self, claims: Claims) -> contextlib.AbstractContextManager[Engine]:
        if self.scheduler is None:
            return contextlib.nullcontext(Here(self.registry, self.options, claims.scratch, self.workers))
        from benchmark.sweep.cluster import Cluster

        return Cluster(self.scheduler, self.options)

    def _load_cases(self) -> None:
        """Load every case once, so that bad data are known before hours are spent. Raises one InputError for all of them."""
        first = {case_key(spec): spec for spec in reversed(self.plan.runs)}
        keys = list(dict.fromkeys(map(case_key, self.plan.runs)))
        errors: list[str] = []
        for index, key in enumerate(keys):
            spec = first[key]
            self.display.loading(spec, index, len(keys))
            try:
                self.digests[key] = self.shelf.get(spec).digest
            except InputError as error:
                errors.append(f"dataset {spec.dataset}: {error}")
            except MissingDependency as error:
                self.unavailable[key] = ("skipped", str(error))
            except Exception as error:  # a dataset's own code
                self.unavailable[key] = ("failed", f"loading {spec.dataset} failed: {type(error).__name__}: {error}")
        errors = list(dict.fromkeys(errors))
        if errors:
            raise InputError("\n  ".join(errors))

    def _with_digest(self, spec: RunSpec) -> RunSpec:
        return spec.model_copy(update={"data_digest": self.digests.get(case_key(spec), "")})

    def _space(self, todo: list[RunSpec], lanes: int) -> int:
        """Bytes that the runs may take: volumes, cases, and the scratch files of the runs under way."""
        total, cases, scratch = 0, {}, 0
        for spec in todo:
            key = case_key(spec)
            if key in self.unavailable:
                continue
            if key not in cases:
                case = self.shelf.get(spec)
                cases[key] = (size_in_bytes(case), 4 * math.prod(case.scan.geometry.volume_shape))
            total += cases[key][1] + 100_000
            scratch = max(scratch, cases[key][0] + (self.options.snapshots + 2) * cases[key][1])
        return total + scratch * lanes + sum(size for size, _ in cases.values())

    def prepare_run(self, spec: RunSpec) -> Case | RunRecord:
        """Announce a run; its case, written into the folder, or at once the record of why there is none."""
        self.display.run_started(spec)
        self._warn(self.registry.run_started(spec))
        key = case_key(spec)
        if key in self.unavailable:
            status, reason = self.unavailable[key]
            return blank_record(spec, None, self.options).model_copy(update={"status": status, "reason": reason})
        case = self.shelf.get(spec)
        self.store.write_case(case, spec.dataset, spec.dataset_params)
        return case

    def keep(self, spec: RunSpec, record: RunRecord, volume: np.ndarray | None, case: Case | None, attempt: int) -> None:
        """Store the record of an attempt and tell everybody."""
        before = self.latest.get(spec.id)
        if not (before is not None and before.status == record.status == "skipped" and before.reason == record.reason):
            self.store.write_record(record, volume, case, attempt)
        self.adopt(spec, record)
        self._warn(self.registry.run_finished(record))

    def adopt(self, spec: RunSpec, record: RunRecord) -> None:
        """Take a record that is in the folder as this run's."""
        self.latest[spec.id] = record
        self._write_table()
        self.display.run_finished(record)

    def _write_table(self) -> None:
        """Keep runs.csv current; the records are what counts, so trouble here is only said."""
        try:
            self.store.write_table(arranged(self.latest.values()))
        except StorageError as error:
            self.display.warning(str(error))

    def _warn(self, problems: list[Problem]) -> None:
        for problem in problems:
            self.display.warning(str(problem))


def finished_runs(plan: Plan) -> dict[str, RunRecord]:
    """Records that stand for runs of a plan whose data have not been loaded, by the plan's own run ids (for --dry-run)."""
    records = Results(plan.output).records
    by_plan = {without_digest(record.spec).id: record for record in records}
    return {spec.id: by_plan[spec.id] for spec in plan.runs if spec.id in by_plan}
