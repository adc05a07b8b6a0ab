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
from benchmark.sweep.rerun import NOTHING, Again, Code, Rerun


class Ledger:
    """Records of one sweep. Used by one thread; the only writer of records."""

    def __init__(self, registry: Registry, store: Store, cases: Cases, options: Options, display: Display, rerun: Rerun = NOTHING) -> None:
        self.registry, self.store, self.cases, self.options, self.display = registry, store, cases, options, display
        self.code = Code(registry)
        self.again = Again(store.folder, rerun, self.code)
        self._latest: dict[str, RunRecord] = {}  # of the whole folder, by run id
        self._attempts: dict[str, int] = {}  # run id -> number of the latest attempt known to this sweep

    def read(self, specs: Sequence[RunSpec]) -> list[RunSpec]:
        """Read the records of the folder; return the runs to do, and warn of damaged or missing files and of changed code."""
        results = Results(self.store.folder)
        for problem in results.problems:
            self.display.warning(problem)
        self._say_what_is_gone(results, {spec.id for spec in specs})
        self._latest = {record.run_id: record for record in results.records}
        finished = [spec.id for spec in specs if spec.id in self._latest and self._latest[spec.id].status == "ok"]
        chosen = {run_id for run_id in finished if self.again.pending(run_id)}
        left = set(finished) - chosen
        self._say_what_is_redone(len(chosen), len(left))
        self.again.remember()
        self._say_what_has_changed([self._latest[run_id] for run_id in finished if run_id in left])
        return [spec for spec in specs if spec.id not in left]

    def records(self, specs: Sequence[RunSpec]) -> list[RunRecord]:
        """Return the latest record of each run that has one."""
        return [self._latest[spec.id] for spec in specs if spec.id in self._latest]

    def begin(self, todo: Sequence[RunSpec]) -> None:
        """Note the present attempts: later ones belong to other sweeps."""
        self._attempts = {spec.id: latest_record(self.store.folder, spec.id)[0] for spec in todo}

    def taken_over(self, spec: RunSpec) -> bool:
        """Adopt the record of a run that another sweep has made meanwhile, if any."""
        number, record = latest_record(self.store.folder, spec.id)
        if record is None:
            return False
        if spec.id in self.again.attempts:
            if not self.again.replaced(self.again.attempts[spec.id], number, record):
                return False
        elif record.status != "ok" and number <= self._attempts[spec.id]:
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
        if spec.id in self.again.attempts:
            self.store.remove_progress(spec.id)
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
        if spec.id in self.again.attempts:
            self.again.attempts[spec.id] = attempt

    def close(self, *, complete: bool) -> None:
        """Update the table with records of other sweeps; `complete`: no run is left to do. Raise StorageError if writing fails."""
        if complete:
            self.again.forget()
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

    def _say_what_is_redone(self, count: int, left: int) -> None:
        since = f", as chosen at {self.again.since}" if self.again.since else ""
        text = f"--rerun {','.join(self.again.rerun.words)}{since}:"
        if count:
            self.display.note(f"{text} finished runs done again: {count} of {count + left}. Earlier records are kept.")
        elif since:
            self.display.note(f"{text} everything is done. The same command again begins anew.")
        elif self.again.rerun.words and left:
            self.display.note(f"{text} finished runs done again: none of {left}.")

    def _say_what_has_changed(self, finished: list[RunRecord]) -> None:
        """Warn of runs that count as finished though their method's code is another one now."""
        old = [record for record in finished if self.code.changed_since(record)]
        if old:
            names = ", ".join(dict.fromkeys(record.spec.method for record in old))
            text = f"finished runs whose code has changed since: {len(old)} ({names}). They are left alone"
            self.display.warning(f"{text}; `--rerun changed` does them again.")

    def _warn(self, problems: list[Problem]) -> None:
        for problem in problems:
            self.display.warning(str(problem))


def run_states(registry: Registry, plan: Plan, rerun: Rerun = NOTHING) -> list[tuple[RunSpec, str]]:
    """Return every run of a plan, whose data are not loaded, with its state: 'done ...' or 'to do ...'."""
    by_plan = {without_digest(record.spec).id: record for record in Results(plan.output).records}
    code = Code(registry)
    again = Again(plan.output, rerun, code)
    return [(spec, _state(by_plan.get(spec.id), code, again)) for spec in plan.runs]


def _state(record: RunRecord | None, code: Code, again: Again) -> str:
    if record is None:
        return "to do"
    if record.status != "ok":
        return f"to do ({record.status} before: {record.reason})"
    since = "code changed since" if code.changed_since(record) else ""
    if again.pending(record.run_id):
        return f"to do again ({since})" if since else "to do again"
    return f"done ({since})" if since else "done"
