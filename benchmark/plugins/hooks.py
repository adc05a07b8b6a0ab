"""Hooks for plug-ins (pluggy). Mark an implementation with `benchmark.api.hookimpl`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from benchmark.plugins.specs import DatasetSpec, MethodSpec, MetricSpec, ReporterSpec, ScanFormatSpec, SpeedSpec
    from benchmark.records.record import RunRecord, RunSpec

PROJECT = "benchmark"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Decorator that marks a function as a plug-in's implementation of a hook, such as `register_methods`; docs/hooks.md lists the hooks."""


@hookspec
def register_methods() -> list[MethodSpec]:
    """Return the reconstruction methods of this plug-in."""
    raise NotImplementedError


@hookspec
def register_datasets() -> list[DatasetSpec]:
    """Return the datasets of this plug-in."""
    raise NotImplementedError


@hookspec
def register_metrics() -> list[MetricSpec]:
    """Return the metrics of this plug-in."""
    raise NotImplementedError


@hookspec
def register_reporters() -> list[ReporterSpec]:
    """Return the reporters of this plug-in."""
    raise NotImplementedError


@hookspec
def register_scan_formats() -> list[ScanFormatSpec]:
    """Return the scanners' files that this plug-in reads, for the command `new-scan`."""
    raise NotImplementedError


@hookspec
def register_speed() -> list[SpeedSpec]:
    """Return measurements of speed of this plug-in's methods, for the command `speed`."""
    raise NotImplementedError


@hookspec
def run_started(spec: RunSpec) -> None:
    """Observe the start of a run."""


@hookspec
def run_finished(record: RunRecord) -> None:
    """Observe a finished (or failed, or skipped) run."""
