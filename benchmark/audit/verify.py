"""Verify a results folder against its records: digests of data and volumes, and one repeated run."""

from __future__ import annotations

import dataclasses
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from benchmark.execution.options import OnEvent, Options
from benchmark.execution.runner import perform
from benchmark.plugins.identity import changed
from benchmark.plugins.registry import Registry
from benchmark.records.record import RunRecord
from benchmark.records.results import Results
from benchmark.records.titles import labels
from benchmark.report.compare import environment_changes
from benchmark.scan.reconstruction import volume_digest

SAME_ON_A_GPU = 1e-4  # of a volume's range


@dataclasses.dataclass(frozen=True)
class Finding:
    """Result of one check: 'ok', 'differs' (the folder contradicts its record) or 'unknown' (nothing to compare with)."""

    status: Literal["ok", "differs", "unknown"]
    what: str
    detail: str = ""


def verify_files(results: Results) -> Iterator[Finding]:
    """Recompute the digest of every case and of every finished run's volume, and the identity of every record."""
    yield from (Finding("differs", problem) for problem in results.problems)
    for digest in dict.fromkeys(record.spec.data_digest for record in results.records if record.spec.data_digest):
        yield _checked(f"case {digest}", lambda digest=digest: _case(results, digest))  # type: ignore[misc]
    for record in results.records:
        if record.run_id != record.spec.id:
            yield Finding("differs", f"run {record.run_id}", f"its content has the identity {record.spec.id}")
        elif record.status == "ok":
            yield _checked(f"run {record.run_id}", lambda record=record: _volume(results, record))  # type: ignore[misc]


def _checked(what: str, check) -> Finding:  # noqa: ANN001
    try:
        status, detail = check()
    except (OSError, ValueError) as error:  # a missing, truncated or foreign file; an inconsistent case
        status, detail = "differs", f"cannot be read ({error})"
    return Finding(status, what, detail)


def _case(results: Results, digest: str) -> tuple[str, str]:
    case = results.case_of(digest)
    if case is None:
        return "differs", "its files are gone"
    case.load()
    return "ok", ""


def _volume(results: Results, record: RunRecord) -> tuple[str, str]:
    volume = results.volume(record)
    if volume is None:
        return "differs", "its volume is gone"
    results.arrays(record)  # a damaged archive is an error
    if not record.volume_digest:
        return "unknown", f"recorded without a digest (schema version {record.schema_version}); `reevaluate` adds one"
    return "ok", ""


def candidates(results: Results, registry: Registry) -> list[RunRecord]:
    """Return finished runs that can be repeated here: made by an installed method, and not stopped by the clock."""
    return [
        record
        for record in results.records
        if record.status == "ok"
        and record.spec.method in registry.methods
        and not record.info.get("imported")
        and not _stopped_by_the_clock(record)
    ]


def _stopped_by_the_clock(record: RunRecord) -> bool:
    limit = record.spec.budget_seconds
    return limit is not None and record.seconds is not None and record.seconds >= limit


def rerun(results: Results, registry: Registry, record: RunRecord, options: Options, on_event: OnEvent) -> Finding:
    """Repeat a finished run from its stored case and compare the volume with the stored one; scratch files go to the system's folder."""
    what = f"{record.run_id} ({labels([record])[record.run_id]}) done again"
    try:
        stored, found = results.volume(record), results.case(record)
        case = None if found is None else found.load()
    except (OSError, ValueError) as error:
        return Finding("differs", what, f"cannot be done ({error})")
    if case is None or stored is None:
        return Finding("differs", what, "its case or its volume is gone")
    revision = registry.methods[record.spec.method].revision
    with tempfile.TemporaryDirectory(prefix="verify-") as jobs:
        again, volume = perform(registry, record.spec, case, Path(jobs), options, on_event)
    since = _code_change(record, again, revision)
    if volume is None:
        return Finding("unknown" if since else "differs", what, f"{again.status}: {again.reason}{since and f'; {since}'}")
    if np.array_equal(volume, stored):
        return Finding("ok", what, f"the same volume to the last bit, digest {volume_digest(volume)}")
    reach = float(np.abs(volume - stored).max()) / (float(np.ptp(stored)) or 1.0)
    on_gpu = record.device.startswith("cuda")
    if on_gpu and reach <= SAME_ON_A_GPU:
        return Finding("ok", what, f"the same volume to {reach:.2g} of its range: on a GPU the order of sums is undefined")
    causes = environment_changes(record, again)
    if record.spec.budget_seconds is not None:
        causes.append(f"a budget of {record.spec.budget_seconds:g} s: {record.steps} steps then, {again.steps} now")
    then, now = record.metrics.get("volume_psnr"), again.metrics.get("volume_psnr")
    scores = f", volume PSNR {then:.3f} then and {now:.3f} dB now" if then is not None and now is not None else ""
    apart = f"voxels differ by up to {reach:.2g} of the range{scores}"
    if since:
        return Finding("unknown", what, f"{since}; {'; '.join([apart, *causes])}")
    if causes:
        return Finding("differs", what, f"{apart}; what else differs: {'; '.join(causes)}")
    if on_gpu:
        return Finding("unknown", what, f"{apart}: on a GPU the order of sums is undefined, and training amplifies small differences")
    if not (record.plugin.get("digest") and again.plugin.get("digest")):
        return Finding("unknown", what, f"{apart}; whether the method's code is the same was not recorded")
    return Finding("differs", what, f"{apart}; code, machine and parameters are the same, so the method is not reproducible")


def _code_change(record: RunRecord, again: RunRecord, revision: int) -> str:
    """Return a sentence about a change of the method's code between two runs; '' if none is known."""
    then, now = record.plugin, again.plugin
    changes = [
        f"{name} {old} -> {new}"
        for name, old, new in (
            ("revision", record.spec.method_revision, revision),
            ("version", then.get("version"), now.get("version")),
            ("digest", then.get("digest"), now.get("digest")),
        )
        if old and new and old != new
    ]
    if not changed(then, now) and revision == record.spec.method_revision:
        return ""
    return f"the code has changed since ({', '.join(changes)})"


def pick(records: list[RunRecord], seed: int | None) -> RunRecord | None:
    """Return one of the records at random; equal seeds pick the same record."""
    return random.Random(seed).choice(records) if records else None
