"""Recompute scores from stored volumes and cases, without the methods. Old values stay in the earlier attempts."""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Iterable, Iterator

from benchmark.errors import unknown_name
from benchmark.machine.environment import environment
from benchmark.metrics.scorer import Scorer
from benchmark.metrics.similarity import ssim_map
from benchmark.plugins.specs import MetricSpec
from benchmark.records import nifti
from benchmark.records.record import SCHEMA_VERSION, RunRecord
from benchmark.records.results import Results
from benchmark.records.store import Store
from benchmark.scan.reconstruction import volume_digest
from benchmark.storage import atomic


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Re-evaluation of one run: old and new record (one object if nothing changed), the problem if any, and whether it has scores."""

    before: RunRecord
    after: RunRecord
    problem: str = ""
    scored: bool = True

    @property
    def changes(self) -> dict[str, tuple[float | None, float | None]]:
        """Metrics with a changed or new value."""
        old, new = self.before.metrics, self.after.metrics
        return {name: (old.get(name), new[name]) for name in new if name not in old or old[name] != new[name]}


def chosen_metrics(metrics: Iterable[MetricSpec], protocols: Iterable[str] | None) -> list[MetricSpec]:
    """Return the metrics of these protocols; all metrics for None. Raise InputError for a protocol without metrics."""
    metrics = list(metrics)
    if protocols is None:
        return metrics
    known = {metric.protocol for metric in metrics}
    for protocol in protocols:
        if protocol not in known:
            raise unknown_name("--protocols", protocol, known)
    return [metric for metric in metrics if metric.protocol in set(protocols)]


def reevaluate(results: Results, metrics: list[MetricSpec], *, maps: bool = False) -> Iterator[Evaluation]:
    """Rescore every finished run and append a new attempt if a value or a metric's version changed.

    A stored volume that differs from the recorded one is a problem and is never scored. With `maps`, the SSIM map of each run is
    written beside its volume (ssim.nii.gz). Raise StorageError if writing fails.
    """
    store = Store(results.folder)
    for record in results.records:
        if record.status != "ok":
            continue
        try:
            evaluation = _one(results, record, metrics, maps)
        except (OSError, ValueError) as error:  # a missing, truncated or foreign file; an inconsistent case
            evaluation = Evaluation(record, record, str(error), scored=False)
        if evaluation.after is not record:
            store.write_record(evaluation.after)
        yield evaluation


def _one(results: Results, record: RunRecord, metrics: list[MetricSpec], maps: bool) -> Evaluation:
    volume, case = results.volume(record), results.case(record)
    if volume is None or case is None:
        problem = f"its volume is gone. {results.remedy(record)}" if volume is None else "its case is gone"
        return Evaluation(record, record, problem, scored=False)
    if maps:
        _write_map(results, record)
    scorer = Scorer(case.load(), metrics)
    values, problems = scorer.score(volume, results.arrays(record))
    versions = scorer.versions(values)
    merged, merged_versions = record.metrics | values, record.metric_versions | versions
    digest = record.volume_digest or volume_digest(volume)  # a recorded one was compared when the volume was read
    if (merged, merged_versions, digest) == (record.metrics, record.metric_versions, record.volume_digest):
        return Evaluation(record, record, "; ".join(problems))
    note = {
        "at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "metrics": sorted(values),
        "benchmark": environment()["benchmark"],
        "git": environment()["git"],
    }
    reason = "; ".join([*_reasons_left(record, metrics, values), *problems])
    new = {"metrics": merged, "metric_versions": merged_versions, "reason": reason, "reevaluated": note}
    new |= {"volume_digest": digest, "schema_version": SCHEMA_VERSION}
    return Evaluation(record, record.model_copy(update=new), "; ".join(problems))


def _reasons_left(record: RunRecord, metrics: list[MetricSpec], values: dict[str, float | None]) -> list[str]:
    """Return the record's errors of metrics that were not rescored."""
    left = []
    for reason in filter(None, re.split(r"; (?=metric [\w-]+: )", record.reason)):
        named = re.match(r"metric ([\w-]+): ", reason)  # else the reason applies to all metrics of photographs
        again = named[1] in values if named else any(metric.kind == "projection" for metric in metrics)
        left += [] if again else [reason]
    return left


def _write_map(results: Results, record: RunRecord) -> None:
    """Write ssim.nii.gz beside the volume, if SSIM is defined."""
    volume, case = results.volume(record), results.case(record)
    if volume is None or case is None or case.truth is None:
        return
    scores = ssim_map(volume, case.truth)
    if scores is not None:
        with atomic.replacing(results.folder_of(record) / "ssim.nii.gz") as temporary:
            nifti.write_volume(temporary, scores, case.geometry, case.length_unit)
