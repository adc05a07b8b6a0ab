"""Set up libraries in the process of a run: load them outside the clock, seed them, and limit them to the run's threads."""

from __future__ import annotations

import contextlib
import os
import random
import sys
from typing import Any

import numpy as np

from benchmark.errors import MissingDependency
from benchmark.kernels.cpu_library import library
from benchmark.machine.environment import available_cores
from benchmark.machine.first_import import AfterImport


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

    for hook in [finder for finder in sys.meta_path if isinstance(finder, _TorchSetUp)]:  # from an earlier run in this process
        hook.stop()
    if "torch" in sys.modules:
        set_up(sys.modules["torch"])
    else:
        _TorchSetUp("torch", set_up).start()


class _TorchSetUp(AfterImport):
    """Set-up of torch at its first import."""


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
