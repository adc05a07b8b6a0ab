"""Compiles the kernels for NVIDIA GPUs through NVRTC: no nvcc, no GPU and no CUDA toolkit needed, a fraction of a second.

NVRTC is called by ctypes. It comes with CUDA builds of torch, or alone as a wheel. Nothing here launches a kernel.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from benchmark.ct.kernels.library import SOURCES
from benchmark.errors import InputError, MissingDependency

# Contraction as on the CPU; nothing that would break NaN checks.
OPTIONS = ("--std=c++17", "--fmad=true", f"--include-path={SOURCES}")
INSTALL = "pip install nvidia-cuda-nvrtc"


def compile_cubin(arch: str = "sm_80", source: str | None = None) -> bytes:
    """Machine code (an ELF image) of kernels.cu, or of another source text, for one architecture ('sm_75', 'sm_90', ...).

    Raises MissingDependency without NVRTC, InputError for an architecture that it does not know, RuntimeError with the
    compiler's log if the source does not compile.
    """
    nvrtc = load_nvrtc()
    known = supported_architectures()
    if arch not in known:
        raise InputError("cuda: arch", expected=f"one of {', '.join(known)}", found=f"'{arch}'")
    text = (SOURCES / "kernels.cu").read_text(encoding="utf-8") if source is None else source
    program = ctypes.c_void_p()
    _check(nvrtc, nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None))
    try:
        options = [option.encode() for option in (f"--gpu-architecture={arch}", *OPTIONS)]
        status = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
        if status:
            log = _text(nvrtc, program, "ProgramLog").rstrip(b"\0").decode(errors="replace")
            raise RuntimeError(f"NVRTC could not compile the kernels for {arch}:\n{log}")
        return _text(nvrtc, program, "CUBIN")
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def supported_architectures() -> tuple[str, ...]:
    """Architectures that the NVRTC found here compiles for, oldest first."""
    nvrtc, count = load_nvrtc(), ctypes.c_int()
    _check(nvrtc, nvrtc.nvrtcGetNumSupportedArchs(ctypes.byref(count)))
    numbers = (ctypes.c_int * count.value)()
    _check(nvrtc, nvrtc.nvrtcGetSupportedArchs(numbers))
    return tuple(f"sm_{number}" for number in sorted(numbers))


@functools.cache
def load_nvrtc() -> ctypes.CDLL:
    """NVRTC from its wheel, from the wheels that CUDA builds of torch bring, or from the system. Raises MissingDependency."""
    reasons = []
    for candidate in _candidates():
        try:
            nvrtc = ctypes.CDLL(str(candidate))
        except OSError as error:
            reasons.append(f"{candidate}: {error}")
            continue
        nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p
        return nvrtc
    why = f" Found, but not usable: {'; '.join(reasons)}." if reasons else ""
    raise MissingDependency(f"NVRTC, which compiles the CUDA kernels, is not installed. Install it: '{INSTALL}'.{why}")


def _candidates() -> Iterator[Path | str]:
    """Where the library may be: newest wheel first, then what torch bundles, then the system's search path."""
    site = {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")}
    for folder in sorted(site):
        for pattern in ("nvidia/cu*/lib/libnvrtc.so.*", "nvidia/cuda_nvrtc/lib/libnvrtc.so.*", "torch/lib/libnvrtc*.so*"):
            yield from sorted((path for path in folder.glob(pattern) if "builtins" not in path.name), reverse=True)
        for pattern in ("nvidia/cu*/bin/**/nvrtc64_*.dll", "nvidia/cuda_nvrtc/bin/nvrtc64_*.dll", "torch/lib/nvrtc64_*.dll"):
            yield from sorted((path for path in folder.glob(pattern) if ".alt" not in path.name), reverse=True)
    name = ctypes.util.find_library("nvrtc")
    if name:
        yield name


def _text(nvrtc: ctypes.CDLL, program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    _check(nvrtc, getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _check(nvrtc, getattr(nvrtc, f"nvrtcGet{what}")(program, buffer))
    return buffer.raw


def _check(nvrtc: ctypes.CDLL, status: int) -> None:
    if status:
        raise RuntimeError(f"NVRTC: {nvrtc.nvrtcGetErrorString(status).decode()}")
