"""Compile the kernels for NVIDIA GPUs through NVRTC in a fraction of a second, without nvcc, GPU or CUDA toolkit.

NVRTC is called by ctypes. It comes with CUDA builds of torch, or alone as a wheel. Nothing here launches a kernel: launch.py does.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import dataclasses
import functools
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from benchmark.errors import InputError, MissingDependency
from benchmark.kernels.sources import CUDA_SOURCES, SHARED_SOURCES

# Contraction as on the CPU; no flag may break NaN checks.
OPTIONS = ("--std=c++17", "--fmad=true")
INCLUDE = (f"--include-path={SHARED_SOURCES}", f"--include-path={CUDA_SOURCES}")
INSTALL = "pip install nvidia-cuda-nvrtc"


@dataclasses.dataclass(frozen=True)
class Resources:
    """Resources of a multiprocessor that one kernel uses, as reported by the assembler."""

    registers: int  # per thread
    stack: int  # [bytes] of local memory per thread
    spilled: int  # [bytes] of registers spilled to local memory, stores and loads


def compile_cubin(arch: str = "sm_80", source: str | None = None) -> bytes:
    """Return machine code (an ELF image) of kernels.cu, or of another source text, for one architecture ('sm_75', 'sm_90', ...).

    Raise MissingDependency without NVRTC, InputError for an architecture unknown to it, RuntimeError with the
    compiler's log if the source does not compile.
    """
    return _compile(arch, source)[0]


def resources(arch: str) -> dict[str, Resources]:
    """Return the resources of each kernel of kernels.cu on an architecture. Raise the errors of compile_cubin."""
    return parsed(_compile(arch, None, "--ptxas-options=-v")[1])


def parsed(report: str) -> dict[str, Resources]:
    """Return the resources of each kernel, from the assembler's report."""
    found = {}
    for part in report.split("Compiling entry function '")[1:]:
        stack, stores, loads = (int(n) for n in re.findall(r"(\d+) bytes (?:stack frame|spill stores|spill loads)", part)[:3])
        registers = re.search(r"Used (\d+) registers", part)
        assert registers is not None, part
        found[part.partition("'")[0]] = Resources(int(registers[1]), stack, stores + loads)
    return found


def _compile(arch: str, source: str | None, *more: str) -> tuple[bytes, str]:
    """Return machine code and the compiler's log."""
    nvrtc = load_nvrtc()
    known = supported_architectures()
    if arch not in known:
        raise InputError("cuda: arch", expected=f"one of {', '.join(known)}", found=f"'{arch}'")
    text = (CUDA_SOURCES / "kernels.cu").read_text(encoding="utf-8") if source is None else source
    program = ctypes.c_void_p()
    _check(nvrtc, nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None))
    try:
        options = [option.encode() for option in (f"--gpu-architecture={arch}", *OPTIONS, *INCLUDE, *more)]
        status = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
        log = _text(nvrtc, program, "ProgramLog").rstrip(b"\0").decode(errors="replace")
        if status:
            raise RuntimeError(f"NVRTC could not compile the kernels for {arch}:\n{log}")
        return _text(nvrtc, program, "CUBIN"), log
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def nvrtc_version() -> tuple[int, int]:
    """Return the version of the installed NVRTC."""
    nvrtc, major, minor = load_nvrtc(), ctypes.c_int(), ctypes.c_int()
    _check(nvrtc, nvrtc.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
    return major.value, minor.value


def supported_architectures() -> tuple[str, ...]:
    """Return the architectures that the installed NVRTC compiles for, oldest first."""
    nvrtc, count = load_nvrtc(), ctypes.c_int()
    _check(nvrtc, nvrtc.nvrtcGetNumSupportedArchs(ctypes.byref(count)))
    numbers = (ctypes.c_int * count.value)()
    _check(nvrtc, nvrtc.nvrtcGetSupportedArchs(numbers))
    return tuple(f"sm_{number}" for number in sorted(numbers))


@functools.cache
def load_nvrtc() -> ctypes.CDLL:
    """Load NVRTC from its wheel, from the wheels of torch's CUDA builds, or from the system. Raise MissingDependency if none loads."""
    reasons = []
    for candidate in sorted(_candidates(), key=_is_other_version):
        try:
            _load_builtins(candidate)
            nvrtc = ctypes.CDLL(str(candidate))
        except OSError as error:
            reasons.append(f"{candidate}: {error}")
            continue
        nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p
        return nvrtc
    why = f" Found, but not usable: {'; '.join(reasons)}." if reasons else ""
    raise MissingDependency(f"NVRTC, which compiles the CUDA kernels, is not installed. Install it: '{INSTALL}'.{why}")


def _load_builtins(candidate: Path | str) -> None:
    """Load the library that NVRTC opens by its bare name, from NVRTC's folder: some wheels do not set the loader's path."""
    if isinstance(candidate, Path):
        for path in candidate.parent.glob("libnvrtc-builtins*.so*"):
            ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)


def _candidates() -> Iterator[Path | str]:
    """Yield possible paths of the library: newest wheel first, then torch's bundle, then the system's search path."""
    import torch

    site = {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")} | {Path(torch.__file__).parent.parent}
    for folder in sorted(site):
        for pattern in ("nvidia/cu*/lib/libnvrtc.so.*", "nvidia/cuda_nvrtc/lib/libnvrtc.so.*", "torch/lib/libnvrtc*.so*"):
            yield from sorted((path for path in folder.glob(pattern) if "builtins" not in path.name), reverse=True)
        for pattern in ("nvidia/cu*/bin/**/nvrtc64_*.dll", "nvidia/cuda_nvrtc/bin/nvrtc64_*.dll", "torch/lib/nvrtc64_*.dll"):
            yield from sorted((path for path in folder.glob(pattern) if ".alt" not in path.name), reverse=True)
    yield from sorted(Path(sys.prefix, "lib").glob("libnvrtc.so.*"), reverse=True)  # conda's
    name = ctypes.util.find_library("nvrtc")
    if name:
        yield name


def _is_other_version(candidate: Path | str) -> bool:
    """Return True if the library's CUDA version differs from torch's: an old driver may not load the code of a newer one."""
    import torch

    major = (torch.version.cuda or "").partition(".")[0]
    return not major or not re.search(rf"(\.so\.{major}\b|64_{major})", str(candidate))


def _text(nvrtc: ctypes.CDLL, program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    _check(nvrtc, getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _check(nvrtc, getattr(nvrtc, f"nvrtcGet{what}")(program, buffer))
    return buffer.raw


def _check(nvrtc: ctypes.CDLL, status: int) -> None:
    if status:
        raise RuntimeError(f"NVRTC: {nvrtc.nvrtcGetErrorString(status).decode()}")
