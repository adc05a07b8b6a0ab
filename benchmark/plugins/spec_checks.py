"""Validation of a plug-in's spec, with defects described in words."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any, get_type_hints

from pydantic import BaseModel, TypeAdapter, ValidationError

from benchmark.plugins.specs import DatasetParams, DatasetSpec, MethodSpec, Params, SpeedSpec, Target

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
TARGETS = (
    "target",
    "skip",
    "prepare",
    "field",
    "fit",
    "memory",
    "ratios",
    "training_step",
    "recognises",
    "read",
)  # fields of the specs that hold a target
NEEDED = ("target", "recognises", "read")  # the rest may be None
RESERVED = ("preset", "grid")  # keys with a special meaning in plans


def defect(kind: type, spec: Any) -> str | None:
    """Return the defect of a spec, or None."""
    if not isinstance(spec, kind):
        return f"expected a {kind.__name__}, found {type(spec).__name__}"
    name = getattr(spec, "name", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        return "expected a name of letters, digits, '_' and '-' that starts with a letter"
    for field, expected in _plain_fields(kind).items():
        try:
            expected.validate_python(getattr(spec, field))
        except ValidationError as error:
            first = error.errors()[0]
            return f"{'.'.join(map(str, (field, *first['loc'])))}: {first['msg']}, found {first['input']!r}"
    targets = {field: getattr(spec, field) for field in TARGETS if hasattr(spec, field)}
    targets |= {f"opens.{what}": target for what, target in getattr(spec, "opens", {}).items()}
    for field, target in targets.items():
        if isinstance(target, str) and not re.fullmatch(r"[\w.]+:[\w.]+", target):
            return f"{field}: expected a callable or 'package.module:name', found {target!r}"
        if not isinstance(target, str) and not callable(target) and (target is not None or field in NEEDED):
            return f"{field}: expected a callable or 'package.module:name', found {type(target).__name__}"
    if isinstance(spec, SpeedSpec) and spec.ratios is None and spec.training_step is None:
        return "expected ratios or training_step, found neither"
    wrong = [tag for tag in getattr(spec, "tags", ()) if not _NAME.fullmatch(tag)]
    if wrong:
        return f"tags: expected names of letters, digits, '_' and '-', found {wrong[0]!r}"
    return _params_defect(spec) if isinstance(spec, MethodSpec | DatasetSpec) else None


@functools.cache
def _plain_fields(kind: type) -> dict[str, TypeAdapter[Any]]:
    """Return type adapters for the fields of a spec other than name, params and targets."""
    hints = {field: hint for field, hint in get_type_hints(kind).items() if field not in ("name", "params")}
    hints |= {"opens": Mapping[str, Any]} if "opens" in hints else {}  # to targets
    return {field: TypeAdapter(hint) for field, hint in hints.items() if hint not in (Target, Target | None)}


def _params_defect(spec: MethodSpec | DatasetSpec) -> str | None:
    base: type[BaseModel] = DatasetParams if isinstance(spec, DatasetSpec) else Params
    if not (isinstance(spec.params, type) and issubclass(spec.params, base)):
        return f"params: expected a subclass of benchmark.api.{base.__name__}, found {spec.params!r}"
    taken = [key for key in RESERVED if key in spec.params.model_fields]
    if taken:
        return f"params: the key '{taken[0]}' is reserved for plans"
    if getattr(spec, "fit", None) is not None and "weights" not in spec.params.model_fields:
        return "params: a method with fit() needs the key 'weights', the path of a file or None"
    for preset, values in getattr(spec, "presets", {}).items():
        try:
            spec.params(**values)
        except ValidationError as error:
            wrong = [mistake for mistake in error.errors() if mistake["type"] != "missing"]  # values that only the user can give
            if not wrong:
                continue
            first = wrong[0]
            return f"preset '{preset}': {'.'.join(map(str, first['loc']))}: {first['msg']}"
    return None
