"""Titles of cases and runs, and short names that tell apart the runs of one table."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.records.record import RunRecord, RunSpec
from benchmark.scan.case import case_name
from benchmark.storage.json_values import plain
from benchmark.storage.visible import one_line_of

NOISE = {"blur": "blur", "scatter": "scatter", "photons": "poisson", "electronic": "gaussian"}  # noise that each dataset parameter adds
FRAME = "frame"  # dataset parameter that counts the frames of one sequence: tables show means over them
LONGEST = 60  # [characters] of a value in a title
MOST_TITLE = 200  # characters
BUDGETS = {"budget_seconds": "s", "budget_steps": "steps", "budget_samples": "ray samples", "budget_projections": "projections"}


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
    """Return the data of each run id by name, with the parameters that differ: 'phantom', 'phantom (arc=120)', 'my_scan'.

    The frames of a sequence have one name.
    """
    records = list(records)
    known = {record.spec.case_key: record.case for record in records if record.case}
    groups: dict[tuple[Any, ...], list[RunRecord]] = {}
    for record in records:
        groups.setdefault((_subject(record, known), grid_size(record), noise(record.spec)), []).append(record)
    found = {}
    for (name, *_), members in groups.items():
        for run_id, parts in _told_apart(members, (_datasets, _cases, _parameters, _chosen_views, _digests)):
            found[run_id] = _title(f"{name} ({', '.join(parts)})" if parts else name)
    return found


def case_names(records: Iterable[RunRecord]) -> dict[str, str]:
    """Return the case of each run id by name, the same for all numbers of views, sizes, noise and settings: 'chest', 'phantom-sphere'.

    What was measured or made counts as one case however often it is looked at: in `dataset_names` it may have several names. The frames
    of a sequence show one thing: they are one case.
    """
    records = list(records)
    known = {record.spec.case_key: record.case for record in records if record.case}
    groups: dict[str, list[RunRecord]] = {}
    for record in records:
        groups.setdefault(_subject(record, known), []).append(record)
    found = {}
    for name, members in groups.items():
        for run_id, parts in _told_apart(members, (_datasets, _bodies, _places)):
            found[run_id] = _title(f"{name} ({', '.join(parts)})" if parts else name)
    return found


def case_settings(records: Iterable[RunRecord], names: Mapping[str, str]) -> dict[str, str]:
    """Return how the case of each run id was looked at, if that differs within a case: 'arc=120', 'views=(0, 5, 9)', else ''.

    `names` are `case_names`. Size, number of views, noise and frame are not settings.
    """
    records = list(records)
    cases: dict[str, list[RunRecord]] = {}
    for record in records:
        cases.setdefault(names[record.run_id], []).append(record)
    given = {
        record.run_id: {name: text for name, text in _data_settings(record).items() if name not in ("path", FRAME)} for record in records
    }
    differing = {
        name
        for members in cases.values()
        for name in set.intersection(*(set(given[member.run_id]) for member in members))
        if len({given[member.run_id][name] for member in members}) > 1
    }
    groups: dict[tuple[Any, ...], list[RunRecord]] = {}
    texts = {}
    for record in records:
        texts[record.run_id] = ", ".join(f"{name}={value}" for name, value in given[record.run_id].items() if name in differing)
        groups.setdefault(
            (names[record.run_id], texts[record.run_id], record.spec.dataset_params.get("size"), noise(record.spec)), []
        ).append(record)
    for members in groups.values():
        for run_id, parts in _told_apart(members, (_chosen_views, _digests)):
            texts[run_id] = ", ".join(filter(None, [texts[run_id], *parts]))
    return texts


def _subject(record: RunRecord, known: Mapping[str, str]) -> str:
    """Return the name that a run's data go by; `known` are names of cases by key, for runs whose data were never loaded."""
    return subject(record.spec, "" if FRAME in record.spec.dataset_params else record.case or known.get(record.spec.case_key, ""))


def _datasets(members: Sequence[RunRecord]) -> list[str]:
    return [member.spec.dataset for member in members]


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
    """Return the names of cases, '' for frames; an unloaded case counts as the one with the same parameters."""
    known = {repr(_data_settings(member)): member.case for member in members if member.case}
    return [
        "" if FRAME in member.spec.dataset_params else member.case or known.get(repr(_data_settings(member))) or subject(member.spec)
        for member in members
    ]


def _bodies(members: Sequence[RunRecord]) -> list[str]:
    """Return names of cases that do not change with size, views or noise, even if a dataset has these in its names."""
    known: dict[str, str] = {}
    for member in members:
        if member.case:
            known.setdefault(repr(_data_settings(member)), member.case)
    return [
        "" if FRAME in member.spec.dataset_params else known.get(repr(_data_settings(member))) or subject(member.spec) for member in members
    ]


def _places(members: Sequence[RunRecord]) -> list[str]:
    """Return the paths of data that go by one name and are not the same. Equal data may lie in several folders."""
    data: dict[tuple[Any, ...], dict[str, set[str]]] = {}
    for member in members:
        spec, path = member.spec, str(member.spec.dataset_params.get("path", ""))
        if spec.data_digest:
            params = {name: value for name, value in spec.dataset_params.items() if name not in ("path", FRAME)}
            data.setdefault((spec.dataset_revision, repr(plain(params))), {}).setdefault(path, set()).add(spec.data_digest)
    apart = any(len(set(map(frozenset, paths.values()))) > 1 for paths in data.values())
    return [
        f"path={_short(member.spec.dataset_params['path'])}" if apart and "path" in member.spec.dataset_params else "" for member in members
    ]


def _parameters(members: Sequence[RunRecord]) -> list[str]:
    """Return the shared parameters that differ. Equal data may lie in several folders."""
    settings = [_data_settings(member) for member in members]
    crowded = _crowded(members)
    names = [name for name in settings[0] if all(name in values for values in settings) and (name != "path" or crowded)]
    names = [name for name in names if name != FRAME]
    differing = [name for name in names if len({values[name] for values in settings}) > 1]
    return [", ".join(f"{name}={values[name]}" for name in differing) for values in settings]


def _chosen_views(members: Sequence[RunRecord]) -> list[str]:
    """Return explicit training views if several sets have equal numbers of views."""
    crowded = _crowded(members)
    chosen = [member.spec.dataset_params.get("views", 0) for member in members]
    return [
        f"views={_short(views)}" if not isinstance(views, int) and _place(member) in crowded else ""
        for member, views in zip(members, chosen, strict=True)
    ]


def _digests(members: Sequence[RunRecord]) -> list[str]:
    crowded = _crowded(members)
    return [f"data={member.spec.data_digest[:8]}" if _place(member) in crowded else "" for member in members]


def _crowded(members: Sequence[RunRecord]) -> set[tuple[int, Any]]:
    """Return the places with more than one data set."""
    found = {(_place(member), member.spec.data_digest) for member in members if member.spec.data_digest}
    places = [place for place, _ in found]
    return {place for place in places if places.count(place) > 1}


def _place(record: RunRecord) -> tuple[int, Any]:
    """Return what data of one name may differ in: the number of views, and the frame."""
    return number_of_views(record), record.spec.dataset_params.get(FRAME)


def grid_size(record: RunRecord) -> int | None:
    """Return the voxels along the longest edge of a run's volume; the requested ones where there is no volume, None if unknown."""
    return max(record.volume_shape) if record.volume_shape else record.spec.dataset_params.get("size")


def number_of_views(record: RunRecord) -> int:
    """Return the number of training views that a run had; the requested number if it had none."""
    return record.views or view_count(record.spec)


def _data_settings(record: RunRecord) -> dict[str, str]:
    """Return the dataset parameters other than size, views and noise, as text."""
    return {name: _short(value) for name, value in record.spec.dataset_params.items() if name not in ("size", "views", *NOISE)}


def _short(value: Any) -> str:
    text = str(int(value) if isinstance(value, float) and value.is_integer() else plain(value))
    return (
        text
        if len(text) <= LONGEST
        else f"{text[: LONGEST - 12]}... {hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
    )


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
            found[member.run_id] = _title(f"{name} ({values})" if values else name)
    return found


def _title(text: str) -> str:
    """Return a text as one line; one that is cut stays distinct, since tables average over the runs of one title."""
    mark = f" #{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}" if len(text) > MOST_TITLE else ""
    return one_line_of(text, MOST_TITLE) + mark


def _settings(spec: RunSpec) -> dict[str, Any]:
    """Return all settings that distinguish two runs of a method."""
    weights = {"weights": spec.weights_digest[:8]} if spec.weights_digest else {}
    return {**spec.method_params, **weights, **budgets(spec), "revision": spec.method_revision}


def budgets(spec: RunSpec) -> dict[str, Any]:
    """Return what a run may use, by the columns of BUDGETS; None is unlimited."""
    return {name: getattr(spec, name) for name in BUDGETS}


def subject(spec: RunSpec, case: str = "") -> str:
    """Return the name that a run's data go by: the dataset's, or for the user's own data the case's, else the name of the file."""
    path = spec.dataset_params.get("path")
    if not isinstance(path, str):
        return spec.dataset
    return one_line_of(case or case_name(Path(path).parent if Path(path).name == "scan.yaml" else Path(path)), MOST_TITLE)


def case_title(spec: RunSpec, case: str = "") -> str:
    """Return a title such as 'chest 64, 10 views, poisson 1e+05'; `case` is the case's name, if known."""
    return case_words(subject(spec, case), spec.dataset_params.get("size", ""), view_count(spec), noise(spec))


def run_title(spec: RunSpec, case: str = "") -> str:
    """Return a title such as 'chest 64, 10 views: zerorf:fast, seed 1'; `case` is the case's name, if known."""
    method = spec.method if spec.preset == "default" else f"{spec.method}:{spec.preset}"
    return f"{case_title(spec, case)}: {method}" + (f", seed {spec.seed}" if spec.seed else "")


def outcome(record: RunRecord) -> str:
    """Return 'volume 31.20 dB, held-out 44.10 dB, fit 48.00 dB, 105.0 s on cuda:0, native', or the reason for having no result."""
    if record.status != "ok":
        return f"{record.status}: {record.reason}"
    scores = decibels(record.metrics)
    parts = [scores] if scores else []
    parts.append(f"{record.seconds or 0:.1f} s" + (f" on {record.device}" if record.device else ""))
    parts += [record.engine] if record.engine else []
    return ", ".join(parts) + (f" ({record.reason})" if record.reason else "")


def decibels(metrics: Mapping[str, float | None]) -> str:
    """Return 'volume 31.20 dB, held-out 44.10 dB, fit 48.00 dB', without those that are not known."""
    names = {"volume_psnr": "volume", "projection_psnr": "held-out", "fit_psnr": "fit"}
    values = [(label, metrics.get(name)) for name, label in names.items()]
    return ", ".join(f"{label} {value:.2f} dB" for label, value in values if value is not None)
