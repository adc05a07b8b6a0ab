"""Write the results of a sweep: append-only records, one file per attempt; volumes and cases beside them.

    <folder>/runs/<run id>/attempt-0001.json, volume.nii.gz
    <folder>/cases/<digest>/case.json, truth.nii.gz, training.npy, heldout.npy
    <folder>/tables/runs.csv

`Store` writes, `Results` reads. Tables, figures and comparisons are pure functions of a `Results`.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError
from benchmark.records import nifti
from benchmark.records.record import SCHEMA_VERSION, RunRecord
from benchmark.records.results import Results, StoredCase, attempt_number
from benchmark.scan.case import Case
from benchmark.storage import atomic, litter, mapped
from benchmark.storage.checked_json import with_digest
from benchmark.storage.visible import csv_text
from benchmark.storage.writable import prove_folder

__all__ = ["Results", "Store", "StoredCase"]


class Store:
    """The writing side of a results folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def prepare(self) -> None:
        """Create the folder and prove that files can be written there. Raise InputError before hours are spent."""
        prove_folder(self.folder, f"output folder {self.folder}", "Choose another --output.", "runs", "cases", "tables")

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

    def write_case(self, case: Case, dataset: str, dataset_params: dict[str, Any]) -> None:
        """Store all data that scoring needs, once per digest."""
        final = self.folder / "cases" / case.digest
        if (final / "case.json").exists():
            return
        temporary = litter.temporary(final)
        try:
            temporary.mkdir(parents=True)
            self._write_case_files(temporary, case, dataset, dataset_params)
            atomic.flush_folder(temporary)
            os.rename(temporary, final)
            atomic.flush(final.parent)
        except OSError as error:
            if not (final / "case.json").exists():  # else another sweep was faster
                raise atomic.StorageError(final, error) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    @staticmethod
    def _write_case_files(folder: Path, case: Case, dataset: str, dataset_params: dict[str, Any]) -> None:
        geometry, heldout = case.scan.geometry, case.heldout
        if case.truth is not None:
            nifti.write_volume(folder / "truth.nii.gz", case.truth, geometry, case.scan.length_unit)
        for name, scan in (("training", case.scan), ("heldout", heldout)):
            if scan is not None:
                mapped.save(folder / f"{name}.npy", scan.projections)
                for beside, array in scan.beside.items():
                    mapped.save(folder / f"{name}_{beside}.npy", array)
        facts = {
            "schema_version": SCHEMA_VERSION,
            "digest": case.digest,
            "name": case.name,
            "part": case.part,
            "dataset": dataset,
            "dataset_params": dataset_params,
            "truth_note": case.truth_note,
            "notes": case.notes,
            "length_unit": case.scan.length_unit,
            "view_labels": case.scan.view_labels,
            "heldout_view_labels": heldout.view_labels if heldout is not None else {},
            "photons": case.scan.photons,
            "noise": case.scan.noise,
            "heldout_photons": heldout.photons if heldout is not None else None,
            "heldout_noise": heldout.noise if heldout is not None else None,
            "composite": case.scan.composite,
            "beside": list(case.scan.beside),
            "heldout_beside": list(heldout.beside) if heldout is not None else [],
            "facts": case.facts,
            "training_views": case.training_views,
            "heldout_views": case.heldout_views,
            "geometry": geometry.to_dict(),
            "heldout_geometry": heldout.geometry.to_dict() if heldout is not None else None,
        }
        (folder / "case.json").write_text(with_digest(facts), encoding="utf-8")

    def write_record(
        self, record: RunRecord, volume: np.ndarray | None = None, case: Case | None = None, attempt: int | None = None
    ) -> Path:
        """Append one attempt (and its volume first, so that an 'ok' record always has one). Raise StorageError.

        `attempt` is the claimed number, by default the next one. If that number is taken nevertheless, the next free one is used.
        """
        folder = self.folder / "runs" / record.run_id
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise atomic.StorageError(folder, error) from error
        if volume is not None and case is not None:
            with atomic.replacing(folder / "volume.nii.gz") as temporary:
                nifti.write_volume(temporary, volume, case.scan.geometry, case.scan.length_unit)
        return append_attempt(folder, with_digest(record.model_dump()).encode(), attempt)

    def remove_progress(self, run_id: str) -> None:
        """Remove checkpoints, pictures and snapshots of a run, so that its next attempt begins at the beginning."""
        folder = self.folder / "runs" / run_id
        (folder / "checkpoint.pt").unlink(missing_ok=True)
        for name in ("snapshots", "kept", "gt_projections"):
            shutil.rmtree(folder / name, ignore_errors=True)

    def write_table(self, records: list[RunRecord]) -> Path:
        """Bring tables/runs.csv up to date. Raise StorageError."""
        from benchmark.records.frame import frame

        path = self.folder / "tables" / "runs.csv"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise atomic.StorageError(path, error) from error
        atomic.replace_text(path, csv_text(frame(records)))
        return path


def append_attempt(folder: Path, data: bytes, number: int | None = None) -> Path:
    """Write a record under its claimed number, by default the next one; if that is taken, under the next free one. Raise StorageError."""
    number = number or 1 + max((attempt_number(path.name) for path in folder.glob("attempt-*.json")), default=0)
    while True:
        path = folder / f"attempt-{number:04d}.json"
        try:
            atomic.create(path, data)
            return path
        except FileExistsError:
            number += 1


def _bytes(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
