"""Load machine code and launch kernels through the CUDA driver, by ctypes: no toolkit, no torch ABI."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from benchmark.errors import MissingDependency
from benchmark.kernels.declarations import CUDA

THREADS = 256  # of a block
UNSUPPORTED = ("CUDA_ERROR_INVALID_IMAGE", "CUDA_ERROR_NO_BINARY_FOR_GPU", "CUDA_ERROR_UNSUPPORTED_PTX_VERSION")


class Module:
    """Machine code on one GPU, with torch's device numbers. Kernels are found by name.

    It uses the GPU's primary context, as torch does; a launching thread keeps its own current context.
    Raise RuntimeError with the driver's own message.
    """

    def __init__(self, driver: ctypes.CDLL, index: int, image: bytes) -> None:
        self._driver = driver
        device, self._context, self._module = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p()
        check(driver, driver.cuInit(0))
        check(driver, driver.cuDeviceGet(ctypes.byref(device), index))
        check(driver, driver.cuDevicePrimaryCtxRetain(ctypes.byref(self._context), device))
        with self._current():
            check(driver, driver.cuModuleLoadData(ctypes.byref(self._module), image))
        self.function = functools.cache(self._function)

    def _function(self, name: str) -> tuple[ctypes.c_void_p, tuple[int, ...]]:
        """Return a kernel and the sizes of its parameters [bytes]: from the driver or, if that is too old, from the declaration."""
        found, sizes = ctypes.c_void_p(), list[int]()
        with self._current():
            check(self._driver, self._driver.cuModuleGetFunction(ctypes.byref(found), self._module, name.encode()))
        offset, size = ctypes.c_size_t(), ctypes.c_size_t()
        ask = getattr(self._driver, "cuFuncGetParamInfo", None)  # since CUDA 12.4
        while ask is not None and ask(found, ctypes.c_size_t(len(sizes)), ctypes.byref(offset), ctypes.byref(size)) == 0:
            sizes.append(size.value)
        return found, tuple(sizes) if sizes else CUDA[name.removeprefix("seed_")].bytes

    def launch(self, name: str, threads: int, stream: int, arguments: Sequence[Any]) -> None:
        """Queue at least `threads` threads of a kernel on a stream; arguments are ctypes values. Do not wait for it."""
        function, sizes = self.function(name)
        found = tuple(ctypes.sizeof(argument) for argument in arguments)
        if found != sizes:
            raise RuntimeError(f"{name}: takes arguments of {sizes} bytes, was given {found}")
        pointers = (ctypes.c_void_p * len(arguments))(*(ctypes.addressof(argument) for argument in arguments))
        blocks = ctypes.c_uint(-(-threads // THREADS))
        with self._current():
            status = self._driver.cuLaunchKernel(function, blocks, 1, 1, THREADS, 1, 1, 0, ctypes.c_void_p(stream), pointers, None)
        check(self._driver, status, name)

    @contextlib.contextmanager
    def _current(self) -> Iterator[None]:
        check(self._driver, self._driver.cuCtxPushCurrent_v2(self._context))
        try:
            yield
        finally:
            self._driver.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))


@functools.cache
def load_driver() -> ctypes.CDLL:
    """Return the driver's library. Raise MissingDependency without one."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        return ctypes.CDLL(name)
    except OSError as error:
        raise MissingDependency(f"The NVIDIA driver's library {name} cannot be loaded ({error}): no CUDA device is usable.") from error


def check(driver: ctypes.CDLL, status: int, what: str = "") -> None:
    """Raise RuntimeError for a status other than success."""
    if not status:
        return
    name, text = ctypes.c_char_p(), ctypes.c_char_p()
    driver.cuGetErrorName(status, ctypes.byref(name))
    driver.cuGetErrorString(status, ctypes.byref(text))
    words = (name.value or b"unknown error").decode()
    hint = ". The NVRTC found here is newer than the driver: update the driver, or install torch's own." if words in UNSUPPORTED else ""
    raise RuntimeError(f"CUDA: {what and what + ': '}{words} ({(text.value or b'').decode()}){hint}")
