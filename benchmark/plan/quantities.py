"""Values of a plan for all its runs: size, views, seeds, noise, budget; read from YAML or flags, checked one by one."""

from __future__ import annotations

import math
import re
from typing import Any

from benchmark.errors import Mistakes
from benchmark.runtime.interval import Interval

MOST_VIEWS = 1_000_000  # a larger number is a mistake, and its list of angles alone would fill the memory
LARGEST_SEED = 2**63 - 1  # accepted by every generator


def sizes(value: Any) -> list[Any]:
    """Read `size: 64`, `native` or a list; the dataset's own model checks the numbers."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def views(value: Any, where: str, mistakes: Mistakes) -> list[Any]:
    """Read `views: 50` or `all`, or a list whose items are numbers of views, `all` or lists of indices."""
    if value is None:
        return []
    items = value if isinstance(value, list) else [value]
    good = []
    for item in items:
        defect = "" if item == "all" else views_defect(item)
        if defect:
            mistakes.add(where, expected=defect, found=repr(item))
        else:
            good.append(item)
    if not items:
        mistakes.add(where, expected="at least one number of views", found="none")
    return good


def views_defect(value: Any) -> str:
    """Return a description of valid values; '' if the value is valid."""
    if isinstance(value, int) and not isinstance(value, bool):
        return "" if 1 <= value <= MOST_VIEWS else "at least one view" if value < 1 else f"at most {MOST_VIEWS} views"
    if isinstance(value, list | tuple) and value and all(type(item) is int and item >= 0 for item in value):
        return "" if len(set(value)) == len(value) else "every view index once"
    return "a number of views (from 1), a list of view indices (from 0), or all"


def choice(views: str | None, size: str | None, least_views: int = 1) -> dict[str, Any]:
    """Read the flags --views (a number or all) and --size (a number or native) of one scan; flags not given are left out."""
    mistakes = Mistakes()
    found: dict[str, Any] = {}
    for key, text, word, least in (("views", views, "all", least_views), ("size", size, "native", 4)):
        if text is None:
            continue
        if text == word:
            found[key] = word
        elif text.strip().isdecimal() and int(text) >= least:
            found[key] = int(text)
        else:
            mistakes.add(f"--{key}", expected=f"a number from {least}, or {word}", found=repr(text))
    mistakes.raise_if_any("command line")
    return found


def seeds(value: Any, where: str, mistakes: Mistakes) -> list[int]:
    """Read `seeds: 0` or a list of seeds, each once."""
    items = value if isinstance(value, list) else [value]
    if not items or not all(type(item) is int and 0 <= item <= LARGEST_SEED for item in items):
        mistakes.add(where, expected=f"whole numbers from 0 to {LARGEST_SEED}", found=repr(value))
        return [0]
    return list(dict.fromkeys(items))


def noises(value: Any, where: str, photons: str | None, mistakes: Mistakes) -> list[dict[str, Any]]:
    """Read `noise: {photons: 1e5, electronic: 10}`, none, or a list of these; `photons` may be a list. Return the noise of each level.

    The flag --photons, numbers and none with commas between, replaces those of all levels. The dataset's own model checks the numbers.
    """
    found = [level for item in (value if isinstance(value, list) else [value]) for level in _noise(item, where, mistakes)]
    if not found:
        mistakes.add(where, expected="at least one noise, or none", found=repr(value))
    if photons is not None:
        items = [item.strip() for item in photons.split(",")]
        found = [{**level, "photons": None if item.lower() == "none" else item} for level in found for item in items]
    several = len(found) > 1
    found = [{} if several and level.get("photons", "") is None else level for level in found]  # the noise-free one of a list
    return [level for index, level in enumerate(found) if level not in found[:index]]


def _noise(value: Any, where: str, mistakes: Mistakes) -> list[dict[str, Any]]:
    if value is None or value == "none":
        return [{}]
    if not isinstance(value, dict):
        mistakes.add(where, expected="{photons: 1e5, electronic: 10} or none", found=repr(value))
        return [{}]
    valid = ("photons", "electronic")
    mistakes.check_keys(where, value, valid)
    given = {key: value[key] for key in valid if key in value}
    levels = given.get("photons")
    if not isinstance(levels, list):
        return [given]
    return [{**given, "photons": None if level == "none" else level} for level in levels]


_SECONDS = {"": 1, "s": 1, "min": 60, "h": 3600}
_WORK = ("steps", "samples", "projections")


def budget(value: Any, where: str, mistakes: Mistakes) -> dict[str, Any]:
    """Read '300s', '500steps', '2e9samples' or '200projections'; return the field of RunSpec that it sets."""
    if value is None:
        return {}
    number, unit = _quantity(value)
    if unit in _SECONDS and unit and number > 0:
        return {"budget_seconds": number * _SECONDS[unit]}
    if unit in _WORK and number >= 1 and number.is_integer():
        return {f"budget_{unit}": int(number)}
    mistakes.add(where, expected="a limit such as 300s, 5min, 1h, 500steps, 2e9samples or 200projections", found=repr(value))
    return {}


def interval(value: Any, where: str, mistakes: Mistakes) -> Interval | None:
    """Read '100', '100steps' or a time of the method such as '30s'."""
    if value is None:
        return None
    number, unit = _quantity(value)
    if unit in ("", "steps") and number >= 1 and number.is_integer():
        return Interval(steps=int(number))
    if unit in _SECONDS and unit and number > 0:
        return Interval(seconds=number * _SECONDS[unit])
    mistakes.add(where, expected="a number of steps such as 100, or a time such as 30s or 5min", found=repr(value))
    return None


def pictured_views(value: Any, where: str, mistakes: Mistakes) -> tuple[str | int, ...] | None:
    """Read names of projections along the axes and indices of training views: 'xy,xz,yz' or 'xy,0,5'."""
    if value is None:
        return None
    words = [word.strip() for word in str(value).strip("[]").split(",")]
    if not all(word in ("xy", "xz", "yz") or (word.isascii() and word.isdecimal()) for word in words):
        mistakes.add(where, expected="xy, xz, yz and indices of training views, such as xy,xz,yz or xy,0,5", found=repr(value))
        return None
    return tuple(dict.fromkeys(int(word) if word.isdecimal() else word for word in words))


def duration(value: Any, where: str, mistakes: Mistakes) -> float | None:
    """Return the seconds of '300s', '5min', '1.5h' or a plain number."""
    if value is None:
        return None
    number, unit = _quantity(value)
    if unit in _SECONDS and number > 0:
        return number * _SECONDS[unit]
    mistakes.add(where, expected="a duration such as 300s, 5min or 1h", found=repr(value))
    return None


def _quantity(value: Any) -> tuple[float, str]:
    """Return 2e9 and 'samples' of '2e9samples'; NaN and '' unless the value is a finite number followed by a unit."""
    match = re.fullmatch(r"\s*([0-9.]+(?:e[+-]?\d+)?)\s*([a-z]*)\s*", str(value))
    try:
        number = float(match.group(1)) if match and not isinstance(value, bool) else math.nan
    except ValueError:
        number = math.nan
    return (number, match.group(2)) if match and math.isfinite(number) else (math.nan, "")
