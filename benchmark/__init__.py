"""Seed: a benchmark harness for sparse-view cone-beam CT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.machine.threads import limit_spinning

limit_spinning()  # here, since it works only before torch or the kernels load an OpenMP runtime

if TYPE_CHECKING:
    __version__: str
else:

    def __getattr__(name: str) -> str:
        """Version of this project as `benchmark.__version__`, read when first asked for: importing stays cheap."""
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from benchmark.machine.environment import project_version

        return project_version()
