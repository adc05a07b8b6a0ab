"""Merge results folders: every attempt, the volumes and arrays, the cases, and the declarations of the suites.

Sources are only read. Each file appears in the output in one step, a volume before its record, so a merge that was killed is completed
by the next one. What does not agree with its digest is named and left out.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path

from benchmark.errors import InputError
from benchmark.records.record import RunRecord
from benchmark.records.results import Results, StoredCase, check_results, read_record
from benchmark.records.store import append_attempt
from benchmark.records.suite import Suite, read_suite, write_suite
from benchmark.runtime.checkpoint import KEPT, REFERENCES
from benchmark.storage import atomic, litter
from benchmark.storage.checked_json import UNREADABLE, read_checked
from benchmark.storage.writable import prove_folder
from benchmark.sweep.claims import Claims

BESIDE = ("arrays.npz", "ssim.nii.gz", "checkpoint.pt")  # files beside a volume, of the same attempt


@dataclasses.dataclass
class Merged:
    """Outcome of a merge. `conflicts` are differences between sources, `problems` are files that were left out."""

    runs: int = 0
    attempts: int = 0  # new in the output
    volumes: int = 0  # likewise
    cases: int = 0  # likewise
    conflicts: list[str] = dataclasses.field(default_factory=list)
    problems: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class _Attempt:
    """One record of a run, in one of the folders."""

    folder: Path
    path: Path
    record: RunRecord
    digest: str  # of the file
    made: str  # when, in a form that sorts: not before the earlier attempts of its folder


def merge(sources: Sequence[Path], output: Path) -> Merged:
    """Merge results folders into `output`, which may hold results already.

    Raise InputError if a source is no results folder, if the output holds other files, is a source or lies in one, or if a sweep writes
    to it now; StorageError if writing fails.
    """
    _check(sources, output)
    prove_folder(output, f"output folder {output}", "Choose another --output.", "runs", "cases", "tables")
    with Claims(output) as claims:
        if not claims.alone():
            fix = "Wait for its end, or choose another --output."
            raise InputError(f"output folder {output}", expected="a folder at rest", found="a sweep that writes to it", fix=fix)
        return _Merge(sources, output).done()


def _check(sources: Sequence[Path], output: Path) -> None:
    if not sources:
        raise InputError("merge", expected="two or more results folders", found="none")
    for source in sources:
        check_results(source)
        place, target = source.resolve(), output.resolve()
        if target == place or place in target.parents or target in place.parents:
            fix = "Choose a new folder; to add to an existing one, name only the others as sources."
            raise InputError("--output", expected="a folder apart from the sources", found=str(output), fix=fix)
    if output.is_dir() and any(output.iterdir()) and not (output / "runs").is_dir():
        raise InputError("--output", expected="a results folder, or a new one", found=f"{output}, which holds other files")


class _Merge:
    """One merge under way."""

    def __init__(self, sources: Sequence[Path], output: Path) -> None:
        self.sources = list({source.resolve(): source for source in sources}.values())
        self.output, self.outcome = output, Merged()
        self._said: set[str] = set()
        self._readers = {folder: Results(folder) for folder in (output, *self.sources)}

    def done(self) -> Merged:
        self._suite()
        litter.clear(self.output)
        for digest in self._names("cases"):
            self._case(digest)
        for run_id in self._names("runs"):
            self._run(run_id)
        self.outcome.runs = len(list((self.output / "runs").glob("*/")))
        return self.outcome

    def _problem(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self.outcome.problems.append(text)

    def _names(self, room: str) -> list[str]:
        """Return the names of the folders in a room of the sources, without hidden ones and links."""
        found: set[str] = set()
        for path in (path for source in self.sources for path in (source / room).glob("*")):
            if path.is_symlink():
                self._problem(f"{path}: a link. It is left out.")
            elif path.is_dir() and not path.name.startswith("."):
                found.add(path.name)
        return sorted(found)

    def _suite(self) -> None:
        merged = read_suite(self.output)
        for source in self.sources:
            try:
                suite = read_suite(source)
            except InputError as error:
                self._problem(str(error))
                continue
            for what in ("name", "baseline"):
                ours, theirs = getattr(merged, what), getattr(suite, what)
                if ours and theirs and ours != theirs:
                    self.outcome.conflicts.append(f"the {what} of the suite: {source} has '{theirs}'; '{ours}' is kept")
            merged = Suite(
                name=merged.name or suite.name,
                tuning=tuple(dict.fromkeys((*merged.tuning, *suite.tuning))),
                baseline=merged.baseline or suite.baseline,
            )
        write_suite(self.output, merged)

    # -- cases ------------------------------------------------------------------------------------------------------

    def _case(self, digest: str) -> None:
        """Add a case from the first source where it is whole."""
        final = self.output / "cases" / digest
        for source in self.sources:
            folder = source / "cases" / digest
            if not (folder / "case.json").exists():
                continue
            problem = _damage(folder)
            if problem:
                self._problem(f"{problem} It is left out.")
            elif (final / "case.json").exists():
                self._compare_facts(folder, final)
            else:
                self._copy_case(folder, final)

    def _copy_case(self, folder: Path, final: Path) -> None:
        with atomic.new_folder(final) as temporary:
            for path in self._plain_files(folder):
                _link_or_copy(path, temporary / path.name)
            atomic.flush_folder(temporary)
            litter.remove(final)  # without its case.json: not a case
        self.outcome.cases += 1

    def _compare_facts(self, folder: Path, final: Path) -> None:
        ours, theirs = (read_checked(path / "case.json") for path in (final, folder))
        other = sorted(name for name in {*ours, *theirs} - {"schema_version"} if ours.get(name) != theirs.get(name))
        if other:
            self.outcome.conflicts.append(f"case {final.name}: {folder} says otherwise of {', '.join(other)}; the first is kept")

    # -- runs -------------------------------------------------------------------------------------------------------

    def _run(self, run_id: str) -> None:
        """Add the attempts at a run in the order of time, the newest last, and the volume of the newest one that is ok."""
        present = self._attempts(self.output, run_id)
        known = {attempt.digest for attempt in present}
        added: list[_Attempt] = []
        for source in self.sources:
            for attempt in self._attempts(source, run_id):
                if attempt.digest not in known:
                    known.add(attempt.digest)
                    added.append(attempt)
        if not present and not added:
            return
        added.sort(key=lambda attempt: attempt.made)  # stable: of one time, in the order of the sources
        everything = sorted([*present, *added], key=lambda attempt: attempt.made)
        self._name_conflict(run_id, everything)
        newest = everything[-1]
        good = next((attempt for attempt in reversed(everything) if attempt.record.status == "ok"), None)
        folder = self.output / "runs" / run_id
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise atomic.StorageError(folder, error) from error
        self._files(good or newest, folder, good is not None)
        if added and newest not in added:
            added.append(newest)  # what was there is the newest: it goes behind what came
        for attempt in added:
            append_attempt(folder, attempt.path.read_bytes())
            self.outcome.attempts += 1

    def _attempts(self, folder: Path, run_id: str) -> list[_Attempt]:
        """Return the readable attempts at a run in a folder, in order."""
        found: list[_Attempt] = []
        for path in sorted((folder / "runs" / run_id).glob("attempt-*.json")):
            if not _is_plain(path):
                self._problem(f"{path}: not a plain file. It is left out.")
                continue
            problems: list[str] = []
            record = read_record(path, problems)
            if record is not None:
                made = max(_time(record), found[-1].made if found else "")  # a clock that was set back changes no order
                found.append(_Attempt(folder, path, record, hashlib.sha256(path.read_bytes()).hexdigest(), made))
            for problem in problems:
                self._problem(f"{problem}. It is left out.")
        return found

    def _name_conflict(self, run_id: str, attempts: list[_Attempt]) -> None:
        """Say that sources have different results of one run."""
        good = [attempt for attempt in attempts if attempt.record.status == "ok" and attempt.record.volume_digest]
        last = {attempt.folder: attempt for attempt in good}  # of each folder
        if len({attempt.record.volume_digest for attempt in last.values()}) > 1:
            values = ", ".join(f"{folder} ({attempt.record.started or 'no date'})" for folder, attempt in last.items())
            newest = good[-1].folder
            self.outcome.conflicts.append(f"run {run_id}: different results in {values}; all are kept, the newest counts ({newest})")

    def _files(self, attempt: _Attempt, folder: Path, finished: bool) -> None:
        """Add the volume that the attempt's record describes, and the files beside it, from the first folder that has it whole."""
        if finished:
            source = self._place_of_volume(attempt)
            if source is None or source == self.output:
                return
            self._add(source / "runs" / folder.name / "volume.nii.gz", folder)
            self.outcome.volumes += 1
        else:
            source = attempt.folder
        for name in BESIDE:
            self._add(source / "runs" / folder.name / name, folder)
        for name in ("snapshots", KEPT, REFERENCES):
            for path in self._plain_files(source / "runs" / folder.name / name):
                (folder / name).mkdir(exist_ok=True)
                self._add(path, folder / name)

    def _place_of_volume(self, attempt: _Attempt) -> Path | None:
        """Return the first folder whose volume is the one of the record; damaged ones are named."""
        for folder in [self.output, *self.sources]:
            path = folder / "runs" / attempt.record.run_id / "volume.nii.gz"
            if not path.exists() or (folder != attempt.folder and not attempt.record.volume_digest):
                continue
            if not _is_plain(path):
                self._problem(f"{path}: not a plain file. It is left out.")
                continue
            try:
                reader = self._readers[folder]
                reader.volume(attempt.record)
                reader.arrays(attempt.record)
                return folder
            except InputError as error:
                if folder == attempt.folder:  # elsewhere it may be that of another attempt
                    self._problem(f"{error} It is left out.")
        return None

    def _add(self, path: Path, folder: Path) -> None:
        """Put a file into a folder, in place of an earlier one; there may be none."""
        if not path.exists() or path.parent == folder:
            return
        if not _is_plain(path):
            self._problem(f"{path}: not a plain file. It is left out.")
            return
        with atomic.replacing(folder / path.name) as temporary:
            _link_or_copy(path, temporary)

    def _plain_files(self, folder: Path) -> list[Path]:
        """Return the files of a folder, without links, folders and files that are still being written."""
        everything = sorted(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else []
        found = [path for path in everything if not path.name.startswith(".")]
        for path in found:
            if not _is_plain(path):
                self._problem(f"{path}: not a plain file. It is left out.")
        return [path for path in found if _is_plain(path)]


def _damage(folder: Path) -> str:
    """Return the defect of a stored case, '' if it is what its digest says."""
    links = [path.name for path in folder.iterdir() if not _is_plain(path)]
    if links:
        return f"{folder}: not plain files: {', '.join(sorted(links))}."
    try:
        StoredCase(folder).load()
    except (InputError, *UNREADABLE) as error:
        return str(error)
    return ""


def _time(record: RunRecord) -> str:
    """Return the time at which a record was made, in a form that sorts; '' if unknown."""
    text = str(record.reevaluated.get("at") or record.started)
    try:
        time = datetime.datetime.fromisoformat(text)
        return time.replace(tzinfo=time.tzinfo or datetime.timezone.utc).astimezone(datetime.timezone.utc).isoformat()
    except (ValueError, OverflowError):  # of a stranger; a year that no calendar has
        return ""


def _is_plain(path: Path) -> bool:
    """Return True for a file that is no link."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _link_or_copy(source: Path, target: Path) -> None:
    """Make a file appear under another name: the same data on one disk, a copy across disks."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copyfile(source, target, follow_symlinks=False)
