"""Evaluate one volume without a sweep: the field of a checkpoint, or a file from another program, against its case."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError
from benchmark.exchange.stored_run import patient_place
from benchmark.exchange.volume_import import check_fit, in_attenuation, on_grid, open_volume, scored_record
from benchmark.plugins.registry import Registry
from benchmark.records.frame import frame
from benchmark.records.record import RunRecord, RunSpec
from benchmark.scan.case import Case, file_name
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan.reconstruction import volume_digest
from benchmark.storage import atomic, mapped
from benchmark.storage.json_values import dumps
from benchmark.storage.visible import csv_text

CHECKPOINTS = (".pt", ".pth", ".ckpt")
Opener = Callable[[dict[str, Any]], Case]  # of the user's scan, with these further values of size and views


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """A volume float32 [z, y, x] [1/mm] on its case's grid, its name and origin in words, and the work it took, if known."""

    name: str
    source: str
    case: Case
    volume: np.ndarray
    steps: int = 0
    seconds: float | None = None  # [s] of method time


def is_checkpoint(path: Path) -> bool:
    """Return True for the name of a checkpoint."""
    return path.suffix.lower() in CHECKPOINTS


def of_checkpoint(path: Path, scan: Opener, given: dict[str, Any]) -> Subject:
    """Return the field of a checkpoint, sampled at the voxel centres of the run's own grid.

    Without `given` size and views, those of the run are tried. Raise InputError for a file that is not a checkpoint of a method with
    a field, and for a checkpoint of another scan.
    """
    from benchmark.fields.novel_views import NovelField
    from benchmark.fields.volume import field_volume
    from benchmark.runtime.checkpoint import Checkpoint

    facts, field = Checkpoint.read(path), NovelField(path)
    case = _case_of(path, facts.facts.get("scan"), field, scan, given)
    volume = field_volume(field.field, case.scan.geometry, supersample=1).numpy()
    bad = mapped.not_finite(volume)
    if bad:
        raise InputError(str(path), expected="a field of finite values", found=f"{bad} of {volume.size} voxels are NaN or Inf")
    source = f"checkpoint of {facts.method.name} after step {facts.step}, without the method's final voxel correction"
    return Subject(_name(path), source, case, volume, facts.step, facts.seconds)


def _case_of(path: Path, digest: str | None, field: Any, scan: Opener, given: dict[str, Any]) -> Case:
    """Open the scan of a checkpoint: as given, with the run's size and views for those that are not."""
    geometry: ConeBeamGeometry = field.geometry
    run = {"size": max(geometry.volume_shape), "views": geometry.views}
    missing = {key: value for key, value in run.items() if key not in given}
    tries = [given | missing, *([given | {"views": geometry.views}] if len(missing) == 2 else []), *([given] if missing else [])]
    errors: list[InputError] = []
    for values in tries:
        try:
            case = scan(values)
        except InputError as error:
            errors.append(error)
            continue
        if (case.scan.digest == digest) if digest else (case.scan.geometry == geometry):
            return case
        errors.append(_misfit(path, case, field))
    raise errors[0]


def _misfit(path: Path, case: Case, field: Any) -> InputError:
    """Return the error of a checkpoint whose scan is another one; it names the first difference."""
    run, here = field.geometry, case.scan.geometry
    if run.views != here.views:
        expected, found = (f"views: {geometry.views}" for geometry in (here, run))
    elif run.volume_shape != here.volume_shape or not np.allclose(run.volume_bounds, here.volume_bounds):
        expected, found = (_grid(geometry) for geometry in (here, run))
    elif run.projection_shape != here.projection_shape:
        expected, found = (f"a detector of {geometry.detector_shape} pixels" for geometry in (here, run))
    elif run != here:
        expected, found = "its geometry", "another one (angles, distances or the detector's position differ)"
    else:
        expected, found = "its measured values", "others in the same geometry (another object, noise or masks)"
    where = f"{case.name}, {here.views} views"
    fix = "Give --scan, --views, --size and --set as in the run that wrote it."
    return InputError(str(path), expected=f"a checkpoint of this scan ({where}): {expected}", found=found, fix=fix)


def _grid(geometry: ConeBeamGeometry) -> str:
    z, y, x = geometry.volume_shape
    edges = ", ".join(f"{edge:.4g}" for edge in geometry.volume_spacing)
    return f"a volume of {z} x {y} x {x} voxels [z, y, x] with edges {edges} mm"


def of_volume(
    path: Path, scan: Opener, given: dict[str, Any], *, axes: str, scale: float | None, water: float | None, as_is: bool
) -> Subject:
    """Return the volume of a file, on the grid of the scan's case; without a `given` size, on a grid as long as the volume.

    Raise InputError for a volume that is not on the grid and, unless `as_is`, for one that the measured views contradict.
    """
    opened = open_volume(path, axes)
    longest = max(opened.shape if isinstance(opened, np.ndarray) else opened.values.shape)
    case = scan(given)
    if "size" not in given and longest != max(case.scan.geometry.volume_shape):
        case = scan(given | {"size": longest})
    origin, _ = patient_place(case.facts)
    volume = in_attenuation(on_grid(path, opened, case.scan.geometry, origin), scale=scale, water=water)
    if not as_is:
        check_fit(volume, case)
    return Subject(_name(path), str(path), case, volume)


def _name(path: Path) -> str:
    """Return a file's name without its suffixes; of a checkpoint.pt, which every run has, that of its folder."""
    place = path.resolve()
    stem = place.name if place.is_dir() else place.name.removesuffix(".gz").rpartition(".")[0] or place.name
    return file_name(place.parent.name if stem == "checkpoint" and place.parent.name else stem)


def evaluate(registry: Registry, subject: Subject) -> RunRecord:
    """Return the scores of a volume as the record of a run, for the same tables."""
    case = subject.case
    spec = RunSpec(
        dataset=case.name,
        dataset_params={"size": max(subject.volume.shape), "views": case.scan.geometry.views},
        data_digest=case.digest,
        method=subject.name,
        method_params={"source": subject.source, "volume": volume_digest(subject.volume)},
    )
    known = {"steps": subject.steps, "seconds": subject.seconds, "engine": subject.source, "info": {"source": subject.source}}
    metrics = [metric for metric in registry.metrics.values() if metric.kind == "volume" or case.scan.composite != "over"]
    return scored_record(metrics, case, spec, subject.volume, **known)


def remarks(case: Case) -> list[str]:
    """Return the reasons for missing scores."""
    said = []
    if case.truth is None:
        said.append("no truth is known: the volume itself is not scored")
    if case.scan.composite == "over":
        said.append("photographs are scored with a method's Gaussians, which this file does not hold; views.png shows the volume's opacity")
    elif case.heldout is None:
        said.append("no views are held out: the fit to the training views is scored, new views are not")
    return said


def score_facts(subject: Subject, record: RunRecord) -> dict[str, Any]:
    """Return the content of scores.json."""
    return {
        "name": subject.name,
        "source": subject.source,
        "case": record.case,
        "data_digest": record.spec.data_digest,
        "views": record.views,
        "training_views": record.training_views,
        "heldout_views": record.heldout_views,
        "volume_shape": record.volume_shape,
        "volume_digest": record.volume_digest,
        "truth": subject.case.truth_note or (subject.case.truth is not None),
        "steps": record.steps,
        "seconds": record.seconds,
        "metrics": record.metrics,
        "metric_versions": record.metric_versions,
        "remarks": remarks(subject.case),
        "problems": record.reason,
    }


def write_evaluation(folder: Path, subject: Subject, record: RunRecord) -> list[Path]:
    """Write scores.json, scores.csv and the pictures into a folder; return the files. Raise StorageError."""
    from benchmark.report.single import write_pictures

    texts = {"scores.json": dumps(score_facts(subject, record), indent=1) + "\n", "scores.csv": csv_text(frame([record]))}
    for name, text in texts.items():
        atomic.replace_text(folder / name, text)
    pictures = write_pictures(folder, subject.case, subject.volume, subject.name, record.metrics)
    return [*(folder / name for name in texts), *pictures]
