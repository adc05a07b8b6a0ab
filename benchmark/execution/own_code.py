"""The method's own code in a traceback: which file and line of its package failed."""

from __future__ import annotations

import contextlib
import importlib.util
import traceback
from pathlib import Path

from benchmark.conformance.imports import package_of
from benchmark.execution.job import MethodCall
from benchmark.machine.stacks import in_words


def folder_of(call: MethodCall) -> Path | None:
    """Return the folder of a method's package, or the file of its only module; None if it has no import path."""
    if call.function is None:
        return None
    with contextlib.suppress(ImportError, ValueError, AttributeError):
        spec = importlib.util.find_spec(package_of(call.function.partition(":")[0]))
        if spec is not None:
            place = next(iter(spec.submodule_search_locations or ()), spec.origin)
            return Path(place) if place else None
    return None


def place_of(error: BaseException, package: Path | None) -> str:
    """Return 'my_method.py:12 in reconstruct', the last frame of the package in an error's traceback; '' if there is none."""
    frames = [in_words(frame.filename, frame.lineno or 0, frame.name, package) for frame in traceback.extract_tb(error.__traceback__)]
    return next((words for words in reversed(frames) if words), "")
