"""Import an external volume: bring it into the project's axes and score it as a run of its case."""

from __future__ import annotations

import datetime
import hashlib
import itertools
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError
from benchmark.files.door import open_stack
from benchmark.files.medical import Image
from benchmark.files.upright import upright
from benchmark.files.volume import has_place, read_image
from benchmark.machine.environment import environment
from benchmark.metrics.scorer import Scorer
from benchmark.plugins.registry import Registry
from benchmark.plugins.specs import MetricSpec
from benchmark.records.record import RunRecord, RunSpec
from benchmark.records.results import Results, StoredCase
from benchmark.records.store import Store
from benchmark.scan.case import Case
from benchmark.scan.geometry import ConeBeamGeometry, Triple
from benchmark.scan.hounsfield import attenuation
from benchmark.scan.reconstruction import volume_digest
from benchmark.scan.scan import MEASURED
from benchmark.validate.residual import fit
from benchmark.validate.setup import Setup

PRESET = "imported"
CLEARLY = 0.8  # a residual below this share of the declared one: the volume's orientation is wrong
RIGHT_SCALE = 0.3  # of the logarithm


def find_case(results: Results, text: str) -> StoredCase:
    """Find a case by its digest (or the beginning), its name, or a part of a run id. Raise InputError unless exactly one matches."""
    folders = sorted(path.parent for path in results.folder.glob("cases/*/case.json"))
    cases = [StoredCase(folder) for folder in folders]
    runs = {record.spec.data_digest for record in results.records if text in record.run_id}
    for fits in (lambda c: c.digest.startswith(text), lambda c: c.name == text or c.dataset == text, lambda c: c.digest in runs):
        found = [case for case in cases if fits(case)]
        if len(found) == 1:
            return found[0]
        if found:
            break
    known = "; ".join(f"{c.digest} = {c.name}, {c.geometry.views} views, {max(c.geometry.volume_shape)} voxels" for c in cases)
    raise InputError(f"--case {text}", expected="one case of the results folder", found=f"{len(found)}", fix=f"Cases: {known or 'none'}.")


def read_volume(path: Path, geometry: ConeBeamGeometry, axes: str = "zyx", origin: Triple = (0.0, 0.0, 0.0)) -> np.ndarray:
    """Read a volume [z, y, x] on the geometry's grid. A file with a position in space must lie on the grid; others are turned by `axes`.

    The grid lies where the geometry has it or, as in exported files, with the geometry's origin at `origin` (x y z) [mm]. Raise
    InputError for any other shape, spacing or position.
    """
    return on_grid(path, open_volume(path, axes), geometry, origin)


def open_volume(path: Path, axes: str = "zyx") -> Image | np.ndarray:
    """Read a volume: an image if the file holds its position, else values [z, y, x], turned by `axes`. Raise InputError."""
    if has_place(path):
        if axes != "zyx":
            raise InputError("--axes", expected="no value for a file that holds its position", found=axes)
        return read_image(path)
    if sorted(axes) != ["x", "y", "z"]:
        raise InputError("--axes", expected="z, y and x, each once, such as xyz", found=f"'{axes}'")
    return open_stack(path).load().transpose([axes.index(name) for name in "zyx"])


def on_grid(path: Path, opened: Image | np.ndarray, geometry: ConeBeamGeometry, origin: Triple = (0.0, 0.0, 0.0)) -> np.ndarray:
    """Return what `open_volume` read as float32 [z, y, x]. Raise InputError unless it lies on the grid (see `read_volume`), finite."""
    values = _placed(str(path), opened, geometry, origin) if isinstance(opened, Image) else opened
    if values.shape != geometry.volume_shape:
        raise InputError(str(path), expected=f"a volume [z, y, x] = {geometry.volume_shape}", found=f"{values.shape}")
    if not np.isfinite(values).all():
        raise InputError(str(path), expected="finite numbers", found="NaN or Inf")
    return np.ascontiguousarray(values, dtype=np.float32)


def in_attenuation(volume: np.ndarray, *, scale: float | None, water: float | None) -> np.ndarray:
    """Return values times `scale`, or converted from HU by `water` [1/mm]. Raise InputError if the result is not finite or `scale` is 0."""
    made, where = volume, ""
    with np.errstate(over="ignore", invalid="ignore"):
        if water is not None:
            made, where = attenuation(volume, water), f"--water {water:g}"
        elif scale is not None:
            made, where = volume * np.float32(scale), f"--scale {scale:g}"
    if scale == 0 or not np.isfinite(made).all():
        raise InputError(where, expected="a number other than 0 that gives finite attenuation")
    return made


def _placed(where: str, image: Image, geometry: ConeBeamGeometry, origin: Triple) -> np.ndarray:
    """Return the image with its axes along the project's. Raise InputError if it is off the case's volume by a tenth of a voxel."""
    values, spacing, oblique = upright(image, 0.0, where)
    if oblique:
        directions = np.round(image.axes / np.linalg.norm(image.axes, axis=0), 3).tolist()
        raise InputError(where, expected="axes along x, y and z", found=f"directions {directions}")
    ends = image.axes * (np.array(image.values.shape[::-1]) - 1)  # from the first voxel to the last along i, j, k
    first = image.origin + np.minimum(ends, 0).sum(1)
    if values.shape != geometry.volume_shape or not np.allclose(spacing, geometry.volume_spacing, rtol=1e-3):
        expected = f"shape [z, y, x] = {geometry.volume_shape} and spacing {_short(geometry.volume_spacing)} mm"
        raise InputError(where, expected=expected, found=f"{values.shape} and {_short(spacing)} mm")
    wanted = np.array([geometry.voxel_centres(axis)[0] for axis in (2, 1, 0)])
    if all((np.abs(first - wanted - shift) > 0.1 * np.array(spacing[::-1])).any() for shift in (np.zeros(3), np.array(origin))):
        expected = f"the first voxel at x, y, z = {_short(wanted + origin)} mm"
        raise InputError(where, expected=expected, found=_short(first), fix="As `export` writes it; or import a .npy file.")
    return values


def check_fit(volume: np.ndarray, case: Case) -> None:
    """Raise InputError if the measured views show that the volume is turned, mirrored or in another unit, or cannot show it."""
    if case.scan.composite != "sum":
        found = f"{MEASURED[case.scan.composite]}, which do not determine the orientation of a volume"
        raise InputError("case", expected=MEASURED["sum"], found=found, fix="Import the volume --as-is.")
    if not volume.any():
        raise InputError("volume", expected="something to reconstruct", found="zeros only", fix="If that is meant: --as-is.")
    setup = Setup.of(case).with_truth(volume)
    right = fit(setup)
    residual, best = min((fit(setup.with_truth(turned)).residual, name) for name, turned in _turned(volume))
    if residual < CLEARLY * right.residual:
        text = f"{best} fits the measured views better (residual {residual:.1%}, as given {right.residual:.1%})"
        raise InputError("volume", expected="the axes of the case", found=text, fix="Turn it, or import it --as-is.")
    if right.scale == 0:
        fix = "Compare both by eye, or import it --as-is."
        raise InputError("volume", expected="a volume that matches the measured views", found="nothing in common with them", fix=fix)
    if right.scale < 0 or abs(math.log(right.scale)) > RIGHT_SCALE:
        fix = f"If that is its unit: --scale {right.scale:.4g}; else --as-is."
        raise InputError("volume", expected="attenuation in 1/mm", found=f"values that are {1 / right.scale:.4g} times as large", fix=fix)


def _turned(volume: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield every way (of 48) to swap and reverse the axes that keeps the shape, except the identity."""
    for order in itertools.permutations(range(3)):
        for reversed_axes in itertools.chain.from_iterable(itertools.combinations(range(3), n) for n in range(4)):
            turned = np.flip(volume.transpose(order), reversed_axes)
            if turned.shape == volume.shape and (reversed_axes or order != (0, 1, 2)):
                swapped = "" if order == (0, 1, 2) else f"axes {''.join('zyx'[axis] for axis in order)} in place of zyx"
                other = f"{', '.join('zyx'[axis] for axis in reversed_axes)} reversed" if reversed_axes else ""
                yield ", ".join(filter(None, (swapped, other))), turned


def import_record(registry: Registry, results: Results, stored: StoredCase, volume: np.ndarray, name: str, source: str) -> RunRecord:
    """Score the volume, append a record marked as imported, and update the table. Raise StorageError if writing fails."""
    case = stored.load()
    digest = hashlib.sha256(volume.tobytes()).hexdigest()[:16]
    same = next((record.spec for record in results.records if record.spec.data_digest == stored.digest), None)
    spec = RunSpec(
        dataset=stored.dataset,
        dataset_params=stored.dataset_params,
        dataset_revision=same.dataset_revision if same else 1,
        data_digest=stored.digest,
        method=name,
        preset=PRESET,
        method_params={"source": source, "volume": digest},
    )
    record = scored_record(
        registry.metrics.values(), case, spec, volume, engine=f"imported: {source}", info={"imported": True, "source": source}
    )
    store = Store(results.folder)
    store.write_record(record, volume, case)
    store.write_table(Results(results.folder).records)
    return record


def scored_record(metrics: Iterable[MetricSpec], case: Case, spec: RunSpec, volume: np.ndarray, **facts: Any) -> RunRecord:
    """Return the record of a volume [z, y, x] that no run here has made, with its scores; `facts` are further fields of it."""
    scorer = Scorer(case, metrics)
    scores, problems = scorer.score(volume)
    return RunRecord(
        run_id=spec.id,
        spec=spec,
        status="ok",
        reason="; ".join(problems),
        case=case.name,
        views=case.scan.geometry.views,
        training_views=list(case.training_views),
        heldout_views=list(case.heldout_views),
        volume_shape=list(volume.shape),
        metrics=scores,
        metric_versions=scorer.versions(scores),
        volume_digest=volume_digest(volume),
        environment=environment(),
        started=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        **facts,
    )


def _short(values: np.ndarray | tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
