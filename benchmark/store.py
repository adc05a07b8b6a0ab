"""What a sweep leaves behind: append-only records, one file per attempt; volumes and cases beside them.

    <folder>/runs/<run id>/attempt-0001.json, volume.nii.gz
    <folder>/cases/<digest>/case.json, truth.nii.gz, training.npz, heldout.npz
    <folder>/tables/runs.csv

`Store` writes, `Results` reads. Tables, figures and comparisons are pure functions of a `Results`.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from benchmark import atomic, nifti
from benchmark.ct.geometry import ConeBeamGeometry
from benchmark.errors import InputError
from benchmark.plain import dumps
from benchmark.types import SCHEMA_VERSION, Case, RunRecord, RunSpec, Scan

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

    @functools.cached_property
    def truth(self) -> np.ndarray | None:
        """float32 [z, y, x] [1/mm], or None where nobody knows it."""
        path = self.folder / "truth.nii.gz"
        return nifti.read_volume(path) if path.exists() else None

    @functools.cached_property
    def training(self) -> np.ndarray:
        """The measured line integrals the methods saw, float32 [view, v, u]."""
        return _load_array(self.folder / "training.npz")

    @functools.cached_property
    def heldout(self) -> np.ndarray | None:
        """The held-out line integrals, float32 [view, v, u]."""
        return _load_array(self.folder / "heldout.npz") if self.heldout_geometry else None

    def load(self) -> Case:
        """The case as the dataset made it."""
        scan = Scan(self.training, self.geometry, photons=self.photons, length_unit=self.length_unit)
        heldout = None
        if self.heldout is not None and self.heldout_geometry is not None:
            heldout = Scan(self.heldout, self.heldout_geometry, photons=self.photons, length_unit=self.length_unit)
        return Case(self.name, scan, self.truth, heldout, self.truth_note, self.training_views, self.heldout_views)


class Results:
    """The latest record of every run of a folder, and the volumes and cases that belong to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.problems: list[str] = []  # files that could not be read
        latest: dict[str, RunRecord] = {}
        for path in sorted(self.folder.glob("runs/*/attempt-*.json")):  # sorted: later attempts replace earlier ones
            record = self._read(path)
            if record is not None:
                latest[record.run_id] = record
        self.records = sorted(_without_superseded(latest.values()), key=_order)

    @classmethod
    def open(cls, folder: str | Path) -> Results:
        """Read a results folder. Raises InputError if it is none."""
        folder = Path(folder)
        if not (folder / "runs").is_dir():
            raise InputError(str(folder), expected="a results folder (with runs/ inside)", found="none", fix="Give the --output of a run.")
        return cls(folder)

    def _read(self, path: Path) -> RunRecord | None:
        try:
            values = json.loads(path.read_text())
            if values.get("schema_version", 0) > SCHEMA_VERSION:
                raise ValueError(f"schema version {values['schema_version']} is newer than this program's {SCHEMA_VERSION}")
            return RunRecord.model_validate(values)
        except (OSError, ValueError) as error:  # ValidationError and JSONDecodeError are ValueErrors
            text = f"{error.error_count()} wrong fields" if isinstance(error, ValidationError) else str(error)
            self.problems.append(f"{path}: unreadable record ({text})")
            return None

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

    def case(self, record: RunRecord) -> StoredCase | None:
        """The problem that a run solved; None if it was never loaded."""
        return self._case(record.spec.data_digest)

    @functools.lru_cache(maxsize=8)  # noqa: B019 (a Results lives as long as the program's one report)
    def _case(self, digest: str) -> StoredCase | None:
        folder = self.folder / "cases" / digest
        return StoredCase(folder) if digest and (folder / "case.json").exists() else None

    def cases(self) -> list[StoredCase]:
        """Every case that the records refer to, once each, in their order."""
        digests = dict.fromkeys(record.spec.data_digest for record in self.records)
        return [case for digest in digests if (case := self._case(digest)) is not None]

    def truth(self, record: RunRecord) -> np.ndarray | None:
        """The truth [z, y, x] of a run's case."""
        case = self.case(record)
        return None if case is None else case.truth

    def frame(self) -> pd.DataFrame:
        """One row a run: the content of tables/runs.csv."""
        from benchmark.frame import frame

        return frame(self.records)


class Store:
    """The writing side of a results folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def prepare(self) -> None:
        """Create the folder and prove that files can be written there. Raises InputError before hours are spent."""
        probe = self.folder / f".probe-{uuid.uuid4().hex[:8]}"
        try:
            for name in ("runs", "cases", "tables"):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            atomic.create(probe, b"x")
            probe.unlink()
        except (OSError, atomic.StorageError) as error:
            cause = error.__cause__ if isinstance(error, atomic.StorageError) else error
            reason = getattr(cause, "strerror", None) or str(error)
            raise InputError(
                f"output folder {self.folder}", expected="a folder that can be written", found=reason, fix="Choose another --output."
            ) from error

    def check_space(self, needed: int) -> None:
        """Raise InputError unless `needed` bytes (an upper estimate) are free."""
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise InputError(
                f"output folder {self.folder}",
                expected=f"about {_bytes(needed)} of free space for this sweep",
                found=f"{_bytes(free)}",
                fix="Free some space or choose another --output.",
            )

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One sweep at a time per folder. Raises InputError if another one is at work."""
        import filelock

        lock = filelock.FileLock(str(self.folder / ".lock"))
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise InputError(
                f"output folder {self.folder}",
                expected="one sweep at a time",
                found="another one that is writing here",
                fix="Wait for it to end or choose another --output.",
            ) from None
        try:
            yield
        finally:
            lock.release()

    def write_case(self, case: Case, dataset: str, dataset_params: dict[str, Any]) -> None:
        """Keep everything that scoring needs, once per digest."""
        final = self.folder / "cases" / case.digest
        if (final / "case.json").exists():
            return
        temporary = final.with_name(f".{uuid.uuid4().hex[:8]}-{case.digest}")
        try:
            temporary.mkdir(parents=True)
            self._write_case_files(temporary, case, dataset, dataset_params)
            with contextlib.suppress(FileExistsError):
                os.rename(temporary, final)
        except OSError as error:
            raise atomic.StorageError(final, error) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    @staticmethod
    def _write_case_files(folder: Path, case: Case, dataset: str, dataset_params: dict[str, Any]) -> None:
        geometry, heldout = case.scan.geometry, case.heldout
        if case.truth is not None:
            nifti.write_volume(folder / "truth.nii.gz", case.truth, geometry, case.scan.length_unit)
        np.savez(folder / "training.npz", projections=case.scan.projections)
        if heldout is not None:
            np.savez(folder / "heldout.npz", projections=heldout.projections)
        facts = {
            "schema_version": SCHEMA_VERSION,
            "digest": case.digest,
            "name": case.name,
            "dataset": dataset,
            "dataset_params": dataset_params,
            "truth_note": case.truth_note,
            "length_unit": case.scan.length_unit,
            "photons": case.scan.photons,
            "training_views": case.training_views,
            "heldout_views": case.heldout_views,
            "geometry": geometry.to_dict(),
            "heldout_geometry": heldout.geometry.to_dict() if heldout is not None else None,
        }
        (folder / "case.json").write_text(dumps(facts, indent=1))

    def write_record(self, record: RunRecord, volume: np.ndarray | None = None, case: Case | None = None) -> Path:
        """Append one attempt (and its volume first, so that an 'ok' record always has one). Raises StorageError."""
        folder = self.folder / "runs" / record.run_id
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise atomic.StorageError(folder, error) from error
        if volume is not None and case is not None:
            with atomic.replacing(folder / "volume.nii.gz") as temporary:
                nifti.write_volume(temporary, volume, case.scan.geometry, case.scan.length_unit)
        data = (dumps(record.model_dump(), indent=1) + "\n").encode()
        number = 1 + max((int(path.stem[-4:]) for path in folder.glob("attempt-????.json")), default=0)
        while True:
            path = folder / f"attempt-{number:04d}.json"
            try:
                atomic.create(path, data)
                return path
            except FileExistsError:
                number += 1

    def write_table(self, records: list[RunRecord]) -> Path:
        """Bring tables/runs.csv up to date. Raises StorageError."""
        from benchmark.frame import frame

        path = self.folder / "tables" / "runs.csv"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise atomic.StorageError(path, error) from error
        atomic.replace(path, frame(records).to_csv(index=False).encode())
        return path


def without_digest(spec: RunSpec) -> RunSpec:
    """The same run before its data were loaded."""
    return spec.model_copy(update={"data_digest": ""})


def _without_superseded(records: Any) -> list[RunRecord]:
    """Drop failures to load the data once the same run has been recorded with data."""
    records = list(records)
    loaded = {without_digest(record.spec).id for record in records if record.spec.data_digest}
    return [record for record in records if record.spec.data_digest or record.run_id not in loaded]


def _order(record: RunRecord) -> tuple:
    spec = record.spec
    return (spec.dataset, spec.dataset_params.get("size", 0), record.views, spec.method, spec.preset, spec.seed, record.run_id)


def _load_array(path: Path) -> np.ndarray:
    with np.load(path, allow_pickle=False) as file:
        return file["projections"]


def _bytes(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
