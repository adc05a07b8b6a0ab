"""Download and convert data in advance of the runs, with a progress bar on a terminal."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from benchmark.errors import InputError, Mistakes
from benchmark.plan.entries import Entry, resolve_entry
from benchmark.plan.plan import apply_sets
from benchmark.plan.sources import check_modules
from benchmark.plugins.isolation import call
from benchmark.plugins.registry import Registry
from benchmark.plugins.specs import DatasetSpec
from benchmark.storage import download

LINE_INTERVAL = 5.0  # [s] between plain progress lines


def prepare_datasets(registry: Registry, names: list[str], sets: tuple[str, ...], console: Console) -> None:
    """Prepare each dataset with its defaults and the values of `sets` (name.key=value). Raise InputError, before the first
    download, with every mistake in the names or values.
    """
    mistakes = Mistakes()
    entries = []
    for name in dict.fromkeys(names):
        try:
            registry.dataset(name, "prepare")
            entries.append(Entry(name, name, {}))
        except InputError as error:
            mistakes.note(error)
    apply_sets(registry, sets, entries, [], mistakes)
    chosen = [(registry.datasets[entry.name], values) for entry in entries for values in _resolved(registry, entry, mistakes)]
    mistakes.raise_if_any("prepare")
    for spec, values in chosen:
        _prepare_one(spec, values, console)


def _resolved(registry: Registry, entry: Entry, mistakes: Mistakes) -> list[dict[str, Any]]:
    spec = registry.datasets[entry.name]
    return resolve_entry(entry, spec, {}, mistakes) if spec.prepare is not None else [{}]


def _prepare_one(spec: DatasetSpec, values: dict[str, Any], console: Console) -> None:
    if spec.prepare is None:
        console.print(f"{escape(spec.name)}: nothing to prepare")
        return
    check_modules(spec)
    if console.is_terminal:
        with Progress(TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), console=console) as bars:
            task = bars.add_task(escape(spec.name), total=None)

            def show(done: int, total: int, what: str) -> None:
                bars.update(task, completed=done, total=total or None, description=escape(f"{spec.name}: {what}"))

            call(spec.prepare, spec.params(**values), show)
    else:
        call(spec.prepare, spec.params(**values), _lines(spec.name, console))
    console.print(f"{escape(spec.name)}: ready")


def _lines(name: str, console: Console) -> download.Progress:
    """Return a progress function that prints a line at the start of each stage and every few seconds."""
    last: dict[str, float] = {}

    def show(done: int, total: int, what: str) -> None:
        now = time.monotonic()
        if what not in last or now - last[what] >= LINE_INTERVAL:
            last[what] = now
            share = f" {100 * done / total:.0f}%" if total else ""
            console.print(escape(f"{name}: {what}{share}"), soft_wrap=True)

    return show
