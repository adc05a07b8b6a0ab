"""Job of one run: all data that the harness passes to the method's process. No truth, no held-out views.

    <folder>/job.json                    a Job
    <folder>/projections.npy             the scan's views, float32 [view, v, u]
    <folder>/colours.npy, masks.npy      arrays beside them, if the scan holds any

Only this module writes and reads these files.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from benchmark.errors import InputError, one_line, wrong_fields
from benchmark.execution.options import Options
from benchmark.plugins.specs import MethodSpec
from benchmark.records.budget import Budget
from benchmark.records.record import RunSpec
from benchmark.runtime.interval import Interval
from benchmark.scan.case import Case
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan.scan import Composite, Scan
from benchmark.storage import mapped
from benchmark.storage.json_values import dumps, plain

VERSION: Final = 3  # raise it whenever a field changes: a child started from newer sources then reports an error
FILE = "job.json"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MethodCall(_Part):
    """A method and its parameters. A name is None if only the registry knows the object."""

    name: str
    function: str | None  # 'module:name' of MethodSpec.target
    params_class: str | None  # 'module:name' of MethodSpec.params
    params: dict[str, Any]  # resolved
    memory: str | None = None  # 'module:name' of MethodSpec.memory


class ScanFacts(_Part):
    """A scan without its arrays: see benchmark.api.Scan."""

    geometry: dict[str, Any]  # ConeBeamGeometry.to_dict()
    photons: int | float | None  # int or float as given: a method sees the same value in any process
    noise: int | float | None
    length_unit: str
    composite: Composite
    view_labels: dict[str, tuple[float, ...]]
    beside: tuple[str, ...]  # names of the arrays beside the projections


class CheckpointFacts(_Part):
    """Identity of a checkpoint's run. Stored in every checkpoint: never rename the fields."""

    method: str
    revision: int
    params: dict[str, Any]
    seed: int
    scan: str  # digest
    geometry: dict[str, Any]
    composite: Composite
    code: str = ""  # digest of the method's sources


class CheckpointPlan(_Part):
    """File of a run's checkpoint, and the interval between writes."""

    path: Path
    every: float  # [s] of method time
    facts: CheckpointFacts


class ProcessFacts(_Part):
    """Facts about the process that wrote the job, for the child that reads it."""

    separate: bool  # False: the process that wrote the job also does it
    parent: int  # process id
    sys_path: tuple[str, ...]


class Job(_Part):
    """One run, as passed to its process."""

    version: Literal[3] = VERSION
    method: MethodCall
    scan: ScanFacts
    seed: int
    budget: Budget
    weights: Path | None  # file from a fit to other scans
    device: str  # 'auto', 'cpu', 'cuda:0'
    threads: int | None
    memory_bytes: int | None  # limit of the process
    snapshots: int  # volumes kept for the convergence curve
    validate_every: Interval | None  # between volumes that the harness scores along the run
    keep_every: int | None  # steps between numbered checkpoints, and volumes that the harness draws
    checkpoint: CheckpointPlan | None
    event_folder: Path | None  # for TensorBoard
    process: ProcessFacts

    @classmethod
    def of(cls, method: MethodSpec, spec: RunSpec, case: Case, options: Options, code: str = "") -> Job:
        """Return the job of a run; `code` is the digest of the method's sources. Raise InputError for facts of wrong types."""
        try:
            return cls(
                method=_method_call(method, spec),
                scan=_scan_facts(case.scan),
                seed=spec.seed,
                budget=spec.budget,
                weights=Path(spec.method_params["weights"]) if spec.weights_digest else None,
                device=options.device,
                threads=options.threads,
                memory_bytes=options.memory_bytes,
                snapshots=options.snapshots,
                validate_every=None if case.scan.composite == "over" else options.validate_every,  # scored by arrays of the end
                keep_every=options.keep.every if options.keep else None,
                checkpoint=_checkpoint_plan(spec, case, options, code),
                event_folder=options.event_folder(spec.id),
                process=ProcessFacts(separate=not options.in_process, parent=os.getpid(), sys_path=tuple(map(str, sys.path))),
            )
        except ValidationError as error:
            raise InputError(f"the job of {spec.id}", expected="fields of their types", found=wrong_fields(error)) from error


def write_job(folder: Path, job: Job, scan: Scan) -> None:
    """Write all data for the worker into a folder. Raise OSError if writing fails."""
    mapped.save(folder / "projections.npy", scan.projections)
    for name, array in scan.beside.items():
        mapped.save(folder / f"{name}.npy", array)
    (folder / FILE).write_text(dumps(job.model_dump()), encoding="utf-8")


def read_job(folder: Path) -> Job:
    """Read the job of a folder. Raise InputError for a file that another version has written, OSError if there is none."""
    path = folder / FILE
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:  # also for bytes that are not text
        raise _misfit(path, one_line(error)) from error
    version = content.get("version") if isinstance(content, dict) else None
    if version != VERSION:
        raise _misfit(path, "none" if version is None else f"version {version!r}")
    try:
        return Job.model_validate(content)
    except ValidationError as error:
        raise _misfit(path, wrong_fields(error)) from error


def read_scan(folder: Path, facts: ScanFacts) -> Scan:
    """Read the scan of a job; its projections stay on the disk until needed. Raise InputError for facts that do not fit."""
    try:
        geometry = ConeBeamGeometry.from_dict(facts.geometry)
    except TypeError as error:  # another set of fields
        raise _misfit(folder / FILE, f"scan.geometry: {one_line(error)}") from error
    return Scan(
        _array(folder, "projections"),
        geometry,
        photons=facts.photons,
        noise=facts.noise,
        length_unit=facts.length_unit,
        composite=facts.composite,
        view_labels={name: np.array(values) for name, values in facts.view_labels.items()},
        **{name: _array(folder, name) for name in facts.beside},
    )


def import_path(thing: Any) -> str | None:
    """Return the 'module:name' by which another process finds the object; None if there is no such path."""
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


def _path_of(given: Any) -> str | None:
    """Return 'module:name' of a MethodSpec's field: already such a text, the object itself, or None."""
    return given if isinstance(given, str) or given is None else import_path(given)


def _method_call(method: MethodSpec, spec: RunSpec) -> MethodCall:
    return MethodCall(
        name=spec.method,
        function=_path_of(method.target),
        params_class=import_path(method.params),
        params=plain(spec.method_params),
        memory=_path_of(method.memory),
    )


def _scan_facts(scan: Scan) -> ScanFacts:
    return ScanFacts(
        geometry=plain(scan.geometry.to_dict()),
        photons=plain(scan.photons),
        noise=plain(scan.noise),
        length_unit=scan.length_unit,
        composite=scan.composite,
        view_labels={name: tuple(values.tolist()) for name, values in scan.view_labels.items()},
        beside=tuple(scan.beside),
    )


def _checkpoint_plan(spec: RunSpec, case: Case, options: Options, code: str) -> CheckpointPlan | None:
    folder = options.kept_folder(spec.id)
    if folder is None:
        return None
    facts = CheckpointFacts(
        method=spec.method,
        revision=spec.method_revision,
        params=plain(spec.method_params),
        seed=spec.seed,
        scan=case.scan.digest,
        geometry=plain(case.scan.geometry.to_dict()),
        composite=case.scan.composite,
        code=code,
    )
    return CheckpointPlan(path=folder / "checkpoint.pt", every=options.checkpoint_every, facts=facts)


def _array(folder: Path, name: str) -> Any:
    return np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)


def _misfit(path: Path, found: str) -> InputError:
    fix = "If the harness was updated while the sweep was under way, start the sweep again."
    return InputError(str(path), expected=f"a job of version {VERSION}", found=found, fix=fix)
