"""The values a plan gives to all its runs: size, views, seeds, noise, budget; read from YAML or flags, checked one by one."""

from __future__ import annotations

import math
import re
from typing import Any

from benchmark.mistakes import Mistakes


def sizes(value: Any) -> list[Any]:
    """`size: 64` or a list; the dataset's own model checks the numbers."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def views(value: Any, where: str, mistakes: Mistakes) -> list[Any]:
    """`views: 50`, or a list whose items are numbers of views or lists of indices."""
    if value is None:
        return []
    items = value if isinstance(value, list) else [value]
    good = []
    for item in items:
        defect = views_defect(item)
        if defect:
            mistakes.add(where, expected=defect, found=repr(item))
        else:
            good.append(item)
    if not items:
        mistakes.add(where, expected="at least one number of views", found="none")
    return good


def views_defect(value: Any) -> str:
    """What would have been right; '' if the value is."""
    if isinstance(value, int) and not isinstance(value, bool):
        return "" if value >= 1 else "at least one view"
    if isinstance(value, list | tuple) and value and all(type(item) is int and item >= 0 for item in value):
        return "" if len(set(value)) == len(value) else "every view index once"
    return "a number of views (from 1) or a list of view indices (from 0)"


def seeds(value: Any, where: str, mistakes: Mistakes) -> list[int]:
    """`seeds: 0` or a list of seeds, each once."""
    items = value if isinstance(value, list) else [value]
    if not items or not all(type(item) is int and item >= 0 for item in items):
        mistakes.add(where, expected="whole numbers from 0", found=repr(value))
        return [0]
    return list(dict.fromkeys(items))


def noise(value: Any, where: str, mistakes: Mistakes) -> dict[str, Any]:
    """`noise: {photons: 1e5, electronic: 10}` or none; the dataset's own model checks the numbers."""
    if value is None or value == "none":
        return {}
    if not isinstance(value, dict):
        mistakes.add(where, expected="{photons: 1e5, electronic: 10} or none", found=repr(value))
        return {}
    valid = ("photons", "electronic")
    mistakes.check_keys(where, value, valid)
    return {key: value[key] for key in valid if key in value}


def budget(value: Any, where: str, mistakes: Mistakes) -> dict[str, Any]:
    """`500steps`, or a duration: the field of RunSpec that it sets."""
    match = re.fullmatch(r"\s*(\d+)\s*steps\s*", str(value))
    if match is None:
        return {"budget_seconds": duration(value, where, mistakes, expected="a duration such as 300s, 5min or 1h, or 500steps")}
    if int(match.group(1)) < 1:
        mistakes.add(where, expected="at least one step", found=repr(value))
    return {"budget_steps": int(match.group(1))}


def duration(value: Any, where: str, mistakes: Mistakes, expected: str = "a duration such as 300s, 5min or 1h") -> float | None:
    """Seconds of '300s', '5min', '1.5h' or a plain number."""
    if value is None:
        return None
    match = re.fullmatch(r"\s*([0-9.]+(?:e[+-]?\d+)?)\s*(s|min|h)?\s*", str(value))
    try:
        seconds = float(match.group(1)) * {"s": 1, "min": 60, "h": 3600}[match.group(2) or "s"] if match else math.nan
    except ValueError:
        seconds = math.nan
    if isinstance(value, bool) or not (math.isfinite(seconds) and seconds > 0):
        mistakes.add(where, expected=expected, found=repr(value))
        return None
    return seconds
