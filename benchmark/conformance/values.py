"""Alternative values of a declared parameter, found from its type and bounds."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from benchmark.plugins.specs import Params


def another(params: Params, name: str) -> Any:
    """Return a legal value of a parameter other than the present value; the present value if none was found."""
    present = getattr(params, name)
    for candidate in _candidates(type(params).model_fields[name], present):
        try:
            changed = type(params)(**{**params.model_dump(), name: candidate})
        except (ValidationError, ValueError):
            continue
        if getattr(changed, name) != present:
            return candidate
    return present


def _candidates(field: FieldInfo, present: Any) -> Iterator[Any]:
    """Yield candidate values, nearest first: large ones are too much for a small scan."""
    yield from _choices(field.annotation)
    if isinstance(present, bool):
        yield not present
    elif isinstance(present, int):
        yield from (max(1, present // 2), present - 1, present + 1)
    elif isinstance(present, float):
        yield from (present / 2, present * 2, 0.5, 1.0)
    elif isinstance(present, tuple) and present:
        yield from (present[:-1], (*present, present[-1]))
    else:  # None, 'auto'
        yield from (2, 1, 0.5, 0.01, 8)


def _choices(annotation: Any) -> Iterator[Any]:
    """Return the values of every Literal inside a type."""
    if typing.get_origin(annotation) is Literal:
        yield from typing.get_args(annotation)
    else:
        for part in typing.get_args(annotation):
            yield from _choices(part)
