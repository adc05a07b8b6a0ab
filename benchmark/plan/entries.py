"""Items under `methods:` and `datasets:` of a plan, and the parameters they resolve to.

An item is a name, `name:preset`, or one name with values: `{zerorf: {preset: fast, steps: 100, grid: {rank: [8, 16]}}}`.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from benchmark.errors import Mistakes, validation_mistakes
from benchmark.plan.offers import Offers
from benchmark.plugins.specs import DatasetParams, DatasetSpec, MethodSpec
from benchmark.storage.json_values import plain

MOST_RUNS = 100_000  # a larger number is a mistake


@dataclasses.dataclass
class Entry:
    """One item: its place in the file, its name and values; `origins` names the source of values from elsewhere."""

    where: str
    name: str
    values: dict[str, Any]
    preset: str = "default"
    grid: dict[str, list[Any]] = dataclasses.field(default_factory=dict)
    origins: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def combinations(self) -> int:
        """Number of combinations of the grid's values."""
        return math.prod(map(len, self.grid.values()))

    def override(self, key: str, value: Any, origin: str) -> None:
        """Set a value from outside; it replaces the grid axis of that key."""
        self.grid.pop(key, None)
        self.values[key] = value
        self.origins[key] = origin


def read_entries(raw: Any, where: str, mistakes: Mistakes) -> list[Entry]:
    """Return the items of a list; a single item needs no list."""
    items = raw if isinstance(raw, list) else [raw]
    if not items or raw is None:
        mistakes.add(where, expected="at least one name", found="none")
        return []
    found = [_read_entry(item, f"{where}[{index}]" if isinstance(raw, list) else where, mistakes) for index, item in enumerate(items)]
    return [entry for entry in found if entry is not None]


def _read_entry(item: Any, where: str, mistakes: Mistakes) -> Entry | None:
    if isinstance(item, str):
        name, _, preset = item.partition(":")
        return Entry(f"{where}.{name}", name, {}, preset or "default")
    if not isinstance(item, dict) or len(item) != 1:
        mistakes.add(where, expected="a name, or one name with its values such as {fdk: {filter: hann}}", found=repr(item))
        return None
    ((name, values),) = item.items()
    name, _, preset = str(name).partition(":")
    place = f"{where}.{name}"
    values = {} if values is None else values
    if not isinstance(values, dict):
        mistakes.add(place, expected="keys and values", found=repr(values))
        return None
    values = {str(key): value for key, value in values.items()}
    grid = values.pop("grid", None)
    if "preset" in values and not preset:
        preset = str(values.pop("preset"))
    return Entry(place, name, values, preset or "default", _read_grid(grid, f"{place}.grid", mistakes))


def _read_grid(grid: Any, where: str, mistakes: Mistakes) -> dict[str, list[Any]]:
    if grid is None:
        return {}
    if not isinstance(grid, dict) or not all(isinstance(values, list) and values for values in grid.values()):
        mistakes.add(where, expected="keys with a list of values each, such as {rank: [8, 16]}", found=repr(grid))
        return {}
    return {str(key): values for key, values in grid.items()}


def resolve_entry(
    entry: Entry, spec: MethodSpec | DatasetSpec, below: Mapping[str, Any], mistakes: Mistakes, offers: Offers | None = None
) -> list[dict[str, Any]]:
    """Return every set of parameters of an entry, complete with defaults, as JSON values.

    Later wins: the model's defaults, the preset, `below` (the plan's values for all entries), the entry's values, its grid.
    A dataset's values are fitted to the data; `offers` collects the notes.
    """
    offers = offers or Offers()
    presets: Mapping[str, Mapping[str, Any]] = getattr(spec, "presets", {})
    if entry.preset != "default" and entry.preset not in presets:
        mistakes.unknown(f"{entry.where}.preset", entry.preset, ["default", *presets])
        return []
    mistakes.check_keys(f"{entry.where}.grid", entry.grid, spec.params.model_fields)
    for key in entry.grid.keys() & entry.values.keys():
        mistakes.add(f"{entry.where}.grid.{key}", expected="each key once", found=f"'{key}' both in the grid and beside it")
    if entry.combinations > MOST_RUNS:
        mistakes.add(f"{entry.where}.grid", expected=f"at most {MOST_RUNS} combinations", found=f"{entry.combinations}")
        return []
    known_grid = {key: values for key, values in entry.grid.items() if key in spec.params.model_fields}
    found = []
    for combination in itertools.product(*known_grid.values()):
        values = {**presets.get(entry.preset, {}), **below, **entry.values, **dict(zip(known_grid, combination, strict=True))}
        fitted = offers.fitted(spec, values, entry.where, entry.origins, mistakes) if isinstance(spec, DatasetSpec) else values
        if fitted is None:
            continue
        try:
            params = spec.params.model_validate(fitted)
            if isinstance(spec, DatasetSpec) and isinstance(params, DatasetParams):
                offers.describe(spec, values, params)
            found.append(plain(params.model_dump()))
        except ValidationError as error:
            validation_mistakes(mistakes, error, spec.params, entry.where, entry.origins)
    return found
