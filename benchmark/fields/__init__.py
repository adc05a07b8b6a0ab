"""Differentiable building blocks for neural methods: hash grid, vector-matrix features, small MLP, activations.

Each has C++ kernels (forward and backward, deterministic for any number of threads) and a plain-torch twin in the tests.
Features cross between them feature-major: a [points, features] tensor whose transpose is contiguous.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.fields.activations import trunc_exp
    from benchmark.fields.hash_grid import HashGrid
    from benchmark.fields.mlp import MLP
    from benchmark.fields.vector_matrix import vm_encode, vm_grid

_LAZY = {"HashGrid": "hash_grid", "MLP": "mlp", "vm_encode": "vector_matrix", "vm_grid": "vector_matrix", "trunc_exp": "activations"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(f"benchmark.fields.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'benchmark.fields' has no attribute '{name}'")


__all__ = ["MLP", "HashGrid", "trunc_exp", "vm_encode", "vm_grid"]
