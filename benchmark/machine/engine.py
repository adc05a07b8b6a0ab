"""The engine: the implementation of A and A^T that a run uses."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

# 'auto' is native on every machine: results never depend on the installed packages.
Engine = Annotated[
    Literal["auto", "native", "tigre"],
    Field(description="engine of A and A^T: auto = native on every machine; tigre = TIGRE's Siddon and its matched transpose (needs CUDA)"),
]
"""Type of a parameter that chooses the projector: 'auto' and 'native' = this project's kernels, 'tigre' = TIGRE's (needs CUDA)."""
