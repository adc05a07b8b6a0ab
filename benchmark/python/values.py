"""Python values as the texts of the command line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from benchmark.errors import InputError
from benchmark.storage.json_values import plain


def text(value: Any) -> str | None:
    """Return a number as the command line writes it; texts and None as they are."""
    return value if value is None or isinstance(value, str) else json.dumps(plain(value))


def path(value: str | os.PathLike[str] | None, where: str) -> str | None:
    """Return a path as text; a leading ~ is the home folder, as in a shell. Raise InputError for anything else and for no name."""
    if value is None:
        return None
    found = os.fspath(value) if isinstance(value, str | os.PathLike) else value
    if not isinstance(found, str) or not found.strip() or "\0" in found:
        raise InputError(where, expected="a path, as text or pathlib.Path", found=repr(value))
    return os.path.expanduser(found)


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
        texts = tuple(values) if isinstance(values, Iterable) else (values,)
        for item in texts:
            if not isinstance(item, str):
                raise InputError("set", expected='{"zerorf.steps": 50} or ["zerorf.steps=50"]', found=repr(item))
        return texts
    return tuple(f"{key}={json.dumps(plain_value(value), ensure_ascii=False)}" for key, value in values.items())


def plain_value(value: Any) -> Any:
    """Return the value in the types of a YAML file: lists for ranges, tuples and arrays, texts for paths."""
    if isinstance(value, Mapping):
        return {str(key): plain_value(item) for key, item in value.items()}
    if isinstance(value, range | list | tuple | set | frozenset):
        return [plain_value(item) for item in value]
    return plain(value)
