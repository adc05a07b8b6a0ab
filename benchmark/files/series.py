"""Order the files of a series by the number in their names, and name those that do not belong to it.

Which number counts is decided by all names together: a gapless count before even steps before mere difference. Names that allow two
orders are an error.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmark.errors import InputError, note

WORD = re.compile(r"((?:(?<![0-9.)])[-+])?[0-9]+(?:[.,][0-9]+)?)")  # numbers with sign and decimals
SHOWN = 5  # names in a message
RENAME = "Rename the files so that one number counts the views, or give a pattern that fits only them (projections.file: folder/view*.tif)."
COUNTED, EVEN, DIFFERENT = 2, 1, 0


@dataclasses.dataclass(frozen=True)
class _Order:
    """One meaning of the names: a key for each file, and how regular the keys are."""

    meaning: str
    keys: tuple[tuple[float, ...], ...]  # of each file
    rank: int

    @property
    def order(self) -> list[int]:
        return sorted(range(len(self.keys)), key=self.keys.__getitem__)


def is_pattern(path: Path) -> bool:
    """Return True for a pattern such as `view*.tif` or `view???.tif`, unless a file or folder has this very name."""
    return any(sign in path.name for sign in "*?[") and not path.exists()


def in_order(paths: Sequence[Path]) -> list[Path]:
    """Sort paths by all numbers in their names, one after another: img2 before img10."""
    return sorted(
        paths, key=lambda path: [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", path.name)]
    )


def series(where: str, paths: Sequence[Path]) -> list[Path]:
    """Return the files of the series that most names belong to, in the order of the number that counts.

    Files whose names are built another way (alignment images, flats, previews) are left out and named in a note. Raise InputError for two
    series of about the same size, for names without a number, for a number twice, for a gap, and for names that allow two orders.
    """
    kinds: dict[tuple[str, ...], list[Path]] = {}
    for path in in_order(paths):
        kinds.setdefault(_frame(path), []).append(path)
    groups = sorted(kinds.values(), key=len, reverse=True)
    files, others = groups[0], [path for group in groups[1:] for path in group]
    if others and (len(others) >= len(files) or 2 * len(groups[1]) > len(files)):
        found = "; ".join(f"{len(group)} like {group[0].name}" for group in groups[:SHOWN]) + "; ..." * (len(groups) > SHOWN)
        raise InputError(where, expected="names that differ only in their numbers", found=found, fix=RENAME)
    ordered = _ordered(where, files) if len(files) > 1 else files
    _check_first(where, ordered, others)
    if others:
        shown = ", ".join(path.name for path in others[:SHOWN]) + f" and {len(others) - SHOWN} more" * (len(others) > SHOWN)
        note(f"{where}: {len(files)} files like {ordered[0].name} are used; left out, since they are named otherwise: {shown}")
    return ordered


def decimals_in(names: Sequence[str]) -> list[tuple[np.ndarray, float]]:
    """Return the numbers that stand at the same places of all names, with half a unit of the last digit: those with decimals, and whole
    ones that do not count."""
    rows = [WORD.findall(_stem(Path(name))) for name in names]
    found = []
    for column in zip(*rows, strict=True) if len({len(row) for row in rows}) == 1 else ():
        values = [_value(word) for word in column]
        if len(set(values)) == len(values) and _rank(sorted(values)) != COUNTED:
            digits = max(len(re.split("[.,]", word)[1]) if re.search("[.,]", word) else 0 for word in column)
            found.append((np.array(values, dtype=np.float64), 0.5 * 10.0**-digits))
    return found


def _frame(path: Path) -> tuple[str, ...]:
    """Return the text around the numbers of a name."""
    suffix = path.suffix.lower().replace(".tiff", ".tif")
    return (*WORD.split(_stem(path).lower())[::2], suffix if suffix[1:].isalpha() else "")


def _stem(path: Path) -> str:
    """Return the name without its ending; `view.0001` has none."""
    return path.stem if path.suffix[1:].isalpha() else path.name


def _check_first(where: str, files: list[Path], others: list[Path]) -> None:
    """Raise InputError for a file without a number beside others from 1 on: img.tif may be the first of img (1).tif, img (2).tif, ..."""
    words = WORD.findall(_stem(files[0]))
    bare = WORD.split(_stem(files[0]))[0].rstrip(" (-_").lower()
    if len(words) != 1 or words[0].lstrip("-+") != "1":
        return
    for path in others:
        if path.stem.lower() == bare and path.suffix.lower() == files[0].suffix.lower():
            found = f"{path.name} beside {files[0].name}, {files[1].name}, ..."
            fix = "Call it number 0 if it is the first view; else take it away, or give a pattern that does not fit it."
            raise InputError(where, expected="a number in each name", found=found, fix=fix)


def _ordered(where: str, files: list[Path]) -> list[Path]:
    columns = [list(column) for column in zip(*(WORD.findall(_stem(path)) for path in files), strict=True)]
    texts = WORD.split(_stem(files[0]))[::2]
    places = [place for place, column in enumerate(columns) if len(set(column)) > 1]
    changing = [columns[place] for place in places]
    if not changing:
        names = ", ".join(path.name for path in files[:SHOWN])
        raise InputError(where, expected="a number in each name", found=names, fix=RENAME)
    orders = [order for place in places for order in _orders(columns[place], texts[place])]
    rank = max((order.rank for order in orders), default=DIFFERENT)
    if rank == DIFFERENT and (len(changing) > 1 or not orders):
        orders += _nested(changing)
    best = [order for order in orders if order.rank == rank]
    if not best:
        keys = [tuple(map(_value, row)) for row in zip(*changing, strict=True)]
        raise InputError(where, expected="each number once", found=_twice(files, keys), fix="Remove one of the two.")
    for other in best[1:]:
        if other.order != best[0].order:
            found = " or ".join(f"{order.meaning} ({', '.join(files[k].name for k in order.order[:3])}, ...)" for order in (best[0], other))
            raise InputError(where, expected="names with one order", found=found, fix=RENAME)
    if rank > DIFFERENT:
        _check_gapless(where, sorted(key[0] for key in best[0].keys))
    return [files[k] for k in best[0].order]


def _orders(column: list[str], before: str) -> list[_Order]:
    """Return the meanings of one number in the names, of those that differ for each file: a (decimal) number, or a count behind a point."""
    plain = [word.lstrip("+-") for word in column]
    hyphen = all(word[0] in "+-" for word in column)
    surely = hyphen and (before[-1:].isalpha() or any(re.match("0[0-9]", word) for word in plain))  # as in scan-1 and in _-001
    found = [] if surely else [("the number", column)]
    if hyphen:
        found.append(("the number behind the hyphen", plain))
    parts = [re.split("[.,]", word) for word in plain]
    if all(len(part) == 2 for part in parts) and len({part[0] for part in parts}) == 1:
        found.append(("the count behind the point", [part[1] for part in parts]))
    orders = []
    for meaning, words in found:
        values = [_value(word) for word in words]
        if len(set(values)) == len(values):
            orders.append(_Order(f"{meaning} {words[0]}", tuple((value,) for value in values), _rank(sorted(values))))
    return orders


def _nested(columns: list[list[str]]) -> list[_Order]:
    """Return the meanings of several numbers that differ only together: counts within counts, or decimals behind another sign."""
    rows = list(zip(*columns, strict=True))
    whole = tuple(tuple(_value(word) for word in row) for row in rows)
    decimals = tuple((_value(row[0]), *(_value(f"0.{word}") if word.isdecimal() else _value(word) for word in row[1:])) for row in rows)
    found = [_Order("one number after another", whole, DIFFERENT), _Order("the later numbers as decimals", decimals, DIFFERENT)]
    return [order for order in found if len(set(order.keys)) == len(order.keys)]


def _value(word: str) -> float:
    """Return the number of a word: an int of any size, or a float."""
    return float(word.replace(",", ".")) if re.search("[.,]", word) else int(word)


def _rank(values: list[float]) -> int:
    """Return how regular sorted, different numbers are; a tenth of the steps (one of four or more) may differ."""
    steps = _steps(values)
    if len(steps) < 3:
        return DIFFERENT
    usual = float(np.median(steps))
    odd = int((np.abs(steps - usual) > 0.02 * usual + 1e-9).sum())
    if odd > max(len(steps) / 10, int(len(steps) >= 4)):
        return DIFFERENT
    return COUNTED if usual == 1 and all(isinstance(value, int) for value in values) else EVEN


def _check_gapless(where: str, values: list[float]) -> None:
    """Raise InputError for steps that are longer than the others."""
    steps = _steps(values)
    holes = np.flatnonzero(steps > 1.5 * np.median(steps))
    if len(holes):
        found = f"none between number {_shown(values[holes[0]])} and {_shown(values[holes[0] + 1])}"
        raise InputError(where, expected="a gapless series of images", found=found)


def _shown(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def _steps(values: list[float]) -> np.ndarray:
    return np.array([after - before for before, after in zip(values[:-1], values[1:], strict=True)], dtype=np.float64)


def _twice(files: list[Path], keys: list[tuple[float, ...]]) -> str:
    first: dict[tuple[float, ...], Path] = {}
    for path, key in zip(files, keys, strict=True):
        if key in first:
            return f"the same number in {first[key].name} and {path.name}"
        first[key] = path
    return ", ".join(path.name for path in files[:SHOWN])
