"""The engine: whose A and A^T compute a run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

# Auto is native on every machine: numbers never depend on what is installed.
Engine = Annotated[
    Literal["auto", "native", "tigre"],
    Field(description="whose A and A^T: auto = native on every machine; tigre = TIGRE's Siddon and its matched transpose (needs CUDA)"),
]
"""Type of a parameter that chooses the projector: 'auto' and 'native' = this project's kernels, 'tigre' = TIGRE's (needs CUDA)."""
