"""Read a results folder: the latest record of every run, its volume, its case."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from pydantic import ValidationError

from benchmark.errors import InputError, wrong_fields
from benchmark.files.limits import memory_limit
from benchmark.records import nifti
from benchmark.records.case_file import CaseFile
from benchmark.records.record import SCHEMA_VERSION, RunRecord, RunSpec
from benchmark.records.suite import Suite, read_suite
from benchmark.scan.case import Case
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan.reconstruction import ARRAYS, volume_digest
from benchmark.scan.scan import Scan
from benchmark.storage import mapped
from benchmark.storage.archive import read_archive
from benchmark.storage.checked_json import UNREADABLE, read_checked

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
MOST_DIGITS = 9  # of an attempt's number


class StoredCase:
    """A case as stored in the folder: facts at once, arrays on demand.

    Arrays are compared with the case's digest when the first of them is read. Each access raises InputError for a file that cannot be
    read or is not what was written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with self._reading("case.json"):
            facts = CaseFile.model_validate(read_checked(folder / "case.json"))
            self.geometry = ConeBeamGeometry.from_dict(facts.geometry)
            self.heldout_geometry = ConeBeamGeometry.from_dict(facts.heldout_geometry) if facts.heldout_geometry else None
        self.digest = facts.digest
        self.name, self.part, self.dataset, self.dataset_params = facts.name, facts.part, facts.dataset, facts.dataset_params
        self.training_views, self.heldout_views = facts.training_views, facts.heldout_views
        self.truth_note, self.notes, self.facts = facts.truth_note, facts.notes, facts.facts
        self.length_unit, self.composite = facts.length_unit, facts.composite
        self.photons, self.noise, self.view_labels = facts.photons, facts.noise, facts.view_labels
        self._stored = facts

    @property
    def truth(self) -> np.ndarray | None:
        """float32 [z, y, x] [1/mm]; None if unknown."""
        return self.load().truth

    @property
    def training(self) -> np.ndarray:
        """Training views, float32 [view, v, u]."""
        return self.load().scan.projections

    @property
    def heldout(self) -> np.ndarray | None:
        """Held-out views, float32 [view, v, u]."""
        heldout = self.load().heldout
        return None if heldout is None else heldout.projections

    def load(self) -> Case:
        """Return the case as the dataset made it; it is read once."""
        return self._case

    @functools.cached_property
    def _case(self) -> Case:
        facts = self._stored
        with self._reading("case.json"):
            case = Case(
                self.name,
                self._scan("training", self.geometry, facts.photons, facts.noise, facts.view_labels),
                self._truth(),
                None
                if self.heldout_geometry is None
                else self._scan("heldout", self.heldout_geometry, facts.its_photons, facts.heldout_noise, facts.heldout_view_labels),
                facts.truth_note,
                facts.training_views,
                facts.heldout_views,
                facts.facts,
                facts.part,
                facts.notes,
            )
        found = case.digest
        if self.digest != self.folder.name or (found != self.digest and _without_photons(case).digest != self.digest):
            raise InputError(str(self.folder), expected=f"data with the digest {self.folder.name}", found=found, fix=self._fix)
        return case

    def _scan(self, which: str, geometry: ConeBeamGeometry, photons: float | None, noise: float | None, labels: dict[str, Any]) -> Scan:
        beside = {name: self._views(f"{which}_{name}") for name in self._stored.arrays_beside(which)}
        common: dict[str, Any] = dict(length_unit=self.length_unit, composite=self.composite, **beside)
        return Scan(self._views(which), geometry, photons=photons, noise=noise, view_labels=labels, **common)

    def _truth(self) -> np.ndarray | None:
        path = self.folder / "truth.nii.gz"
        with self._reading(path.name):
            return nifti.read_volume(path) if path.exists() else None

    def _views(self, name: str) -> np.ndarray:
        """Return projections, colours or masks."""
        path, earlier = self.folder / f"{name}.npy", self.folder / f"{name}.npz"  # .npz: of versions without memory mapping
        with self._reading(path.name):
            if path.exists() or not earlier.exists():
                return mapped.load(path)
            return read_archive(earlier)["projections"]

    def _reading(self, name: str) -> contextlib.AbstractContextManager[None]:
        return _reading(self.folder / name, self._fix)

    @property
    def _fix(self) -> str:
        return f"Remove {self.folder}: the next run on this case writes it again."


def _without_photons(case: Case) -> Case:
    """Return the case without photons, which earlier versions left out of the digest."""
    heldout = case.heldout and dataclasses.replace(case.heldout, photons=None)
    return dataclasses.replace(case, scan=dataclasses.replace(case.scan, photons=None), heldout=heldout)


class Results:
    """A results folder: the latest record of every run, with its volume, truth and arrays. Reporters receive it.

    `folder` is the path, `records` the list of RunRecord, `suite` the declaration of the plan (tuning cases, baseline), `problems` the
    files that could not be read, `columns` the names of the columns that tables for papers are to show; () leaves the choice to the
    reporter.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.problems: list[str] = []  # files that could not be read, so far
        self.columns: tuple[str, ...] = ()
        latest: dict[str, RunRecord] = {}
        for path in sorted(self.folder.glob("runs/*/attempt-*.json")):  # sorted: later attempts replace earlier ones
            record = read_record(path, self.problems)
            if record is not None:
                latest[record.run_id] = record
        self.records = arranged(latest.values())
        self.suite = self.tried(read_suite, self.folder) or Suite()

    @classmethod
    def open(cls, folder: str | Path) -> Results:
        """Open a results folder. Raise InputError if the path is not one."""
        check_results(Path(folder))
        return cls(Path(folder))

    def record(self, run_id: str) -> RunRecord | None:
        """Return the latest record of a run, None if there is none."""
        return next((record for record in self.records if record.run_id == run_id), None)

    def folder_of(self, record: RunRecord) -> Path:
        """Return the folder of a run's attempts and volume."""
        return self.folder / "runs" / record.run_id

    def volume(self, record: RunRecord) -> np.ndarray | None:
        """Return the reconstruction, float32 [z, y, x] [1/mm]; None for runs without a volume. Raise InputError for a damaged file."""
        path = self.volume_path(record)
        with _reading(path, self.remedy(record)):
            volume = nifti.read_volume(path) if record.status == "ok" and path.exists() else None
        if volume is not None and record.volume_digest and (digest := volume_digest(volume)) != record.volume_digest:
            expected = f"the recorded volume, digest {record.volume_digest}"
            raise InputError(str(path), expected=expected, found=f"the digest {digest}", fix=self.remedy(record))
        return volume

    def volume_path(self, record: RunRecord) -> Path:
        """Return the path of a finished run's volume."""
        return self.folder_of(record) / "volume.nii.gz"

    def remedy(self, record: RunRecord) -> str:
        """Return advice on a finished run whose files are damaged or gone."""
        return f"To have it made again, remove {self.folder_of(record)} and repeat the `run` that wrote it."

    def arrays(self, record: RunRecord) -> dict[str, np.ndarray]:
        """Return the arrays kept beside the volume (see Reconstruction), by name. Raise InputError for a damaged file."""
        path = self.folder_of(record) / ARRAYS
        if record.status != "ok" or not path.exists():
            return {}
        with _reading(path, self.remedy(record)):
            return read_archive(path, memory_limit())

    def case(self, record: RunRecord) -> StoredCase | None:
        """Return the stored case of a run, with `truth`, `training` and `heldout` views and `load()`; None if it was never loaded."""
        return self.case_of(record.spec.data_digest)

    @functools.lru_cache(maxsize=8)  # noqa: B019 (a Results lives as long as the program's one report)
    def case_of(self, digest: str) -> StoredCase | None:
        """Return the stored case of a data digest; None if there is none."""
        folder = self.folder / "cases" / digest
        return StoredCase(folder) if digest and (folder / "case.json").exists() else None

    def cases(self) -> list[StoredCase]:
        """Return every case that the records refer to, once each, in their order."""
        digests = dict.fromkeys(record.spec.data_digest for record in self.records)
        return [case for digest in digests if (case := self.tried(self.case_of, digest)) is not None]

    def tried(self, read: Callable[..., T], *arguments: Any) -> T | None:
        """Return the result of `read`; for a damaged file None, and add to `problems`."""
        try:
            return read(*arguments)
        except InputError as error:
            self.problems += [str(error)] if str(error) not in self.problems else []
            return None

    def shown(self, records: list[RunRecord]) -> tuple[StoredCase | None, list[tuple[RunRecord, np.ndarray]]]:
        """Return the case of runs that share it, and pairs of record and volume; damaged files are left out and added to `problems`."""
        case = self.tried(self._whole_case, records[0]) if records else None
        return case, [(record, volume) for record in records if (volume := self.tried(self.volume, record)) is not None]

    def _whole_case(self, record: RunRecord) -> StoredCase | None:
        case = self.case(record)
        if case is not None:
            _ = case.truth, case.heldout  # read now, so that either all pictures are made or none
        return case

    def truth(self, record: RunRecord) -> np.ndarray | None:
        """Return the truth of a run's case, float32 [z, y, x] [1/mm]; None if there is none."""
        case = self.case(record)
        return None if case is None else case.truth

    def frame(self) -> pd.DataFrame:
        """Return a pandas table with one row a run: the content of tables/runs.csv."""
        from benchmark.records.frame import frame

        return frame(self.records)


def check_results(folder: Path) -> None:
    """Raise InputError if the path is not a results folder."""
    if not (folder / "runs").is_dir():
        raise InputError(str(folder), expected="a results folder (with runs/ inside)", found="none", fix="Give the --output of a run.")


def read_record(path: Path, problems: list[str]) -> RunRecord | None:
    """Read the record of one attempt; return None and add to `problems` if unreadable. Records of older schemas stay as they are."""
    try:
        values = read_checked(path)
        version = values.get("schema_version", 0)
        if type(version) is int and version > SCHEMA_VERSION:
            raise ValueError(f"schema version {version} is newer than this program's {SCHEMA_VERSION}")
        record = RunRecord.model_validate(values)
        if record.run_id != path.parent.name:
            raise ValueError(f"it is the record of {record.run_id!r:.80}")
        return record
    except (OSError, ValueError) as error:  # ValidationError is a ValueError
        reason = wrong_fields(error) if isinstance(error, ValidationError) else getattr(error, "strerror", None) or str(error)
        problems.append(f"{path}: unreadable record ({reason})")
        return None


def latest_record(folder: Path, run_id: str) -> tuple[int, RunRecord | None]:
    """Return number and record of the latest attempt at a run, as they are on disk now."""
    for path in sorted(folder.glob(f"runs/{run_id}/attempt-*.json"), reverse=True):
        record = read_record(path, [])
        if record is not None:
            return attempt_number(path.name), record
    return 0, None


def attempt_number(name: str) -> int:
    """Return 2 of 'attempt-0002.json', 0 of any other file."""
    stem, _, _ = name.partition(".")
    prefix, _, digits = stem.rpartition("-")
    return int(digits) if prefix == "attempt" and digits.isascii() and digits.isdecimal() and len(digits) <= MOST_DIGITS else 0


def without_digest(spec: RunSpec) -> RunSpec:
    """Return the spec of the run before its data were loaded."""
    return spec.model_copy(update={"data_digest": ""})


def arranged(records: Iterable[RunRecord]) -> list[RunRecord]:
    """Sort records in the order of tables; drop load failures of runs that have since been recorded with data."""
    records = list(records)
    loaded = {without_digest(record.spec).id for record in records if record.spec.data_digest}
    return sorted((record for record in records if record.spec.data_digest or record.run_id not in loaded), key=_order)


def _order(record: RunRecord) -> tuple[Any, ...]:
    spec = record.spec
    return (spec.dataset, spec.dataset_params.get("size", 0), record.views, spec.method, spec.preset, spec.seed, record.run_id)


@contextlib.contextmanager
def _reading(path: Path, fix: str) -> Iterator[None]:
    """Raise InputError, naming the file, if it is missing, truncated or of another format."""
    try:
        yield
    except (*UNREADABLE, EOFError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, InputError) and str(error).startswith(str(path.parent)):
            raise  # it names the file already
        reason = wrong_fields(error) if isinstance(error, ValidationError) else getattr(error, "strerror", None) or str(error)
        reason = reason.removeprefix(f"{path}: ")
        raise InputError(str(path), expected="a complete file", found=f"one that cannot be read ({reason})", fix=fix) from error
