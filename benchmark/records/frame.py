"""One table of all records, a row per run: the single source of every table, figure and comparison."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from benchmark.records.record import RunRecord, RunSpec
from benchmark.storage.json_values import plain

if TYPE_CHECKING:
    import pandas as pd

IDENTITY = (
    "dataset", "case", "size", "views", "noise", "dataset_params", "method", "preset", "params", "pretrained",
    "engine", "device", "seed", "status", "reason",
)  # fmt: skip
NOISE = {"blur": "blur", "scatter": "scatter", "photons": "poisson", "electronic": "gaussian"}  # noise that each dataset parameter adds
LONGEST = 60  # [characters] of a value in a title
METRICS = ("volume_psnr", "volume_ssim", "projection_psnr", "projection_ssim", "fit_psnr", "fit_ssim")
WORK = ("steps", "ray_samples", "projections", "backprojections")
BUDGETS = {"budget_seconds": "s", "budget_steps": "steps", "budget_samples": "ray samples", "budget_projections": "projections"}
COST = ("seconds", "cpu_seconds", "peak_memory_mb", *WORK, *BUDGETS)


def frame(records: Iterable[RunRecord]) -> pd.DataFrame:
    """Return one row per run. Columns: identity (IDENTITY), the strict metrics (METRICS), every other metric by name, COST, run_id.

    A metric that does not apply (no truth, a failed run) is empty. Metrics [dB] or dimensionless, seconds [s], memory [MiB].
    `pretrained` names the data a method was fitted to beforehand ('' for a method that uses the scan alone).
    projections and backprojections count applications of A and its transpose to all training views (a subset counts its share).
    """
    import pandas as pd

    records = list(records)
    others = sorted({name for record in records for name in record.metrics} - set(METRICS))
    columns = [*IDENTITY, *METRICS, *others, *COST, "run_id"]
    table = pd.DataFrame([row(record) for record in records], columns=columns)
    for name in (*METRICS, *others, *(name for name in COST if name != "steps")):
        table[name] = pd.to_numeric(table[name]).astype(float)
    return table


def row(record: RunRecord) -> dict[str, Any]:
    """Return the values of one run by column."""
    spec = record.spec
    return {
        "dataset": spec.dataset,
        "case": record.case or spec.dataset,
        "size": _size(record),
        "views": _count(record),
        "noise": noise(spec),
        "dataset_params": json.dumps(plain(spec.dataset_params), sort_keys=True),
        "method": spec.method,
        "preset": spec.preset,
        "params": json.dumps(plain(spec.method_params), sort_keys=True),
        "pretrained": pretrained(record),
        "engine": record.engine,
        "device": record.device,
        "seed": spec.seed,
        "status": record.status,
        "reason": record.reason,
        **record.metrics,
        "seconds": record.seconds,
        "cpu_seconds": record.cpu_seconds,
        "peak_memory_mb": record.peak_memory_mb,
        "steps": record.steps,
        **_work(record),
        **_budgets(spec),
        "run_id": record.run_id,
    }


def pretrained(record: RunRecord) -> str:
    """Return the training data of a pretrained method, such as '3 scans'; '' for other methods."""
    if not record.spec.weights_digest:
        return ""
    count = len(record.pretrained.get("scans", ()))
    return f"{count} scan{'s' * (count != 1)}" if count else "yes"


def _work(record: RunRecord) -> dict[str, float | None]:
    """Return the counters; empty for records older than the counters, and if nothing was counted."""
    if not record.counters:
        return {"ray_samples": None, "projections": None, "backprojections": None}
    views = record.views or 1
    forward, adjoint = (record.counters.get(name, 0) / views for name in ("forward_views", "adjoint_views"))
    return {"ray_samples": record.counters.get("ray_samples", 0), "projections": forward, "backprojections": adjoint}


def view_count(spec: RunSpec) -> int:
    """Return the number of training views that a run requests."""
    views = spec.dataset_params.get("views", 0)
    return views if isinstance(views, int) else len(views)


def noise(spec: RunSpec) -> str:
    """Return the noise added to the data: 'none', 'poisson 1e+05', 'poisson 1e+05 + gaussian 10', 'blur 1 + poisson 1e+05'."""
    added = [f"{word} {spec.dataset_params[key]:.4g}" for key, word in NOISE.items() if spec.dataset_params.get(key)]
    return " + ".join(added) or "none"


def case_words(dataset: str, size: int | str, views: int, added: str) -> str:
    """Return a case in words: 'chest 64, 10 views, poisson 1e+05'."""
    return f"{dataset} {size}, {views} view{'s' * (views != 1)}" + (f", {added}" if added != "none" else "")


def dataset_names(records: Iterable[RunRecord]) -> dict[str, str]:
    """Return the dataset of each run id, with the parameters that differ: 'phantom', 'phantom (arc=120)', 'folder (my_scan)'."""
    groups: dict[tuple[Any, ...], list[RunRecord]] = {}
    for record in records:
        groups.setdefault((record.spec.dataset, _size(record), noise(record.spec)), []).append(record)
    found = {}
    for (dataset, *_), members in groups.items():
        for run_id, parts in _told_apart(members, (_cases, _parameters, _chosen_views, _digests)):
            found[run_id] = f"{dataset} ({', '.join(parts)})" if parts else dataset
    return found


def _told_apart(
    members: Sequence[RunRecord], ways: Sequence[Callable[[Sequence[RunRecord]], list[str]]]
) -> Iterator[tuple[str, list[str]]]:
    """Yield run ids and their distinguishing texts: each step separates the runs that are still alike."""
    if not ways:
        yield from ((member.run_id, []) for member in members)
        return
    groups: dict[str, list[RunRecord]] = {}
    for member, text in zip(members, ways[0](members), strict=True):
        groups.setdefault(text, []).append(member)
    for text, group in groups.items():
        for run_id, parts in _told_apart(group, ways[1:]):
            yield run_id, [text, *parts] if text and len(groups) > 1 else parts


def _cases(members: Sequence[RunRecord]) -> list[str]:
    """Return the names of cases; an unloaded case counts as the one with the same parameters."""
    known = {repr(_data_settings(member)): member.case for member in members if member.case}
    return [member.case or known.get(repr(_data_settings(member)), member.spec.dataset) for member in members]


def _parameters(members: Sequence[RunRecord]) -> list[str]:
    """Return the shared parameters that differ. Equal data may lie in several folders."""
    settings = [_data_settings(member) for member in members]
    crowded = _crowded(members)
    names = [name for name in settings[0] if all(name in values for values in settings) and (name != "path" or crowded)]
    differing = [name for name in names if len({values[name] for values in settings}) > 1]
    return [", ".join(f"{name}={values[name]}" for name in differing) for values in settings]


def _chosen_views(members: Sequence[RunRecord]) -> list[str]:
    """Return explicit training views if several sets have equal numbers of views."""
    crowded = _crowded(members)
    chosen = [member.spec.dataset_params.get("views", 0) for member in members]
    return [
        f"views={_short(views)}" if not isinstance(views, int) and _count(member) in crowded else ""
        for member, views in zip(members, chosen, strict=True)
    ]


def _digests(members: Sequence[RunRecord]) -> list[str]:
    crowded = _crowded(members)
    return [f"data={member.spec.data_digest[:8]}" if _count(member) in crowded else "" for member in members]


def _crowded(members: Sequence[RunRecord]) -> set[int]:
    """Return the numbers of views with more than one data set."""
    found = {(_count(member), member.spec.data_digest) for member in members if member.spec.data_digest}
    counts = [count for count, _ in found]
    return {count for count in counts if counts.count(count) > 1}


def _size(record: RunRecord) -> int | None:
    return max(record.volume_shape) if record.volume_shape else record.spec.dataset_params.get("size")


def _count(record: RunRecord) -> int:
    return record.views or view_count(record.spec)


def _data_settings(record: RunRecord) -> dict[str, str]:
    """Return the dataset parameters other than size, views and noise, as text."""
    return {name: _short(value) for name, value in record.spec.dataset_params.items() if name not in ("size", "views", *NOISE)}


def _short(value: Any) -> str:
    text = str(int(value) if isinstance(value, float) and value.is_integer() else plain(value))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 12]}... {hashlib.sha256(text.encode()).hexdigest()[:8]}"


def labels(records: Iterable[RunRecord]) -> dict[str, str]:
    """Return a short name for each run id, unique within one table: 'fdk', 'zerorf:fast', 'sart (iterations=20)'."""
    records = list(records)
    groups: dict[tuple[str, str, bool], list[RunRecord]] = {}
    for record in records:
        groups.setdefault((record.spec.method, record.spec.preset, bool(record.spec.weights_digest)), []).append(record)
    found = {}
    for (method, preset, fitted), members in groups.items():
        name = (method if preset == "default" else f"{method}:{preset}") + (" [pretrained]" if fitted else "")
        settings = {member.run_id: _settings(member.spec) for member in members}
        differing = [key for key in _settings(members[0].spec) if len({repr(values.get(key)) for values in settings.values()}) > 1]
        for member in members:
            values = ", ".join(f"{key}={settings[member.run_id].get(key)}" for key in differing)
            found[member.run_id] = f"{name} ({values})" if values else name
    return found


def _settings(spec: RunSpec) -> dict[str, Any]:
    """Return all settings that distinguish two runs of a method."""
    weights = {"weights": spec.weights_digest[:8]} if spec.weights_digest else {}
    return {**spec.method_params, **weights, **_budgets(spec), "revision": spec.method_revision}


def _budgets(spec: RunSpec) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in BUDGETS}
