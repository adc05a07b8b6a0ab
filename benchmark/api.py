"""All that a plug-in may import. Cheap: no torch at import; heavy names are resolved on first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pydantic import Field

from benchmark.ct.geometry import ConeBeamGeometry
from benchmark.errors import InputError, MissingDependency
from benchmark.hooks import hookimpl
from benchmark.types import (
    Case,
    DatasetParams,
    DatasetSpec,
    MethodSpec,
    MetricSpec,
    Params,
    Reconstruction,
    ReporterSpec,
    RunRecord,
    RunSpec,
    Scan,
)

if TYPE_CHECKING:
    from benchmark.ct.integrate import line_integral
    from benchmark.ct.noise import add_noise
    from benchmark.ct.projector import Projector
    from benchmark.ct.rays import Rays, view_rays
    from benchmark.ct.simulate import simulate_scan
    from benchmark.run_context import Run

_LAZY = {
    "Projector": "benchmark.ct.projector",
    "Rays": "benchmark.ct.rays",
    "view_rays": "benchmark.ct.rays",
    "line_integral": "benchmark.ct.integrate",
    "add_noise": "benchmark.ct.noise",
    "simulate_scan": "benchmark.ct.simulate",
    "Run": "benchmark.run_context",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'benchmark.api' has no attribute '{name}'")


__all__ = [
    "Case",
    "ConeBeamGeometry",
    "DatasetParams",
    "DatasetSpec",
    "Field",
    "InputError",
    "MethodSpec",
    "MetricSpec",
    "MissingDependency",
    "Params",
    "Projector",
    "Rays",
    "Reconstruction",
    "ReporterSpec",
    "Run",
    "RunRecord",
    "RunSpec",
    "Scan",
    "add_noise",
    "hookimpl",
    "line_integral",
    "simulate_scan",
    "view_rays",
]
