"""Set up libraries in the process of a run: load them outside the clock, seed them, and limit them to the run's threads."""

from __future__ import annotations

import contextlib
import importlib.abc
import os
import random
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

import numpy as np

from benchmark.errors import MissingDependency
from benchmark.kernels.cpu_library import library
from benchmark.machine.environment import available_cores


def set_up_libraries(seed: int, threads: int | None, device: str) -> None:
    """Load the kernels, seed the global generators (a method should use run.rng; some libraries do not) and limit torch's threads,
    even if it is imported later.
    """
    with contextlib.suppress(MissingDependency):  # a method that needs no kernels runs without a compiler, too
        library()
    if device.startswith("cuda"):
        _set_up_cuda(device)
    random.seed(seed)
    np.random.seed(seed % 2**32)

    def set_up(torch: Any) -> None:
        torch.manual_seed(seed)
        if threads:
            torch.set_num_threads(threads)

    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, _TorchSetUp)]  # from an earlier run in this process
    if "torch" in sys.modules:
        set_up(sys.modules["torch"])
    else:
        sys.meta_path.insert(0, _TorchSetUp(set_up))


def library_facts(device: str) -> dict[str, Any]:
    """Return the number of threads and, on a GPU, its name, for a record's environment."""
    threads = {"threads": _thread_count()}
    if not device.startswith("cuda"):
        return threads
    import torch

    return threads | {"gpu": torch.cuda.get_device_name(device)}


def gpu_peak_memory_mb(device: str) -> float | None:
    """Return the most memory that tensors took on a GPU so far [MiB]; None for the CPU."""
    if not device.startswith("cuda"):
        return None
    import torch

    return float(torch.cuda.max_memory_allocated(device)) / 2**20


class _TorchSetUp(importlib.abc.MetaPathFinder):
    """Import hook that sets up torch on its first import, which takes seconds and memory that not every method needs."""

    def __init__(self, set_up: Callable[[Any], None]) -> None:
        self.set_up = set_up

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if name != "torch":
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is None or spec.loader is None:
            return spec
        load = spec.loader.exec_module

        def load_and_set_up(module: Any) -> None:
            load(module)
            sys.meta_path.remove(self)
            self.set_up(module)

        vars(spec.loader)["exec_module"] = load_and_set_up
        return spec


def _set_up_cuda(device: str) -> None:
    """Compile and load the kernels for a GPU, and disable reduced-precision float32 there."""
    import torch

    from benchmark.kernels.cuda_module import full_precision, module

    full_precision()
    with contextlib.suppress(MissingDependency):
        module(torch.device(device))


def _thread_count() -> int:
    """Return the number of threads that the kernels and torch use in this process."""
    if "torch" in sys.modules:
        import torch

        return torch.get_num_threads()
    return int(os.environ.get("OMP_NUM_THREADS") or available_cores())
