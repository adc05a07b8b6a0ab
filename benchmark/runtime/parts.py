"""Parts of a method: other methods that it runs, in its own process."""

from __future__ import annotations

from typing import Any

from benchmark.plugins.registry import registry
from benchmark.plugins.specs import resolve
from benchmark.runtime.context import Run
from benchmark.scan.reconstruction import Reconstruction
from benchmark.scan.scan import Scan


def run_part(name: str, scan: Scan, run: Run, **values: Any) -> Reconstruction:
    """Return the reconstruction of a scan by another method; `values` replace defaults of its parameters.

    It is the same as that method's own run with the same seed. Its steps, log, snapshots and checkpoints are those of `run`; once the
    budget is spent it takes no step. Name it in `MethodSpec.parts`, so that a change of its code counts as one of the method's. Raise
    InputError for an unknown name.
    """
    method = registry().method(name)
    found: Reconstruction = resolve(method.target)(scan, method.params(**values), run)
    return found
