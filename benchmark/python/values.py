"""Python values as the texts of the command line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from benchmark.storage.json_values import plain


def text(value: Any) -> str | None:
    """Return a number as the command line writes it; texts and None as they are."""
    return value if value is None or isinstance(value, str) else json.dumps(plain(value))


def path(value: str | os.PathLike[str] | None) -> str | None:
    """Return a path as text; a leading ~ is the home folder, as in a shell."""
    return None if value is None else os.path.expanduser(os.fspath(value))


def listed(value: Any) -> str | None:
    """Return one value or several with commas between: 10 and [10, 50] and [[0, 5, 9]] as '10', '10,50' and '[0, 5, 9]'."""
    if value is None or isinstance(value, str) or not isinstance(value := plain_value(value), list):
        return text(value)
    return ",".join("none" if item is None else str(text(item)) for item in value)


def settings(values: Mapping[str, Any] | Iterable[str] | str | None) -> tuple[str, ...]:
    """Return the texts of --set: those given, or 'zerorf.steps=50' for {'zerorf.steps': 50}."""
    if values is None or isinstance(values, str):
        return () if values is None else (values,)
    if not isinstance(values, Mapping):
        return tuple(values)
    return tuple(f"{key}={json.dumps(plain_value(value), ensure_ascii=False)}" for key, value in values.items())


def plain_value(value: Any) -> Any:
    """Return lists, numbers and texts in place of ranges, arrays and paths."""
    return plain(list(value) if isinstance(value, range) else value)
