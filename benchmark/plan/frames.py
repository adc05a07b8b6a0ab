"""Frames of a sequence as typed: all, ranges and numbers; and their division among fit, validation and test."""

from __future__ import annotations

import math
import re
from typing import TypeVar

from pydantic import ValidationError

from benchmark.errors import InputError, Mistakes
from benchmark.plan.entries import MOST_RUNS, Entry
from benchmark.plugins.specs import DatasetSpec, offer_of

KEY = "frame"  # parameter of a dataset that counts through a sequence
THIRDS = "thirds"
PIECE = re.compile(r"(\d+)|(\d*):(\d*)(?::(\d+))?")
Item = TypeVar("Item")


def set_frames(text: str, entry: Entry, spec: DatasetSpec, mistakes: Mistakes) -> None:
    """Turn --frames into an axis of the dataset's grid."""
    if KEY not in spec.params.model_fields:
        mistakes.add("--frames", expected=f"a dataset with a parameter '{KEY}'", found=f"'{spec.name}'")
    elif KEY in entry.values or KEY in entry.grid:
        mistakes.add("--frames", expected=f"no other value of {KEY}", found=f"{spec.name}.{KEY} beside it")
    else:
        try:
            entry.grid[KEY] = list(chosen_frames(text, entry, spec))
        except InputError as error:
            mistakes.note(error)
        except ValidationError:
            pass  # told when the entry is resolved


def chosen_frames(text: str, entry: Entry, spec: DatasetSpec) -> list[int]:
    """Return the frames of `all`, of ranges such as 0:48 or 0:48:2 (the last left out, as in Python) and numbers, commas between.

    Raise InputError for anything else, and for frames that the sequence does not have.
    """
    found: dict[int, None] = {}
    for piece in text.replace("all", ":").split(","):
        match = PIECE.fullmatch(piece.strip())
        if match is None or match[4] == "0":
            raise InputError("--frames", expected="all, ranges such as 0:48 or 0:48:2, and numbers, with commas between", found=f"'{text}'")
        if match[1]:
            found[int(match[1])] = None
            continue
        last = int(match[3]) if match[3] else _length(entry, spec)
        numbers = range(int(match[2] or 0), last, int(match[4] or 1))
        if not 0 < len(numbers) <= MOST_RUNS:
            raise InputError("--frames", expected=f"from 1 to {MOST_RUNS} frames", found=f"{len(numbers)} in '{piece}'")
        found.update(dict.fromkeys(numbers))
    return list(found)


def _length(entry: Entry, spec: DatasetSpec) -> int:
    """Return the number of frames of the entry's sequence. Raise InputError for a dataset that does not tell it."""
    offer = offer_of(spec.params, entry.values)
    if offer is None or offer.frames is None:
        raise InputError("--frames", expected="numbers", found=f"an open range; '{spec.name}' does not tell its number of frames")
    return offer.frames()


def shares(text: str) -> tuple[float, float, float]:
    """Return the shares of fit, validation and test. Raise InputError unless they are `thirds` or three numbers that sum to 1."""
    if text == THIRDS:
        return 1 / 3, 1 / 3, 1 / 3
    try:
        fit, validation, test = (float(word) for word in text.split(","))
    except ValueError:
        fit, validation, test = 0.0, 0.0, 0.0
    if not (fit > 0 and validation >= 0 and test >= 0 and abs(fit + validation + test - 1) < 1e-6):
        raise InputError("--split", expected=f"{THIRDS}, or shares of fit, validation and test such as 0.5,0.2,0.3", found=f"'{text}'")
    return fit, validation, test


def divided(items: list[Item], text: str | None) -> tuple[list[Item], list[Item], list[Item]]:
    """Return the first items for the fit, the next for its validation and the last for tests, in order. Raise InputError."""
    if text is None:
        return items, [], []
    fit, validation, _ = shares(text)
    first = math.floor(fit * len(items) + 1e-9)
    second = 2 * first if text == THIRDS else math.floor((fit + validation) * len(items) + 1e-9)
    if first < 1 or (validation and second == first):
        raise InputError("--split", expected="scans for each part", found=f"{len(items)} for '{text}'")
    return items[:first], items[first:second], items[second:]
