"""Turn one RunSpec and its case into one RunRecord. Errors of a method go into the record; none is raised."""

from __future__ import annotations

import datetime
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from benchmark.execution.pictures import Gallery
from benchmark.errors import InputError
from benchmark.execution import child_process
from benchmark.execution.eligibility import screened
from benchmark.execution.job import Job, write_job
from benchmark.execution.options import OnEvent, Options, Stop
from benchmark.execution.validation import Validation
from benchmark.execution.verdict import judge
from benchmark.machine.environment import environment
from benchmark.plugins.identity import identity
from benchmark.plugins.registry import Registry
from benchmark.plugins.specs import MethodSpec
from benchmark.records.record import RunRecord, RunSpec
from benchmark.records.titles import run_title, view_count
from benchmark.runtime.checkpoint import KEPT
from benchmark.scan.case import Case
from benchmark.scan.reconstruction import ARRAYS
from benchmark.scan.scan import Scan
from benchmark.storage import atomic
from benchmark.storage.atomic import StorageError


def perform(
    registry: Registry,
    spec: RunSpec,
    case: Case,
    jobs: Path,
    options: Options,
    on_event: OnEvent,
    stop: Stop = lambda: False,
    arrays: Path | None = None,
) -> tuple[RunRecord, np.ndarray | None]:
    """Run a method on a case, check and score the result. Return the record and, if it is ok, the volume [z, y, x].

    `jobs` is a folder for scratch files; nothing stays in it. The method's arrays beside the volume go to the file `arrays`, by
    default among the run's checkpoints. Raise StorageError if it cannot be written, Stopped soon after
    `stop()` is true.
    """
    method = registry.method(spec.method)
    plugin = identity(method)
    blank = blank_record(spec, method, case, options).model_copy(update={"plugin": plugin})
    record = screened(blank, method, case, options.memory_bytes, options.device)
    if record.reason:
        return record, None
    try:
        job = Job.of(method, spec, case, options, plugin["digest"])
    except InputError as error:
        return record.model_copy(update={"reason": str(error)}), None
    kept = options.kept_folder(spec.id)
    folder, done = _scratch_folder(jobs, spec), False
    try:
        _hand_over(job, case.scan, folder)
        metrics = list(registry.metrics.values())
        validation = Validation(folder, kept and kept / "snapshots", case, metrics, on_event) if options.validate_every else None
        gallery = _gallery(options, folder, kept, case, spec, validation or on_event)
        outcome = child_process.execute(folder, options, gallery or validation or on_event, stop)
        record, volume = judge(record, outcome, folder, case, metrics, validation.points(outcome.result) if validation else ())
        if validation is not None:
            validation.close(outcome.result)
        if gallery is not None:
            gallery.close(outcome.result)
        _keep_arrays(folder / ARRAYS, arrays or (kept and kept / ARRAYS))
        done = record.status == "ok"
        return record, volume
    except FileNotFoundError as error:
        return record.model_copy(update={"reason": f"its scratch files were removed while it ran ({error.filename})"}), None
    finally:
        _tidy(folder, kept, done)


def blank_record(spec: RunSpec, method: MethodSpec, case: Case | None, options: Options) -> RunRecord:
    """Return a record with all facts known before a run; its status is 'failed' until more is known."""
    tags = list(dict.fromkeys([*method.tags, *(["pretrained"] if spec.weights_digest else [])]))
    facts: dict[str, Any] = {"views": view_count(spec), "tags": tags, "deterministic": method.deterministic}
    if case is not None:
        geometry = case.scan.geometry
        facts |= {
            "case": case.name,
            "views": geometry.views,
            "training_views": list(case.training_views),
            "heldout_views": list(case.heldout_views),
            "volume_shape": list(geometry.volume_shape),
        }
    return RunRecord(
        run_id=spec.id,
        spec=spec,
        status="failed",
        started=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        environment={
            **environment(),
            "process": os.getpid(),
            "threads": options.threads,
            "isolation": "none" if options.in_process else "process",
        },
        command=options.command,
        **facts,
    )


def _gallery(options: Options, folder: Path, kept: Path | None, case: Case, spec: RunSpec, on_event: OnEvent) -> Gallery | None:
    """Return the drawer of pictures along the run; None where none are wanted, and for photographs, which are no volume's projections."""
    if options.keep is None or kept is None or case.scan.composite == "over":
        return None
    from benchmark.execution.pictures import Gallery

    return Gallery(folder, kept / KEPT, case, options.keep, run_title(spec), on_event)


def _scratch_folder(jobs: Path, spec: RunSpec) -> Path:
    try:
        jobs.mkdir(parents=True, exist_ok=True)  # another process may have removed it
        return Path(tempfile.mkdtemp(prefix=f"{spec.id}-", dir=jobs))
    except OSError as error:
        raise StorageError(jobs, error) from error


def _hand_over(job: Job, scan: Scan, folder: Path) -> None:
    try:
        write_job(folder, job, scan)
    except OSError as error:
        raise StorageError(folder, error) from error


def _keep_arrays(found: Path, place: Path | None) -> None:
    """Copy the arrays to their place in the run's folder, unless that folder is not on this machine."""
    if found.exists() and place is not None and place.parent.is_dir():
        with atomic.replacing(place) as temporary:
            shutil.copyfile(found, temporary)


def _tidy(folder: Path, kept: Path | None, done: bool) -> None:
    """Remove the leftovers of a run, except the snapshots of a run that may go on from its checkpoint."""
    shutil.rmtree(folder, ignore_errors=True)
    if kept is not None and (done or not (kept / "checkpoint.pt").exists()):
        shutil.rmtree(kept / "snapshots", ignore_errors=True)
