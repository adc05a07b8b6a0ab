"""Find the dataset that opens a user's path: `--scan PATH`, `--volume PATH`."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.errors import InputError, MissingDependency, Mistakes, collected_notes, note
from benchmark.machine.environment import needs
from benchmark.plan.entries import Entry, resolve_entry
from benchmark.plan.offers import Offers
from benchmark.plan.plan import ScanFolder, apply_sets
from benchmark.plugins.isolation import call
from benchmark.plugins.registry import Registry
from benchmark.plugins.specs import DatasetSpec
from benchmark.scan.case import Case


def dataset_for(registry: Registry, what: str, path: Path) -> DatasetSpec:
    """Return the dataset whose `opens[what]` accepts the path. Raise InputError if there is no such file or no dataset accepts it."""
    where = f"--{what} {path}"
    openers = {name: spec for name, spec in registry.datasets.items() if what in spec.opens}
    if not path.exists() and "*" not in path.name:
        raise InputError(where, expected="a file or folder", found="none")
    for spec in openers.values():
        if call(spec.opens[what], path):
            return spec
    kinds = "; ".join(f"{name}: {spec.summary}" for name, spec in openers.items())
    fix = f"Describe your own files: python -m benchmark new-scan {shlex.quote(str(path))}" if what == "scan" and path.is_dir() else ""
    raise InputError(where, expected=f"one of these ({kinds})", found="something else", fix=fix)


def _opener(registry: Registry, kinds: Sequence[str], path: Path) -> tuple[str, DatasetSpec]:
    """Return the first kind of data that the path is, and its dataset. Raise the InputError of the first kind if it is none of them."""
    for what in kinds:
        with contextlib.suppress(InputError):
            return what, dataset_for(registry, what, path)
    return kinds[0], dataset_for(registry, kinds[0], path)


def flags_for(registry: Registry, what: str, path: str, chosen: str | None = None) -> tuple[str, str]:
    """Return the equivalent values of `--datasets` and `--set`; `chosen`, a dataset named by the user, gets the path.

    Raise InputError if `chosen` takes no path.
    """
    spec = dataset_for(registry, what, Path(path)) if chosen is None else registry.dataset(chosen, "--datasets")
    if "path" not in spec.params.model_fields:
        raise InputError(f"--{what} {path}", expected="a dataset that takes a path", found=f"--datasets {spec.name}")
    return spec.name, f"datasets.{spec.name}.path={json.dumps(path)}"


def scans_in(registry: Registry, scan: str) -> list[tuple[DatasetSpec, str | None]]:
    """Return the dataset of this name, the dataset that opens this path, or those that open the files in this folder; each with its path.

    Raise InputError if no dataset can open the path.
    """
    if scan in registry.datasets or not Path(scan).exists():
        return [(registry.dataset(scan, "scan"), None)]
    folder = scan_folder(registry, Path(scan))
    if folder is None:
        return [(dataset_for(registry, "scan", Path(scan)), scan)]
    return [(registry.datasets[name], str(path)) for name, path in folder.scans]


def scan_folder(registry: Registry, path: Path, chosen: str | None = None) -> ScanFolder | None:
    """Return the scans in a folder, of the dataset `chosen` if given; None for one scan by itself, and where there are no scans in it.

    Hidden files are no part of it.
    """
    if not path.is_dir() or any(call(spec.opens["scan"], path) for spec in registry.datasets.values() if "scan" in spec.opens):
        return None
    scans, others = [], []
    for inside in sorted(inside for inside in path.iterdir() if not inside.name.startswith(".")):
        with contextlib.suppress(InputError):
            spec = dataset_for(registry, "scan", inside)
            if chosen in (None, spec.name):
                scans.append((spec.name, inside))
                continue
        others.append(inside.name)
    return ScanFolder(path, tuple(scans), tuple(others)) if scans else None


def check_modules(spec: DatasetSpec) -> None:
    """Raise MissingDependency if a module that a dataset needs is missing."""
    missing = needs(spec.requires)
    if missing:
        raise MissingDependency(f"{spec.name} {missing}")


def load_case(spec: DatasetSpec, values: dict[str, Any]) -> Case:
    """Return the case of a dataset with these resolved parameters. Raise MissingDependency if a module that it needs is missing."""
    check_modules(spec)
    with collected_notes() as notes:
        case = call(spec.target, spec.params(**values))
    if not isinstance(case, Case):
        raise TypeError(f"a dataset must return a benchmark.api.Case, '{spec.name}' returned {type(case).__name__}")
    return dataclasses.replace(case, notes=tuple(dict.fromkeys((*case.notes, *notes)))) if notes else case


def open_case(
    registry: Registry,
    scan: str,
    given: Mapping[str, Any],
    sets: tuple[str, ...],
    *,
    whole: bool = False,
    kinds: Sequence[str] = ("scan",),
) -> Case:
    """Return the case of a dataset's name or of a path, with `given` (size, views) and --set name.key=value. Raise InputError.

    The path is what the first of `kinds` ('scan', 'volume') opens.

    What was left out since it does not exist, and the case's own notes, are told (`note`). `whole`: a path without numbers means all
    views on the data's own grid.
    """
    if scan in registry.datasets or not Path(scan).exists():
        spec = registry.dataset(scan, "scan")
    else:
        what, spec = _opener(registry, kinds, Path(scan))
        sets = (flags_for(registry, what, scan, spec.name)[1], *sets)
        given = {**({"views": "all", "size": "native"} if whole else {}), **given}
    mistakes = Mistakes()
    entry = Entry("scan", spec.name, {})
    apply_sets(registry, sets, [entry], [], mistakes)
    offers = Offers()
    with collected_notes():  # told when the case is loaded
        found = resolve_entry(entry, spec, given, mistakes, offers)
    mistakes.raise_if_any("scan")
    case = load_case(spec, found[0])
    for line in (*offers.notes, *(f"{case.name}: {line}" for line in case.notes)):
        note(line)
    return case
