"""Seed: a benchmark harness for sparse-view cone-beam CT, from Python; docs/python.md tells how.

Cheap: every name is imported on first use. After a change of the table, `make docs` writes __init__.pyi, which type checkers and
editors read, and the page.
"""

from __future__ import annotations

from typing import Any

from benchmark.machine.threads import limit_spinning
from benchmark.plugins.exports import Exports

limit_spinning()  # here, since it works only before torch or the kernels load an OpenMP runtime

EXPORTS = Exports(
    "benchmark",
    {
        "Runs": {
            "run": "benchmark.python.sweeps",
            "reconstruct": "benchmark.python.volumes",
            "RunFailed": "benchmark.python.volumes",
        },
        "Data and scores": {
            "load_case": "benchmark.python.cases",
            "score": "benchmark.python.cases",
        },
        "Results": {
            "load_results": "benchmark.python.cases",
            "compare": "benchmark.python.cases",
            "Comparison": "benchmark.report.compare",
        },
        "Types": {
            "Case": "benchmark.scan.case",
            "ConeBeamGeometry": "benchmark.scan.geometry",
            "InputError": "benchmark.errors",
            "MissingDependency": "benchmark.errors",
            "Reconstruction": "benchmark.scan.reconstruction",
            "Results": "benchmark.records.results",
            "Scan": "benchmark.scan.scan",
        },
    },
)

__all__ = EXPORTS.names  # type checkers read __init__.pyi


def __getattr__(name: str) -> Any:
    if name == "__version__":  # read when first asked for, as importing stays cheap
        from benchmark.machine.environment import project_version

        return project_version()
    return EXPORTS.attribute(name)


def __dir__() -> list[str]:
    return [*EXPORTS.names, "__version__"]
