"""Plan of runs, from a YAML file and flags. All mistakes are found before the first run and reported together.

The keys of the file are explained in configs/quick.yaml. Flags replace the file's values.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from benchmark.errors import InputError, Mistakes
from benchmark.plan import quantities
from benchmark.plan.entries import MOST_RUNS, Entry, read_entries, resolve_entry
from benchmark.plan.frames import KEY, set_frames
from benchmark.plan.offers import CaseWords, Offers
from benchmark.plugins.registry import Registry
from benchmark.plugins.specs import DatasetSpec, MethodSpec
from benchmark.records.record import RunSpec
from benchmark.records.suite import Suite
from benchmark.runtime.weights import Weights
from benchmark.scan.case import case_name, file_name
from benchmark.storage.yaml_file import parse_yaml, read_yaml

KEYS = ("datasets", "methods", "views", "size", "seeds", "noise", "budget", "output", "tuning", "baseline")
OF_THE_DATA = "results/<name of the data>-<date>"  # output of a run on the user's own data
CONFIGS = Path(__file__).parents[1] / "configs"


@dataclasses.dataclass(frozen=True)
class ScanFolder:
    """A folder of scans: those that datasets open, each with the name of its dataset, and the names of other files in it."""

    path: Path
    scans: tuple[tuple[str, Path], ...]
    others: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flags:
    """Flags of the command line that replace values of the file; None = not given. Texts as typed."""

    methods: str | None = None
    datasets: str | None = None
    views: str | None = None
    size: str | None = None
    frames: str | None = None
    seeds: str | None = None
    photons: str | None = None
    budget: str | None = None
    output: str | None = None
    sets: tuple[str, ...] = ()
    own_data: bool = False  # --scan or --volume
    scans: ScanFolder | None = None  # in place of datasets


@dataclasses.dataclass(frozen=True)
class Plan:
    """Ordered, fully resolved runs (their data digests are still empty) and the folder for their results."""

    source: str
    output: Path
    runs: tuple[RunSpec, ...]
    cases: Mapping[str, CaseWords] = dataclasses.field(default_factory=dict)  # by RunSpec.case_key, of cases with words
    notes: tuple[str, ...] = ()  # what was asked for and does not exist, and what runs instead
    suite: Suite = Suite()

    def name(self, spec: RunSpec) -> str:
        """Return the name of a run's case, '' if only loading it tells."""
        words = self.cases.get(spec.case_key)
        return words.name if words is not None else ""


def find_config(name: str | None) -> Path:
    """Return a path as given, or a file of configs/ by its bare name; quick.yaml if None."""
    path = Path(name or "quick")
    shipped = CONFIGS / f"{path.name.removesuffix('.yaml')}.yaml"
    if path.exists() and path.is_file():
        return path
    if path.name == str(path) and shipped.exists():
        return shipped
    known = ", ".join(sorted(file.stem for file in CONFIGS.glob("*.yaml"))) or "none found"
    raise InputError(f"config {path}", expected="a YAML file, or a name in configs/", found="no such file", fix=f"Names: {known}.")


def load_plan(registry: Registry, config: str | None, flags: Flags) -> Plan:
    """Read a file and apply the flags. Raise InputError with every mistake.

    For the user's own data without a file: all views, the data's own grid, and a folder of their own.
    """
    path = find_config(config)
    content = read_yaml(path)
    if flags.own_data and config is None:
        content = {**content, "views": "all", "size": "native", "output": OF_THE_DATA}
    return make_plan(registry, content, flags, source="plan" if config is None else path.name, name=path.stem)


def make_plan(registry: Registry, content: dict[str, Any], flags: Flags, *, source: str = "plan", name: str = "run") -> Plan:
    """Return the plan of a file's content and the flags. Raise InputError with every mistake."""
    mistakes = Mistakes()
    mistakes.check_keys("", content, KEYS)
    paths = {key: key for key in KEYS}
    content = _with_flags(dict(content), flags, paths, mistakes)
    grid = {
        "size": quantities.sizes(content.get("size")),
        "views": quantities.views(content.get("views"), paths["views"], mistakes),
    }
    noises = quantities.noises(content.get("noise"), paths["noise"], flags.photons, mistakes)
    origins = {key: f"noise.{key}" for noise in noises for key in noise} | {key: paths[key] for key in grid}
    if flags.photons is not None:
        origins["photons"] = "--photons"
    seeds = quantities.seeds(content.get("seeds", [0]), paths["seeds"], mistakes)
    budget = quantities.budget(content.get("budget"), paths["budget"], mistakes)
    suite = _suite(registry, name, content, mistakes)
    offers = Offers()
    if flags.scans is not None:
        datasets = _scans(registry, flags.scans, offers, mistakes)
    else:
        datasets = _entries(registry, "datasets", content, flags.datasets, mistakes)
    methods = _entries(registry, "methods", content, flags.methods, mistakes)
    flagged = {key for key in ("size", "views", "photons") if getattr(flags, key) is not None}
    for entry in datasets:  # a flag for all datasets wins over the file's value for one
        entry.values = {key: value for key, value in entry.values.items() if key not in flagged}
        entry.grid = {key: values for key, values in entry.grid.items() if key not in flagged}
    apply_sets(registry, flags.sets, datasets, methods, mistakes)
    for entry in datasets if flags.frames is not None else ():
        entry.grid.pop(KEY, None)
        set_frames(flags.frames or "", entry, registry.datasets[entry.name], mistakes)
    count = _count(registry, datasets, methods, grid, noises, seeds)
    if count > MOST_RUNS:  # before any of them is resolved
        mistakes.add("plan", expected=f"at most {MOST_RUNS} runs", found=f"{count}")
        mistakes.raise_if_any(source)
    cases = _cases(registry, datasets, grid, noises, origins, mistakes, offers)
    solvers = [
        (entry, params, weights_digest(registry.methods[entry.name], params, mistakes))
        for entry in methods
        for params in resolve_entry(entry, registry.methods[entry.name], {}, mistakes)
    ]
    for case in suite.tuning:
        if case not in (existing := {*registry.datasets, *(words.name for words in offers.cases.values() if words.name)}):
            mistakes.unknown("tuning", case, existing)
    mistakes.raise_if_any(source)
    specs = [
        RunSpec(
            dataset=dataset,
            dataset_params=case,
            dataset_revision=registry.datasets[dataset].revision,
            method=entry.name,
            preset=entry.preset,
            method_params=params,
            method_revision=registry.methods[entry.name].revision,
            seed=seed,
            weights_digest=weights,
            **budget,
        )
        for dataset, case in cases
        for entry, params, weights in solvers
        for seed in (seeds[:1] if registry.methods[entry.name].deterministic else seeds)
    ]
    runs = {spec.id: spec for spec in specs}
    if flags.scans is not None:
        _name_apart(offers.cases, runs.values())
    output = Path(str(content.get("output") or f"results/{name}"))
    plan = Plan(source, output, tuple(runs.values()), offers.cases, tuple(offers.notes), suite)
    if content.get("output") == OF_THE_DATA:
        of_one = plan.name(plan.runs[0]) or plan.runs[0].dataset
        named = file_name(of_one if flags.scans is None else case_name(flags.scans.path))
        plan = dataclasses.replace(
            plan, output=Path("results", f"{named}-{date.today():%Y%m%d}"), suite=suite.model_copy(update={"name": named})
        )
    return plan


def _with_flags(content: dict[str, Any], flags: Flags, paths: dict[str, str], mistakes: Mistakes) -> dict[str, Any]:
    """Return the file's values, replaced by those of the flags; `paths` then names the flag."""
    for key in ("views", "size", "seeds"):
        text = getattr(flags, key)
        if text is None:
            continue
        paths[key] = f"--{key}"
        try:
            content[key] = parse_yaml(f"[{text}]", f"--{key}")
        except InputError as error:
            mistakes.note(error)
            content.pop(key, None)
    for key in ("budget", "output"):
        if getattr(flags, key) is not None:
            content[key], paths[key] = getattr(flags, key), f"--{key}"
    return content


def _entries(registry: Registry, what: str, content: dict[str, Any], flag: str | None, mistakes: Mistakes) -> list[Entry]:
    """Return the entries of the file, or those that the flag names (with the file's values for them, unless a preset is named)."""
    if what not in content and flag is None:
        mistakes.add(what, expected="at least one name", found="none")
        return []
    written = read_entries(content[what], what, mistakes) if what in content else []
    if flag is not None:
        names = [name.strip() for name in flag.split(",") if name.strip()]
        if not names:
            mistakes.add(f"--{what}", expected="names with commas between", found=repr(flag))
        chosen: list[Entry] = []
        given = [entry for name in names for entry in read_entries(name, f"--{what}", mistakes)]
        for entry in _untagged(registry, given, f"--{what}", mistakes):
            chosen += [other for other in written if other.name == entry.name and entry.preset == "default"] or [entry]
        written = chosen
    known = []
    for entry in _untagged(registry, written, what, mistakes):
        try:
            getattr(registry, what.removesuffix("s"))(entry.name, entry.where.removesuffix(f".{entry.name}"))
            known.append(entry)
        except InputError as error:
            mistakes.note(error)
    return known


def _scans(registry: Registry, folder: ScanFolder, offers: Offers, mistakes: Mistakes) -> list[Entry]:
    """Return an entry for each scan of a folder that can be opened; a note names the rest. No such scan is a mistake."""
    entries, rest = [], [f"{name} (no scan)" for name in folder.others]
    for dataset, path in folder.scans:
        defects = offers.defects(registry.datasets[dataset], {"path": str(path)})
        if defects:
            rest.append(f"{path.name} ({'; '.join(text.removeprefix(f'{path}: ') for text in defects)})")
        else:
            entries.append(Entry(f"{path}", dataset, {"path": str(path)}))
    if not entries:
        mistakes.add(f"--scan {folder.path}", expected="at least one scan that can be opened", found=", ".join(rest))
    elif rest:
        offers.notes.append(f"{folder.path}: {len(rest)} of {len(rest) + len(entries)} left out: {', '.join(rest)}")
    return entries


def _name_apart(cases: dict[str, CaseWords], runs: Iterable[RunSpec]) -> None:
    """Give scans of one name in one folder the names of their files."""
    files = {spec.case_key: Path(spec.dataset_params["path"]) for spec in runs}
    names = {(cases[key].name, file) for key, file in files.items() if key in cases}
    taken = [name for name, _ in names]
    for key, file in files.items():
        if key in cases and taken.count(cases[key].name) > 1:
            cases[key] = dataclasses.replace(cases[key], name=file.name)


def _untagged(registry: Registry, entries: list[Entry], where: str, mistakes: Mistakes) -> list[Entry]:
    """Return the entries with one for each method of a tag in place of '@tag'."""
    found = []
    for entry in entries:
        if not entry.name.startswith("@"):
            found.append(entry)
            continue
        tag = entry.name.removeprefix("@")
        names = [name for name, spec in registry.methods.items() if tag in spec.tags]
        if not names:
            mistakes.unknown(f"{where}.@{tag}", tag, {tag for spec in registry.methods.values() for tag in spec.tags})
        found += [dataclasses.replace(entry, where=f"{where}.{name}", name=name) for name in names]
    return found


def _suite(registry: Registry, name: str, content: dict[str, Any], mistakes: Mistakes) -> Suite:
    """Return what the file declares of its cases and methods."""
    tuning, baseline = content.get("tuning") or [], content.get("baseline") or ""
    listed = tuning if isinstance(tuning, list) else [tuning]
    if not all(isinstance(item, str) for item in listed):
        mistakes.add("tuning", expected="names of datasets or cases, such as [thorax, phantom]", found=repr(tuning))
        listed = []
    if not isinstance(baseline, str):
        mistakes.add("baseline", expected="the name of a method", found=repr(baseline))
        baseline = ""
    method = baseline.partition(":")[0]
    if baseline and method not in registry.methods:
        mistakes.unknown("baseline", method, registry.methods)
    return Suite(name=name, tuning=tuple(listed), baseline=baseline)


def _count(
    registry: Registry, datasets: list[Entry], methods: list[Entry], grid: dict[str, list[Any]], noises: list[Any], seeds: list[int]
) -> int:
    """Return the number of runs that all axes together ask for."""
    cases = 0
    for entry in datasets:
        axes = {**grid, "photons": noises}
        lengths = [len(values) for key, values in axes.items() if key not in {*entry.values, *entry.grid}]
        cases += entry.combinations * math.prod(max(1, length) for length in lengths)
    repeats = (1 if registry.methods[entry.name].deterministic else len(seeds) for entry in methods)
    return cases * sum(entry.combinations * repeat for entry, repeat in zip(methods, repeats, strict=True))


def weights_digest(spec: MethodSpec, params: dict[str, Any], mistakes: Mistakes) -> str:
    """Return the digest of the weights file in a method's parameters; '' for none."""
    if spec.fit is None or params.get("weights") is None:
        return ""
    try:
        weights = Weights.read(Path(params["weights"]))
        weights.check(spec)
        return weights.digest
    except InputError as error:
        mistakes.note(error)
        return ""


def apply_sets(
    registry: Registry, sets: tuple[str, ...], datasets: list[Entry], methods: list[Entry], mistakes: Mistakes, option: str = "--set"
) -> None:
    """Apply --set name.key=value, or methods.name.key=value if a dataset shares the name. Messages name the option."""
    for text in sets:
        match = re.fullmatch(r"(?:(methods|datasets)\.)?([\w-]+)\.(\w+)=(.*)", text, re.DOTALL)
        if match is None:
            mistakes.add(f"{option} {text}", expected="name.key=value, such as zerorf.steps=50", found=repr(text))
            continue
        folder, name, key, written = match.groups()
        where = f"{option} {name}.{key}"
        groups = [(methods, registry.methods)] * (folder != "datasets") + [(datasets, registry.datasets)] * (folder != "methods")
        targets = [(entry, specs[name].params) for entries, specs in groups for entry in entries if entry.name == name]
        if not targets:
            mistakes.unknown(where, name, {entry.name for entries, _ in groups for entry in entries})
            continue
        fitting = [entry for entry, params in targets if key in params.model_fields]
        if not fitting:
            mistakes.unknown(where, key, targets[0][1].model_fields)
            continue
        try:
            value = parse_yaml(written, where)
        except InputError as error:
            mistakes.note(error)
            continue
        if {id(entry) for entry in fitting} & set(map(id, methods)) and {id(entry) for entry in fitting} & set(map(id, datasets)):
            mistakes.add(where, expected=f"methods.{name}.{key}=... or datasets.{name}.{key}=...", found="a name that is both")
            continue
        for entry in fitting:
            entry.override(key, value, where)


def _cases(
    registry: Registry,
    entries: list[Entry],
    grid: dict[str, list[Any]],
    noises: list[dict[str, Any]],
    origins: dict[str, str],
    mistakes: Mistakes,
    offers: Offers,
) -> list[tuple[str, dict[str, Any]]]:
    """Return (dataset, resolved parameters) of every case, ordered by dataset, then size, then views, then noise, then its grid."""
    found = []
    for entry in entries:
        spec = registry.datasets[entry.name]
        own = {*entry.values, *entry.grid}
        entry.origins = {key: place for key, place in origins.items() if key not in own} | entry.origins
        levels = [{key: value for key, value in noise.items() if key not in own} for noise in noises]
        levels = [level for index, level in enumerate(levels) if level not in levels[:index]]
        sizes = [None] if "size" in own else _possible_sizes(grid["size"], spec, offers) or [None]
        views = [None] if "views" in own else grid["views"] or [None]
        for size, view, level in itertools.product(sizes, views, levels):
            given = level | ({} if size is None else {"size": size}) | ({} if view is None else {"views": view})
            for params in resolve_entry(entry, spec, given, mistakes, offers):
                defect = quantities.views_defect(params["views"])
                if defect:
                    mistakes.add(entry.origins.get("views", f"{entry.where}.views"), expected=defect, found=repr(params["views"]))
                found.append((entry.name, params))
    return found


def _possible_sizes(sizes: list[Any], spec: DatasetSpec, offers: Offers) -> list[Any]:
    """Return the sizes of a list that a dataset allows; all of them if it allows none, which is then a mistake."""
    limits = [limit.le for limit in spec.params.model_fields["size"].metadata if hasattr(limit, "le")]
    most = min(limits, default=math.inf)
    possible = [size for size in sizes if not (type(size) is int and size > most)]
    if not possible or len(possible) == len(sizes):
        return sizes
    gone = ", ".join(str(size) for size in sizes if size not in possible)
    offers.notes.append(f"{spec.name}: size {gone} left out, at most {most} is possible")
    return possible
