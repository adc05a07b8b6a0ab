"""Launch a CUDA kernel on torch's current stream, without copying tensors.

The kernels are compiled once for the present GPU, cached by architecture and source, and loaded once per process.
"""

from __future__ import annotations

import functools
import hashlib
from typing import Any

import torch

from benchmark.errors import InputError
from benchmark.kernels import driver, nvrtc
from benchmark.kernels.arguments import Arguments
from benchmark.kernels.cpu_library import kernel_folder
from benchmark.kernels.declarations import CUDA
from benchmark.kernels.sources import CUDA_SOURCES, SHARED_SOURCES
from benchmark.storage import atomic
from benchmark.storage.cache_folder import MOVE_CACHE
from benchmark.storage.sealed import is_intact, seal
from benchmark.storage.writable import prove_folder


def launch(name: str, threads: int, *arguments: Any) -> None:
    """Launch seed_<name>(arguments) with `threads` threads on the device of the tensors among the arguments. Do not wait for it.

    The arguments are those of the kernel's declaration; raise InputError for any other.
    """
    if threads <= 0:
        return
    values, device = _takes(name).by_value(arguments)
    assert device is not None, name  # every kernel has a tensor
    module(device).launch(f"seed_{name}", threads, stream(device), values)


@functools.cache
def _takes(name: str) -> Arguments:
    """Return the parameters of a CUDA kernel."""
    return Arguments(CUDA[name])


def full_precision() -> None:
    """Disable the rounding of torch's float32 products and convolutions to TF32, the default of some on a GPU."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


@functools.cache
def module(device: torch.device) -> driver.Module:
    """Load the kernels on a device."""
    return driver.Module(driver.load_driver(), device.index or 0, machine_code(architecture(device)))


def machine_code(arch: str) -> bytes:
    """Return the kernels compiled for an architecture, from the cache folder if present."""
    path = kernel_folder() / f"cuda-{arch}-{source_digest()}.cubin"
    if not is_intact(path):
        prove_folder(path.parent, f"cache {path.parent}", MOVE_CACHE)
        atomic.replace(path, nvrtc.compile_cubin(arch))
        seal(path)
    return path.read_bytes()


@functools.cache
def source_digest() -> str:
    """Return the hash of all inputs of the machine code except the architecture."""
    sources = [*sorted(SHARED_SOURCES.glob("*.h")), *sorted(CUDA_SOURCES.glob("*.cuh")), *sorted(CUDA_SOURCES.glob("*.cu"))]
    text = f"{nvrtc.OPTIONS}{nvrtc.nvrtc_version()}" + "".join(path.read_text(encoding="utf-8") for path in sources)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def architecture(device: torch.device) -> str:
    """Return 'sm_90' etc.: the device's own architecture, or the newest one NVRTC knows that runs on it. Raise InputError if none does."""
    major, minor = torch.cuda.get_device_capability(device)
    return fitting(major, minor, nvrtc.supported_architectures())


def fitting(major: int, minor: int, known: tuple[str, ...]) -> str:
    """Return the newest known architecture whose machine code runs on a device of this compute capability."""
    runs = [arch for arch in known if int(arch[3:]) // 10 == major and int(arch[3:]) % 10 <= minor]
    if not runs:
        found = f"a device of compute capability {major}.{minor}"
        raise InputError("--device", expected=f"one that NVRTC compiles for ({', '.join(known)})", found=found, fix="Use cpu.")
    return max(runs, key=lambda arch: int(arch[3:]))


def stream(device: torch.device) -> int:
    """Return the handle of torch's current stream on a device."""
    return torch.cuda.current_stream(device).cuda_stream
