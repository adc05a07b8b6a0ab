"""JSON files that hold a digest of their own content: a changed number is found when the file is read."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from benchmark.errors import one_line
from benchmark.storage.json_values import dumps, plain

KEY = "content_digest"
UNREADABLE = (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError)  # errors of any stored JSON file


def with_digest(values: dict[str, Any]) -> str:
    """Return the text of a file with these values and their digest."""
    content = plain(values)
    return dumps({**content, KEY: _digest(content)}, indent=1) + "\n"


def read_checked(path: Path) -> dict[str, Any]:
    """Return the values of a file; files of versions without a digest are taken as they are.

    Raise OSError for a file that cannot be opened, ValueError for any defect of its content.
    """
    content = path.read_bytes()
    try:
        values = json.loads(content)
        if not isinstance(values, dict):
            raise ValueError(f"expected an object, found a {type(values).__name__}")
        stated = values.pop(KEY, None)
        if stated is not None and stated != _digest(values):
            raise ValueError("its content is not what was written")
        return values
    except UNREADABLE as error:
        raise ValueError(one_line(error)) from error


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
