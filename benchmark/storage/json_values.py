"""Convert any value to plain JSON: numbers, strings, lists and dicts that every JSON reader understands."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """Return the content in JSON's own types. NaN and infinities become the strings 'NaN', 'Infinity', '-Infinity'
    (JSON has no numbers for them; pydantic reads them back as floats); objects of unknown types become their repr.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # NumPy arrays and tensors
        return plain(value.tolist())
    return repr(value)


def dumps(value: Any, *, indent: int | None = None) -> str:
    """Return any value as strict JSON text."""
    return json.dumps(plain(value), indent=indent, allow_nan=False)
