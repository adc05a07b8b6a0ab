"""Compare two results folders: matching runs, differences of their scores, and all other differences."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmark.records.frame import row
from benchmark.records.record import RunRecord
from benchmark.report.columns import NARROW, Column, shown
from benchmark.report.statistics import Difference, paired_difference
from benchmark.report.summary import section_title

if TYPE_CHECKING:
    from benchmark.records.store import Results

MACHINE = ("platform", "processor", "cores")
CODE = ("benchmark", "git")
INCIDENTAL = ("process", "worker")  # differ between any two runs
_UNSET = {"data_digest": "", "dataset_revision": 1, "method_revision": 1}

_VERDICTS = (
    "Paired differences over cases (data and number of views) and seeds; the interval is the wider of a bootstrap over both and\n"
    "Student's t over seeds. 'higher' and 'lower' are significant at 95%; a single pair says nothing about seeds."
)


class Key(NamedTuple):
    """Key by which runs match: everything but the parameters, the code and the machine."""

    dataset: str
    case: str
    size: int
    noise: str
    views: int
    method: str
    preset: str
    seed: int

    @property
    def label(self) -> str:
        return self.method if self.preset == "default" else f"{self.method}:{self.preset}"

    @property
    def section(self) -> str:
        title = section_title(self.dataset, self.size, self.noise)
        return title if self.case == self.dataset else f"{self.case} ({title})"

    def __str__(self) -> str:
        return f"{self.section}, {self.views} views, {self.label}, seed {self.seed}"


@dataclasses.dataclass(frozen=True)
class Match:
    """A run in both folders."""

    key: Key
    a: RunRecord
    b: RunRecord

    def values(self, name: str) -> tuple[float | None, float | None]:
        """Return a metric, or a cost such as 'seconds', in A and in B."""
        return self.a.metrics.get(name, getattr(self.a, name, None)), self.b.metrics.get(name, getattr(self.b, name, None))

    def change(self, name: str) -> float | None:
        """Return B - A; None if either has no value."""
        a, b = self.values(name)
        return None if a is None or b is None else b - a

    @property
    def differences(self) -> list[str]:
        """Return all differences but the scores, e.g. 'parameters: iterations 20 -> 30'."""
        a, b = self.a, self.b
        found: list[tuple[Any, ...]] = [("status", _status(a), _status(b)), ("data digest", a.spec.data_digest, b.spec.data_digest)]
        found += [("data", *change) for change in _changes(a.spec.dataset_params, b.spec.dataset_params)]
        found += [("parameters", *change) for change in _changes(a.spec.method_params, b.spec.method_params)]
        found += [
            ("time budget [s]", a.spec.budget.seconds, b.spec.budget.seconds),
            ("budget of steps", a.spec.budget.steps, b.spec.budget.steps),
            ("budget of ray samples", a.spec.budget.samples, b.spec.budget.samples),
            ("budget of projections", a.spec.budget.projections, b.spec.budget.projections),
            ("method revision", a.spec.method_revision, b.spec.method_revision),
            ("dataset revision", a.spec.dataset_revision, b.spec.dataset_revision),
        ]
        texts = []
        for kind, *rest in found:
            *name, old, new = rest
            if old != new:
                texts.append(f"{kind}: {' '.join([*map(str, name), _text(old), '->', _text(new)])}")
        return texts + environment_changes(a, b)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Common and unmatched runs of two results folders. `str()` is Markdown that also reads well as plain text."""

    name_a: str
    name_b: str
    matches: tuple[Match, ...]
    only_a: tuple[Key, ...]
    only_b: tuple[Key, ...]

    def markdown(self) -> str:
        """Return the whole comparison as text."""
        counts = f"{len(self.matches)} runs in both, {len(self.only_a)} only in A, {len(self.only_b)} only in B."
        blocks = [f"A: {self.name_a}\nB: {self.name_b}\n\n{counts}"]
        if self.matches:
            blocks.append("## Mean change per method (B - A)\n\n" + _table(*self._means()))
            blocks.append("## Which differences are statistically significant\n\n" + _table(*self._verdicts()) + f"\n\n{_VERDICTS}")
        for title in dict.fromkeys(match.key.section for match in self.matches):
            members = [match for match in self.matches if match.key.section == title]
            blocks.append(f"## {title}: B, and B - A in brackets\n\n" + _table(*_scores(members)))
        blocks.append("## What else differs\n\n" + self._differences())
        for name, keys in (("A", self.only_a), ("B", self.only_b)):
            if keys:
                blocks.append(f"## Only in {name}\n\n" + "\n".join(f"- {key}" for key in keys))
        return "\n\n".join(blocks) + "\n"

    __str__ = markdown

    def _means(self) -> tuple[list[str], list[list[str]]]:
        columns = [column for column in NARROW if any(match.change(column.name) is not None for match in self.matches)]
        rows = []
        for label in dict.fromkeys(match.key.label for match in self.matches):
            members = [match for match in self.matches if match.key.label == label]
            rows.append([label, str(len(members)), *(_mean_change(members, column) for column in columns)])
        return ["Method", "Runs", *(column.heading for column in columns)], rows

    def difference(self, label: str, metric: str) -> Difference | None:
        """Return B - A of a metric over the cases (data and number of views) and seeds of a method; None if no run has it in both."""
        changes: dict[Hashable, list[float]] = {}
        for match in self.matches:
            if match.key.label == label and (change := match.change(metric)) is not None:
                changes.setdefault((match.key.section, match.key.views), []).append(change)
        return paired_difference(changes)

    def _verdicts(self) -> tuple[list[str], list[list[str]]]:
        rows = []
        for label in dict.fromkeys(match.key.label for match in self.matches):
            for column in (column for column in NARROW if column.ranked):
                change = self.difference(label, column.name)
                if change is not None:
                    bounds = "" if change.low is None else f"{_signed(change.low, column)} to {_signed(change.high, column)}"
                    counts = [str(change.cases), str(change.count)]
                    mean = _signed(change.mean, column)
                    verdict = change.verdict if float(mean) else "no difference seen"  # a difference too small to show is not claimed
                    rows.append([label, column.heading, mean, bounds, *counts, verdict])
        return ["Method", "Score", "B - A", "95% interval", "Cases", "Pairs", "B is"], rows

    def _differences(self) -> str:
        places: dict[str, list[Key]] = {}
        for match in self.matches:
            for text in match.differences:
                places.setdefault(text, []).append(match.key)
        if not places:
            return "Nothing: the same data, parameters, code and machine." if self.matches else "No run is in both."
        return "\n".join(f"- {text} ({self._where(keys)})" for text, keys in places.items())

    def _where(self, keys: Sequence[Key]) -> str:
        if len(keys) == len(self.matches):
            return "in all runs" if len(keys) > 1 else str(keys[0])
        if len(keys) <= 3:
            return "; ".join(map(str, keys))
        labels = ", ".join(dict.fromkeys(key.label for key in keys))
        return f"in {len(keys)} of {len(self.matches)} runs: {labels}"


def compare(a: Results, b: Results) -> Comparison:
    """Match the runs of two results folders. Runs that differ only in parameters are paired, the identical ones first."""
    groups_a, groups_b = _grouped(a.records), _grouped(b.records)
    matches: list[Match] = []
    only_a: list[Key] = []
    only_b: list[Key] = []
    for key in dict.fromkeys([*groups_a, *groups_b]):
        pairs, left_a, left_b = _pair(groups_a.get(key, []), groups_b.get(key, []))
        matches += [Match(key, *pair) for pair in pairs]
        only_a += [key] * left_a
        only_b += [key] * left_b
    return Comparison(str(a.folder), str(b.folder), tuple(matches), tuple(only_a), tuple(only_b))


def environment_changes(a: RunRecord, b: RunRecord) -> list[str]:
    """Return the differences in code and machine, e.g. 'code: git abc -> def'."""
    facts = (("engine", a.engine, b.engine), ("device", a.device, b.device))
    texts = [f"{name}: {_text(old)} -> {_text(new)}" for name, old, new in facts if old != new]
    for name, old, new in _changes(a.environment, b.environment):
        if name in INCIDENTAL:
            continue
        kind = "machine" if name in MACHINE else "code" if name in CODE else "software"
        texts.append(f"{kind}: {name} {_text(old)} -> {_text(new)}")
    return texts


def _grouped(records: Iterable[RunRecord]) -> dict[Key, list[RunRecord]]:
    groups: dict[Key, list[RunRecord]] = {}
    for record in records:
        values = row(record)
        groups.setdefault(Key(*(values[name] for name in Key._fields)), []).append(record)
    return groups


def _pair(a: list[RunRecord], b: list[RunRecord]) -> tuple[list[tuple[RunRecord, RunRecord]], int, int]:
    """Return pairs of identical runs, then of runs equal except for data and revisions, then with equal parameters, then the rest in
    order; and the numbers left over in a and in b."""
    pairs, rest_a, rest_b = [], list(a), list(b)
    for alike in (lambda r: r.run_id, lambda r: r.spec.model_copy(update=_UNSET), lambda r: r.spec.method_params, lambda r: None):
        for record in list(rest_a):
            twin = next((other for other in rest_b if alike(other) == alike(record)), None)
            if twin is not None:
                rest_a.remove(record)
                rest_b.remove(twin)
                pairs.append((record, twin))
    return pairs, len(rest_a), len(rest_b)


def _changes(a: dict[str, Any], b: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    return [(name, a.get(name), b.get(name)) for name in dict.fromkeys([*a, *b]) if a.get(name) != b.get(name)]


def _status(record: RunRecord) -> str:
    return "ok" if record.status == "ok" else f"{record.status} ({(record.reason or 'no reason').splitlines()[0]})"


def _text(value: Any) -> str:
    return "none" if value is None or value == "" else str(value)


def _signed(value: float | None, column: Column) -> str:
    if value is None:
        return ""
    text = f"{value:+.{column.decimals}f}"
    return text if float(text) else text.replace("-", "+")  # no negative zero


def _mean_change(members: Sequence[Match], column: Column) -> str:
    changes = [change for match in members if (change := match.change(column.name)) is not None]
    return _signed(sum(changes) / len(changes), column) if changes else ""


def _scores(members: Sequence[Match]) -> tuple[list[str], list[list[str]]]:
    """Return one row per run: for each quantity, B and in brackets the change from A."""
    columns = [column for column in NARROW if any(value is not None for match in members for value in match.values(column.name))]
    rows = []
    for match in members:
        cells = [str(match.key.views), match.key.label, str(match.key.seed)]
        for column in columns:
            a, b = match.values(column.name)
            change = _signed(match.change(column.name), column)
            cells.append(f"{shown(b, column.decimals) or 'none'} ({change or 'A: ' + (shown(a, column.decimals) or 'none')})")
        rows.append(cells)
    return ["Views", "Method", "Seed", *(column.heading for column in columns)], rows


def _table(heads: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table with aligned columns, right-aligned except for the names."""
    lines = [heads, *([cell.replace("|", "\\|") for cell in line] for line in rows)]
    widths = [max(3, *(len(line[place]) for line in lines)) for place in range(len(heads))]
    named = [head in ("Method", "Score", "B is") for head in heads]
    rule = ["-" * width if name else "-" * (width - 1) + ":" for width, name in zip(widths, named, strict=True)]

    def aligned(line: list[str]) -> str:
        cells = [text.ljust(width) if name else text.rjust(width) for text, width, name in zip(line, widths, named, strict=True)]
        return "| " + " | ".join(cells) + " |"

    return "\n".join(map(aligned, [lines[0], rule, *lines[1:]]))
