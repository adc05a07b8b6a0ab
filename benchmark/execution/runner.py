"""One RunSpec and its case become one RunRecord. What a method does wrong is in the record; nothing it does is raised."""

from __future__ import annotations

import datetime
import importlib
import math
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError
from benchmark.execution import child_process
from benchmark.execution.child_process import OnEvent, Options, Outcome, Stop
from benchmark.machine.environment import environment, needs
from benchmark.machine.memory import BASE_MEMORY, amount
from benchmark.metrics.scorer import Scorer
from benchmark.plugins.registry import Registry
from benchmark.plugins.specs import MethodSpec, resolve
from benchmark.records.frame import view_count
from benchmark.records.record import CurvePoint, RunRecord, RunSpec
from benchmark.runtime.weights import Weights
from benchmark.scan.case import Case
from benchmark.scan.reconstruction import ARRAYS, volume_digest
from benchmark.scan.scan import MEASURED
from benchmark.storage import atomic, mapped
from benchmark.storage.atomic import StorageError
from benchmark.storage.json_values import dumps


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
    """Run a method on a case, check and score what came back. Returns the record and, if it is ok, the volume [z, y, x].

    `jobs` is a folder for scratch files; nothing stays in it. What the method keeps beside the volume goes to the file `arrays`, by
    default among the run's checkpoints. Raises StorageError if it cannot be written, Stopped soon after
    `stop()` is true.
    """
    record = blank_record(spec, case, options)
    method = registry.method(spec.method)
    try:
        reason = skip_reason(method, spec, case) or _too_large(method, case, options.memory)
    except Exception as error:  # a plug-in's own code
        return record.model_copy(update={"reason": f"skip() failed: {type(error).__name__}: {error}"}), None
    if reason:
        return record.model_copy(update={"status": "skipped", "reason": reason}), None
    if spec.weights_digest:
        record = _pretrained(record, case)
        if record.reason:
            return record, None
    folder, done = _scratch(jobs, spec), False
    try:
        try:
            write_job(folder, method, spec, case, options)
        except OSError as error:
            raise StorageError(folder, error) from error
        outcome = child_process.execute(folder, options, on_event, stop)
        record, volume = _judge(record, outcome, folder, case, registry)
        _keep_arrays(folder / ARRAYS, arrays or _own_path(options.checkpoints, spec.id, ARRAYS))
        done = record.status == "ok"
        return record, volume
    except FileNotFoundError as error:
        return record.model_copy(update={"reason": f"its scratch files were removed while it ran ({error.filename})"}), None
    finally:
        _tidy(folder, spec, options, done)


def _tidy(folder: Path, spec: RunSpec, options: Options, done: bool) -> None:
    """Remove what a run leaves behind, but for the snapshots of one that may go on from its checkpoint."""
    shutil.rmtree(folder, ignore_errors=True)
    kept = _own_path(options.checkpoints, spec.id)
    if kept is not None and (done or not Path(kept, "checkpoint.pt").exists()):
        shutil.rmtree(Path(kept, "snapshots"), ignore_errors=True)


def _scratch(jobs: Path, spec: RunSpec) -> Path:
    try:
        jobs.mkdir(parents=True, exist_ok=True)  # somebody may have tidied up
        return Path(tempfile.mkdtemp(prefix=f"{spec.id}-", dir=jobs))
    except OSError as error:
        raise StorageError(jobs, error) from error


def blank_record(spec: RunSpec, case: Case | None, options: Options) -> RunRecord:
    """A record with everything that is known before a run."""
    facts: dict[str, Any] = {"views": view_count(spec)}
    if case is not None:
        geometry = case.scan.geometry
        facts = {
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


def skip_reason(method: MethodSpec, spec: RunSpec, case: Case) -> str:
    """Why this method cannot do this case; '' if it can."""
    missing = needs(method.requires)
    if missing:
        return missing
    if case.scan.composite not in method.composites:
        understood = " and ".join(MEASURED[kind] for kind in method.composites)
        return f"understands {understood}; the views of this scan are {MEASURED[case.scan.composite]}"
    if method.skip is None:
        return ""
    return str(resolve(method.skip)(case.scan, method.params(**spec.method_params)) or "")


def _pretrained(record: RunRecord, case: Case) -> RunRecord:
    """The record with what its weights were fitted to; with a reason if the file is another one now, or must not be used on this case."""
    try:
        weights = Weights.read(Path(record.spec.method_params["weights"]))
    except InputError as error:
        return record.model_copy(update={"reason": str(error)})
    record = record.model_copy(update={"pretrained": weights.facts()})
    if weights.digest != record.spec.weights_digest:
        changed = f"the weights file has changed: digest {weights.digest}, not {record.spec.weights_digest}"
        return record.model_copy(update={"reason": changed})
    refusal = weights.refusal(record.spec, case)
    return record.model_copy(update={"status": "skipped", "reason": refusal}) if refusal else record


def _too_large(method: MethodSpec, case: Case, memory: int | None) -> str:
    """Why a method that takes a scan whole cannot keep to so many bytes; '' if it may."""
    if memory is None or method.pieces:
        return ""
    geometry = case.scan.geometry
    least = BASE_MEMORY + 4 * (2 * math.prod(geometry.projection_shape) + 2 * math.prod(geometry.volume_shape))
    if least <= memory:
        return ""
    return f"takes scan and volume whole: at least {amount(least)} of memory, more than --memory {amount(memory)}"


def write_job(folder: Path, method: MethodSpec, spec: RunSpec, case: Case, options: Options) -> None:
    """Everything the worker gets: the scan, the parameters and how to find the method."""
    mapped.save(folder / "projections.npy", case.scan.projections)
    for name, array in case.scan.beside.items():
        mapped.save(folder / f"{name}.npy", array)
    job = {
        "method": spec.method,
        "target": method.target if isinstance(method.target, str) else import_path(method.target),
        "params_model": import_path(method.params),
        "params": spec.method_params,
        "seed": spec.seed,
        "budget": vars(spec.budget),
        "memory_bytes": options.memory,
        "weights": spec.method_params["weights"] if spec.weights_digest else None,
        "device": options.device,
        "threads": options.threads,
        "snapshots": options.snapshots,
        "geometry": case.scan.geometry.to_dict(),
        "photons": case.scan.photons,
        "noise": case.scan.noise,
        "length_unit": case.scan.length_unit,
        "view_labels": case.scan.view_labels,
        "composite": case.scan.composite,
        "beside": list(case.scan.beside),
        "checkpoint": _own_path(options.checkpoints, spec.id, "checkpoint.pt"),
        "checkpoint_every": options.checkpoint_every,
        "facts": checkpoint_facts(method, spec, case),
        "tensorboard": _own_path(options.tensorboard, spec.id),
        "own_process": not options.in_process,
        "parent": os.getpid(),
        "sys_path": sys.path,
    }
    (folder / "job.json").write_text(dumps(job))


def _own_path(folder: Path | None, *parts: str) -> str | None:
    return None if folder is None else str(folder.absolute().joinpath(*parts))


def checkpoint_facts(method: MethodSpec, spec: RunSpec, case: Case) -> dict[str, Any]:
    """What a checkpoint of this run belongs to, and what it takes to ask its field."""
    field = method.field if isinstance(method.field, str) or method.field is None else import_path(method.field)
    return {
        "method": spec.method,
        "revision": spec.method_revision,
        "params": spec.method_params,
        "params_model": import_path(method.params),
        "field": field,
        "seed": spec.seed,
        "scan": case.scan.digest,
        "geometry": case.scan.geometry.to_dict(),
        "composite": case.scan.composite,
    }


def import_path(thing: Any) -> str | None:
    """'module:name' by which another process finds the same object; None if there is no such path."""
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", "")
    if not module or module == "__main__" or "<" in name:
        return None
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        return None
    return f"{module}:{name}" if found is thing else None


def _judge(record: RunRecord, outcome: Outcome, folder: Path, case: Case, registry: Registry) -> tuple[RunRecord, np.ndarray | None]:
    """The finished record: what the worker said, unless the volume tells otherwise."""
    result = outcome.result
    known = ("status", "reason", "engine", "device", "seconds", "cpu_seconds", "peak_memory_mb", "steps", "counters", "losses", "info")
    values: dict[str, Any] = record.model_dump() | {key: result[key] for key in known if key in result}
    values |= {"log_tail": outcome.log_tail, "environment": record.environment | result.get("facts", {})}
    volume: np.ndarray | None = None
    if values["status"] == "ok":
        volume, defect = _load_volume(folder / "volume.npy", case)
        if volume is None:
            values |= {"status": "failed", "reason": defect}
    scorer = Scorer(case, registry.metrics.values())
    values["curve"] = _curve(folder, result.get("snapshots", []), scorer)
    if volume is not None:
        values["metrics"], problems = scorer.score(volume, _load_arrays(folder / ARRAYS))
        values |= {"reason": "; ".join(problems), "metric_versions": scorer.versions(values["metrics"])}
        values["volume_digest"] = volume_digest(volume)
        final = CurvePoint(
            step=values["steps"],
            seconds=values["seconds"],
            volume_psnr=values["metrics"].get("volume_psnr"),
            loss=values["losses"][-1][2] if values["losses"] else None,
        )
        values["curve"].append(final.model_dump())
    return RunRecord.model_validate(values), volume


def _load_volume(path: Path, case: Case) -> tuple[np.ndarray | None, str]:
    """The volume as float32, or None and what is wrong with it."""
    volume = mapped.load(path)
    expected = case.scan.geometry.volume_shape
    if volume.shape != expected:
        return None, f"wrong shape: expected a volume [z, y, x] = {expected}, the method returned {volume.shape}"
    if volume.dtype.kind != "f":
        return None, f"wrong type: expected float32, the method returned {volume.dtype}"
    with np.errstate(over="ignore"):
        volume = mapped.contiguous(volume)
    bad = mapped.not_finite(volume)
    if bad:
        return None, f"not finite: {bad} of {volume.size} voxels are NaN or Inf"
    return volume, ""


def _load_arrays(path: Path) -> dict[str, np.ndarray]:
    """What the method kept beside the volume."""
    if not path.exists():
        return {}
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def _keep_arrays(found: Path, place: Path | str | None) -> None:
    """Nowhere where that folder is not on this machine."""
    if found.exists() and place is not None and Path(place).parent.is_dir():
        with atomic.replacing(Path(place)) as temporary:
            shutil.copyfile(found, temporary)


def _curve(folder: Path, snapshots: list[dict[str, Any]], scorer: Scorer) -> list[dict[str, Any]]:
    """Score the snapshots, now that the method is gone. One that is gone or cut off, of a wrong shape or with NaN has no score."""
    points = []
    for snapshot in snapshots:
        try:
            volume, _ = _load_volume(folder / snapshot["file"], scorer.case)
        except (OSError, ValueError, EOFError):
            volume = None
        psnr = None if volume is None else scorer.volume_psnr(volume)
        points.append({"step": snapshot["step"], "seconds": snapshot["seconds"], "volume_psnr": psnr, "loss": snapshot["loss"]})
    return points
