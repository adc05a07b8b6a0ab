"""One volume from one scan, without a results folder."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError, Mistakes
from benchmark.execution.runner import perform
from benchmark.plan import quantities
from benchmark.plan.entries import Entry, resolve_entry
from benchmark.plan.plan import weights_digest
from benchmark.plugins.registry import Registry
from benchmark.plugins.specs import MethodSpec
from benchmark.python import values
from benchmark.python.sweeps import choose_display, with_specs
from benchmark.records.record import RunRecord, RunSpec
from benchmark.scan.case import Case
from benchmark.scan.reconstruction import ARRAYS, Reconstruction
from benchmark.scan.scan import Scan
from benchmark.sweep.request import Request


class RunFailed(RuntimeError):
    """A method has failed; `record` holds its reason and the end of its log."""

    def __init__(self, record: RunRecord) -> None:
        self.record = record
        tail = record.log_tail.strip()
        super().__init__(f"{record.spec.method}: {record.reason}" + (f"\n{tail}" if tail else ""))


def reconstruct(
    method: str | MethodSpec,
    scan: Scan | Case,
    *,
    seed: int = 0,
    budget: str | None = None,
    timeout: float | str | None = None,
    memory: int | str | None = None,
    device: str = "auto",
    threads: int | None = None,
    progress: bool = True,
    **params: Any,
) -> Reconstruction:
    """Reconstruct one scan with one method, in a process of its own that gets the scan and nothing else; of a Case it gets `case.scan`.

    `method` is a name, name:preset, or a MethodSpec; `params` are the method's own (command `show`). The other values are those of `run`.

    Return the volume, float32 [z, y, x] [1/mm] on the scan's grid, the arrays beside it, and in `info` the method's own facts and
    `seconds` of method time, `steps`, `device` and `peak_memory_mb`. Nothing is stored.

    Raise InputError for wrong values and for a scan that the method does not support, RunFailed with the reason if the method fails.
    """
    if not isinstance(scan, Scan | Case):
        raise InputError("scan", expected="a Scan or a Case, such as benchmark.load_case(...).scan", found=type(scan).__name__)
    case = Case("scan", scan.scan if isinstance(scan, Case) else scan)
    known, name = with_specs([method])
    spec = _spec(known, str(name), params, case.scan, seed, budget)
    request = Request(device=str(device), timeout=values.text(timeout), memory=values.text(memory), threads=threads)
    options = dataclasses.replace(request.options(None), snapshots=1)  # nothing to score along the run
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder, choose_display(progress) as display:
        arrays, display.total = Path(folder, ARRAYS), 1
        display.run_started(spec)
        record, volume = perform(
            known, spec, case, Path(folder), options, lambda event: display.progress({**event, "run_id": spec.id}), arrays=arrays
        )
        display.run_finished(record)
        if record.status == "skipped":
            raise InputError(f"method {name}", expected="a scan that it can reconstruct", found=record.reason)
        if volume is None:
            raise RunFailed(record)
        measured = {key: getattr(record, key) for key in ("seconds", "steps", "device", "peak_memory_mb")}
        kept = dict(np.load(arrays)) if arrays.exists() else {}
        return Reconstruction(np.array(volume), record.engine, {**measured, **record.info}, kept)


def _spec(registry: Registry, method: str, params: dict[str, Any], scan: Scan, seed: Any, budget: str | None) -> RunSpec:
    """Return the run. Raise InputError with every mistake in it."""
    mistakes = Mistakes()
    name, _, preset = method.partition(":")
    declared = registry.method(name)
    entry = Entry(name, name, {key: values.plain_value(value) for key, value in params.items()}, preset or "default")
    resolved = resolve_entry(entry, declared, {}, mistakes)
    weights = weights_digest(declared, resolved[0], mistakes) if resolved else ""
    limit = quantities.budget(budget, "--budget", mistakes)
    given = values.plain_value(seed)
    if isinstance(given, list):
        mistakes.add("seed", expected="one whole number", found=repr(seed))
    seeds = quantities.seeds(given, "seed", mistakes)
    mistakes.raise_if_any("reconstruct")
    return RunSpec(
        dataset="scan",
        dataset_params={"size": max(scan.geometry.volume_shape), "views": scan.geometry.views},
        data_digest=scan.digest,
        method=name,
        preset=entry.preset,
        method_params=resolved[0],
        method_revision=declared.revision,
        seed=seeds[0],
        weights_digest=weights,
        **limit,
    )
