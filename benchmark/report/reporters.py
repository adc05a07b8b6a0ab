"""Files of the registered reporters for a results folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmark.errors import unknown_name
from benchmark.plugins.isolation import call
from benchmark.plugins.registry import Registry
from benchmark.records.results import Results


def write_reports(registry: Registry, results: Results, only: Sequence[str] = ()) -> tuple[list[Path], list[str]]:
    """Run every reporter (or `only` these); return the files written, and messages about failed reporters and unreadable records.

    Raise InputError for an unknown name.
    """
    paths: list[Path] = []
    problems: list[str] = []
    known = len(results.problems)
    for name in only:
        if name not in registry.reporters:
            raise unknown_name("--only", name, registry.reporters)
    for name in only or registry.reporters:
        reporter = registry.reporters[name]
        try:
            paths += call(reporter.target, results)
        except Exception as error:
            problems.append(f"report '{name}' could not be written: {type(error).__name__}: {error}")
    return paths, [*problems, *results.problems[known:]]
