"""Records of a plan's runs: read the existing ones, add new ones, and inform the display."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.execution.options import Options
from benchmark.execution.runner import blank_record
from benchmark.plan.plan import Plan
from benchmark.plugins.registry import Problem, Registry
from benchmark.records.record import RunRecord, RunSpec
from benchmark.records.results import Results, arranged, latest_record, without_digest
from benchmark.records.store import Store
from benchmark.scan.case import Case
from benchmark.storage.atomic import StorageError
from benchmark.sweep.cases import Cases
from benchmark.sweep.display import Display


class Ledger:
    """Records of one sweep. Used by one thread; the only writer of records."""

    def __init__(self, registry: Registry, store: Store, cases: Cases, options: Options, display: Display) -> None:
        self.registry, self.store, self.cases, self.options, self.display = registry, store, cases, options, display
        self._latest: dict[str, RunRecord] = {}  # of the whole folder, by run id
        self._attempts: dict[str, int] = {}  # run id -> number of the latest attempt known to this sweep

    def read(self, specs: Sequence[RunSpec]) -> list[RunSpec]:
        """Read the records of the folder; return the runs still to do, and warn of damaged or missing files."""
        results = Results(self.store.folder)
        for problem in results.problems:
            self.display.warning(problem)
        self._say_what_is_gone(results, {spec.id for spec in specs})
        self._latest = {record.run_id: record for record in results.records}
        return [spec for spec in specs if spec.id not in self._latest or self._latest[spec.id].status != "ok"]

    def records(self, specs: Sequence[RunSpec]) -> list[RunRecord]:
        """Return the latest record of each run that has one."""
        return [self._latest[spec.id] for spec in specs if spec.id in self._latest]

    def begin(self, todo: Sequence[RunSpec]) -> None:
        """Note the present attempts: later ones belong to other sweeps."""
        self._attempts = {spec.id: latest_record(self.store.folder, spec.id)[0] for spec in todo}

    def taken_over(self, spec: RunSpec) -> bool:
        """Adopt the record of a run that another sweep has made meanwhile, if any."""
        number, record = latest_record(self.store.folder, spec.id)
        if record is None or (record.status != "ok" and number <= self._attempts[spec.id]):
            return False
        self._take(spec, record)
        return True

    def prepare(self, spec: RunSpec) -> Case | RunRecord:
        """Announce a run; return its case, written into the folder, or else a record with the reason for having none."""
        self.display.run_started(spec)
        self._warn(self.registry.run_started(spec))
        unavailable = self.cases.unavailable(spec)
        if unavailable is not None:
            status, reason = unavailable
            return self._blank(spec, None).model_copy(update={"status": status, "reason": reason})
        case = self.cases.get(spec)
        self.store.write_case(case, spec.dataset, spec.dataset_params)
        return case

    def keep(self, spec: RunSpec, record: RunRecord, volume: np.ndarray | None, case: Case | None, attempt: int) -> None:
        """Store the record of an attempt and its volume [z, y, x], and inform the display. Raise StorageError if writing fails."""
        before = self._latest.get(spec.id)
        if not (before is not None and before.status == record.status == "skipped" and before.reason == record.reason):
            self.store.write_record(record, volume, case, attempt)
        self._take(spec, record)
        if "restarted" in record.info:
            self.display.warning(f"{record.run_id} began again from the start, its checkpoint was damaged: {record.info['restarted']}")
        self._warn(self.registry.run_finished(record))

    def failure(self, spec: RunSpec, case: Case, reason: str) -> RunRecord:
        """Return the record of an attempt without any result."""
        return self._blank(spec, case).model_copy(update={"reason": reason})

    def _blank(self, spec: RunSpec, case: Case | None) -> RunRecord:
        return blank_record(spec, self.registry.method(spec.method), case, self.options)

    def expect_another(self, spec: RunSpec, attempt: int) -> None:
        """Allow this sweep to try a run again: the latest attempt is its own."""
        self._attempts[spec.id] = attempt

    def close(self) -> None:
        """Update the table with records of other sweeps. Raise StorageError if writing fails."""
        self.store.write_table(Results(self.store.folder).records)

    def _take(self, spec: RunSpec, record: RunRecord) -> None:
        """Adopt a record in the folder as this run's."""
        self._latest[spec.id] = record
        self._write_table()
        self.display.run_finished(record)

    def _write_table(self) -> None:
        """Update runs.csv; the records are authoritative, so an error here is only a warning."""
        try:
            self.store.write_table(arranged(self._latest.values()))
        except StorageError as error:
            self.display.warning(str(error))

    def _say_what_is_gone(self, results: Results, planned: set[str]) -> None:
        """Warn of finished runs without volumes; they stay finished, since volumes may have been removed on purpose."""
        finished = [record for record in results.records if record.run_id in planned and record.status == "ok"]
        gone = [record for record in finished if not results.volume_path(record).exists()]
        if gone:
            text = f"finished runs whose volume is gone: {len(gone)}, such as {results.volume_path(gone[0])}."
            self.display.warning(f"{text} {results.remedy(gone[0])}")

    def _warn(self, problems: list[Problem]) -> None:
        for problem in problems:
            self.display.warning(str(problem))


def finished_runs(plan: Plan) -> dict[str, RunRecord]:
    """Return the existing records for a plan whose data are not loaded, by the plan's own run ids (for --dry-run)."""
    records = Results(plan.output).records
    by_plan = {without_digest(record.spec).id: record for record in records}
    return {spec.id: by_plan[spec.id] for spec in plan.runs if spec.id in by_plan}
