"""Reads what a sweep left behind: the latest record of every run, its volume, its case."""

from __future__ import annotations

import functools
import json
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from benchmark import mapped, nifti
from benchmark.ct.geometry import ConeBeamGeometry
from benchmark.errors import InputError
from benchmark.types import ARRAYS, SCHEMA_VERSION, Case, Composite, RunRecord, RunSpec, Scan

if TYPE_CHECKING:
    import pandas as pd


class StoredCase:
    """A case as it lies in the folder: facts at once, arrays when asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        facts = json.loads((folder / "case.json").read_text())
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
        self.length_unit: str = facts["length_unit"]
        self.photons: float | None = facts["photons"]
        self.composite: Composite = facts.get("composite", "sum")  # absent in older folders, as the next three
        earlier = ["colours"] if self.composite == "over" else []  # of photographs, before anything else could lie beside views
        self.beside = {"training": facts.get("beside", earlier), "heldout": facts.get("heldout_beside", earlier)}
        self.noise: float | None = facts.get("noise")
        self.view_labels: dict[str, Any] = facts.get("view_labels", {})
        self.heldout_view_labels: dict[str, Any] = facts.get("heldout_view_labels", {})
        self.facts: dict[str, Any] = facts.get("facts", {})  # since schema version 2

    @functools.cached_property
    def truth(self) -> np.ndarray | None:
        """float32 [z, y, x] [1/mm], or None where nobody knows it."""
        path = self.folder / "truth.nii.gz"
        return nifti.read_volume(path) if path.exists() else None

    @functools.cached_property
    def training(self) -> np.ndarray:
        """The measured views the methods saw, float32 [view, v, u]."""
        return _load_views(self.folder / "training.npy")

    @functools.cached_property
    def heldout(self) -> np.ndarray | None:
        """The held-out views, float32 [view, v, u]."""
        return _load_views(self.folder / "heldout.npy") if self.heldout_geometry else None

    def _beside(self, which: str) -> dict[str, Any]:
        """What lies beside the 'training' or 'heldout' views: see Scan.beside."""
        return {name: _load_views(self.folder / f"{which}_{name}.npy") for name in self.beside[which]}

    def load(self) -> Case:
        """The case as the dataset made it."""
        common: dict[str, Any] = dict(photons=self.photons, length_unit=self.length_unit, composite=self.composite)
        scan = Scan(self.training, self.geometry, view_labels=self.view_labels, noise=self.noise, **self._beside("training"), **common)
        heldout = None
        if self.heldout is not None and self.heldout_geometry is not None:
            labels = self.heldout_view_labels
            heldout = Scan(self.heldout, self.heldout_geometry, view_labels=labels, **self._beside("heldout"), **common)
        return Case(self.name, scan, self.truth, heldout, self.truth_note, self.training_views, self.heldout_views, self.facts)


class Results:
    """The latest record of every run of a folder, and the volumes and cases that belong to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.problems: list[str] = []  # files that could not be read
        latest: dict[str, RunRecord] = {}
        for path in sorted(self.folder.glob("runs/*/attempt-*.json")):  # sorted: later attempts replace earlier ones
            record = read_record(path, self.problems)
            if record is not None:
                latest[record.run_id] = record
        self.records = arranged(latest.values())

    @classmethod
    def open(cls, folder: str | Path) -> Results:
        """Read a results folder. Raises InputError if it is none."""
        folder = Path(folder)
        if not (folder / "runs").is_dir():
            raise InputError(str(folder), expected="a results folder (with runs/ inside)", found="none", fix="Give the --output of a run.")
        return cls(folder)

    def record(self, run_id: str) -> RunRecord | None:
        """The latest record of a run."""
        return next((record for record in self.records if record.run_id == run_id), None)

    def folder_of(self, record: RunRecord) -> Path:
        """Where the attempts and the volume of a run lie."""
        return self.folder / "runs" / record.run_id

    def volume(self, record: RunRecord) -> np.ndarray | None:
        """The reconstruction, float32 [z, y, x] [1/mm]; None for runs without one."""
        path = self.folder_of(record) / "volume.nii.gz"
        return nifti.read_volume(path) if record.status == "ok" and path.exists() else None

    def arrays(self, record: RunRecord) -> dict[str, np.ndarray]:
        """What the method kept beside the volume (see Reconstruction), by name."""
        path = self.folder_of(record) / ARRAYS
        if record.status != "ok" or not path.exists():
            return {}
        with np.load(path, allow_pickle=False) as file:
            return dict(file)

    def case(self, record: RunRecord) -> StoredCase | None:
        """The problem that a run solved; None if it was never loaded."""
        return self.case_of(record.spec.data_digest)

    @functools.lru_cache(maxsize=8)  # noqa: B019 (a Results lives as long as the program's one report)
    def case_of(self, digest: str) -> StoredCase | None:
        """The stored case of a data digest."""
        folder = self.folder / "cases" / digest
        return StoredCase(folder) if digest and (folder / "case.json").exists() else None

    def cases(self) -> list[StoredCase]:
        """Every case that the records refer to, once each, in their order."""
        digests = dict.fromkeys(record.spec.data_digest for record in self.records)
        return [case for digest in digests if (case := self.case_of(digest)) is not None]

    def truth(self, record: RunRecord) -> np.ndarray | None:
        """The truth [z, y, x] of a run's case."""
        case = self.case(record)
        return None if case is None else case.truth

    def frame(self) -> pd.DataFrame:
        """One row a run: the content of tables/runs.csv."""
        from benchmark.frame import frame

        return frame(self.records)


def read_record(path: Path, problems: list[str]) -> RunRecord | None:
    """The record of one attempt; None, and one more problem, if it cannot be read. Records of older schemas are read as they are."""
    try:
        values = json.loads(path.read_text())
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
    """The number of the latest attempt at a run in a results folder, and its record: as it is on the disk now."""
    for path in sorted(folder.glob(f"runs/{run_id}/attempt-*.json"), reverse=True):
        record = read_record(path, [])
        if record is not None:
            return int(path.stem[-4:]), record
    return 0, None


def without_digest(spec: RunSpec) -> RunSpec:
    """The same run before its data were loaded."""
    return spec.model_copy(update={"data_digest": ""})


def arranged(records: Iterable[RunRecord]) -> list[RunRecord]:
    """In the order of tables; without failures to load the data of runs that have since been recorded with data."""
    records = list(records)
    loaded = {without_digest(record.spec).id for record in records if record.spec.data_digest}
    return sorted((record for record in records if record.spec.data_digest or record.run_id not in loaded), key=_order)


def _order(record: RunRecord) -> tuple:
    spec = record.spec
    return (spec.dataset, spec.dataset_params.get("size", 0), record.views, spec.method, spec.preset, spec.seed, record.run_id)


def _load_views(path: Path) -> np.ndarray:
    """The projections, colours or masks of a file of ours. Raises OSError for one that is missing, cut off or foreign."""
    earlier = path.with_suffix(".npz")  # of versions that did not map them
    try:
        if path.exists() or not earlier.exists():
            return mapped.load(path)
        with np.load(earlier, allow_pickle=False) as file:
            return file["projections"]
    except (EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise OSError(f"{path}: not a complete file of projections ({error})") from error
