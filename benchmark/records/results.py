"""Read a results folder: the latest record of every run, its volume, its case."""

from __future__ import annotations

import contextlib
import functools
import json
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from pydantic import ValidationError

from benchmark.errors import InputError
from benchmark.records import nifti
from benchmark.records.record import SCHEMA_VERSION, RunRecord, RunSpec
from benchmark.scan.case import Case
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan.reconstruction import ARRAYS
from benchmark.scan.scan import Composite, Scan
from benchmark.storage import mapped

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")


class StoredCase:
    """A case as stored in the folder: facts at once, arrays on demand. Each access raises InputError for an unreadable file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with self._reading("case.json"):
            facts = json.loads((folder / "case.json").read_text(encoding="utf-8"))
        self.digest: str = facts["digest"]
        self.name: str = facts["name"]
        self.dataset: str = facts["dataset"]
        self.dataset_params: dict[str, Any] = facts["dataset_params"]
        self.geometry = ConeBeamGeometry.from_dict(facts["geometry"])
        held = facts["heldout_geometry"]
        self.heldout_geometry = ConeBeamGeometry.from_dict(held) if held else None
        self.training_views: tuple[int, ...] = tuple(facts["training_views"])
        self.heldout_views: tuple[int, ...] = tuple(facts["heldout_views"])
        self.truth_note: str = facts["truth_note"]
        self.notes: tuple[str, ...] = tuple(facts.get("notes", ()))  # absent in older folders
        self.length_unit: str = facts["length_unit"]
        self.photons: float | None = facts["photons"]
        self.composite: Composite = facts.get("composite", "sum")  # absent in older folders, like the next three
        earlier = ["colours"] if self.composite == "over" else []  # photographs had colours before `beside` existed
        self.beside = {"training": facts.get("beside", earlier), "heldout": facts.get("heldout_beside", earlier)}
        self.noise: float | None = facts.get("noise")
        self.heldout_photons: float | None = facts.get("heldout_photons", self.photons)  # absent in older folders, like the next two
        self.heldout_noise: float | None = facts.get("heldout_noise")
        self.part: str = facts.get("part", "")
        self.view_labels: dict[str, Any] = facts.get("view_labels", {})
        self.heldout_view_labels: dict[str, Any] = facts.get("heldout_view_labels", {})
        self.facts: dict[str, Any] = facts.get("facts", {})  # since schema version 2

    @functools.cached_property
    def truth(self) -> np.ndarray | None:
        """float32 [z, y, x] [1/mm]; None if unknown."""
        path = self.folder / "truth.nii.gz"
        with self._reading(path.name):
            return nifti.read_volume(path) if path.exists() else None

    @functools.cached_property
    def training(self) -> np.ndarray:
        """Training views, float32 [view, v, u]."""
        return self._views("training")

    @functools.cached_property
    def heldout(self) -> np.ndarray | None:
        """Held-out views, float32 [view, v, u]."""
        return self._views("heldout") if self.heldout_geometry else None

    def _beside(self, which: str) -> dict[str, Any]:
        """Return the arrays beside the 'training' or 'heldout' views: see Scan.beside."""
        return {name: self._views(f"{which}_{name}") for name in self.beside[which]}

    def _views(self, name: str) -> np.ndarray:
        """Return projections, colours or masks."""
        path, earlier = self.folder / f"{name}.npy", self.folder / f"{name}.npz"  # .npz: of versions without memory mapping
        with self._reading(path.name):
            if path.exists() or not earlier.exists():
                return mapped.load(path)
            return _archive(earlier)["projections"]

    def _reading(self, name: str) -> contextlib.AbstractContextManager[None]:
        return _reading(self.folder / name, f"Remove {self.folder}: the next run on this case writes it again.")

    def load(self) -> Case:
        """Return the case as the dataset made it."""
        common: dict[str, Any] = dict(length_unit=self.length_unit, composite=self.composite)
        known: dict[str, Any] = dict(view_labels=self.view_labels, photons=self.photons, noise=self.noise)
        scan = Scan(self.training, self.geometry, **known, **self._beside("training"), **common)
        heldout = None
        if self.heldout is not None and self.heldout_geometry is not None:
            known = dict(view_labels=self.heldout_view_labels, photons=self.heldout_photons, noise=self.heldout_noise)
            heldout = Scan(self.heldout, self.heldout_geometry, **known, **self._beside("heldout"), **common)
        views = self.training_views, self.heldout_views
        return Case(self.name, scan, self.truth, heldout, self.truth_note, *views, self.facts, self.part, self.notes)


class Results:
    """A results folder: the latest record of every run, with its volume, truth and arrays. Reporters receive it.

    `folder` is the path, `records` the list of RunRecord, `problems` the files that could not be read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.problems: list[str] = []  # files that could not be read, so far
        latest: dict[str, RunRecord] = {}
        for path in sorted(self.folder.glob("runs/*/attempt-*.json")):  # sorted: later attempts replace earlier ones
            record = read_record(path, self.problems)
            if record is not None:
                latest[record.run_id] = record
        self.records = arranged(latest.values())

    @classmethod
    def open(cls, folder: str | Path) -> Results:
        """Open a results folder. Raise InputError if the path is not one."""
        folder = Path(folder)
        if not (folder / "runs").is_dir():
            raise InputError(str(folder), expected="a results folder (with runs/ inside)", found="none", fix="Give the --output of a run.")
        return cls(folder)

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
            return nifti.read_volume(path) if record.status == "ok" and path.exists() else None

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
            return _archive(path)

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


def read_record(path: Path, problems: list[str]) -> RunRecord | None:
    """Read the record of one attempt; return None and add to `problems` if unreadable. Records of older schemas stay as they are."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError(f"expected an object, found a {type(values).__name__}")
        if values.get("schema_version", 0) > SCHEMA_VERSION:
            raise ValueError(f"schema version {values['schema_version']} is newer than this program's {SCHEMA_VERSION}")
        return RunRecord.model_validate(values)
    except (OSError, ValueError) as error:  # ValidationError and JSONDecodeError are ValueErrors
        text = f"{error.error_count()} wrong fields" if isinstance(error, ValidationError) else str(error)
        problems.append(f"{path}: unreadable record ({text})")
        return None


def latest_record(folder: Path, run_id: str) -> tuple[int, RunRecord | None]:
    """Return number and record of the latest attempt at a run, as they are on disk now."""
    for path in sorted(folder.glob(f"runs/{run_id}/attempt-*.json"), reverse=True):
        record = read_record(path, [])
        if record is not None:
            return int(path.stem[-4:]), record
    return 0, None


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


def _archive(path: Path) -> dict[str, np.ndarray]:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:  # NumPy does not close a damaged file
        return dict(arrays)


@contextlib.contextmanager
def _reading(path: Path, fix: str) -> Iterator[None]:
    """Raise InputError, naming the file, if it is missing, truncated or of another format."""
    try:
        yield
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error).removeprefix(f"{path}: ")
        raise InputError(str(path), expected="a complete file", found=f"one that cannot be read ({reason})", fix=fix) from error
