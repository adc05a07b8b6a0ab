"""A device 'pretend:0' that stands for a GPU: its tensors lie in the CPU's memory, its kernels are the CUDA kernels run by the CPU.

Everything else is as on a GPU: tensors of it do not mix with those of the CPU, random numbers do not come from the CPU's generators,
fresh memory holds anything, numpy cannot see it. So all Python code of the CUDA path runs, to the launch itself, whose arguments
emulated_driver.cpp takes as cuLaunchKernel would.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from benchmark.kernels import cpu_library, cuda_module, dispatch, driver
from benchmark.kernels.sources import CUDA_SOURCES, SHARED_SOURCES
from benchmark.storage.cache_folder import cache_folder

DEVICE = "pretend:0"
HERE = Path(__file__).parent
AUTOCAST = torch.library.Library("_", "IMPL", "AutocastPrivateUse1")
MIXING = {"aten::copy_", "aten::index.Tensor", "aten::index_put_", "aten::index_put", "aten::_index_put_impl_"}  # take CPU tensors, too
WAITING = {  # the host needs an answer
    "aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::masked_scatter_backward", "aten::equal", "aten::_unique2",
}  # fmt: skip
FRESH = {"aten::empty.memory_format", "aten::empty_like", "aten::empty_strided", "aten::new_empty", "aten::new_empty_strided"}


waits: list[str] = []  # what a GPU would have been waited for, in order


class PretendTensor(torch.Tensor):
    """A tensor on DEVICE; `inner` is where its numbers are."""

    inner: torch.Tensor  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> PretendTensor:
        made = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype, device=torch.device(DEVICE)
        )
        made.inner = inner
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # type: ignore[override]
        return _run(function, args, kwargs or {})

    def data_ptr(self) -> int:
        return self.inner.data_ptr()

    def tolist(self) -> Any:
        return self.inner.tolist()

    def numpy(self, *, force: bool = False) -> Any:
        raise TypeError(f"can't convert {DEVICE} device type tensor to numpy")

    def __array__(self, *arguments: Any) -> Any:
        raise TypeError(f"can't convert {DEVICE} device type tensor to numpy")

    def __deepcopy__(self, memo: dict[int, Any]) -> torch.Tensor:
        copy = PretendTensor(self.inner.clone()).requires_grad_(self.requires_grad)
        copy._is_param = getattr(self, "_is_param", False)  # type: ignore[attr-defined]
        memo[id(self)] = copy
        return copy

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"pretend {self.inner}"


class _Mode(TorchDispatchMode):
    """Also sees the functions that make tensors from none."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(function, args, kwargs or {})


class _Factories(TorchFunctionMode):
    """torch.tensor puts numbers on a device without asking the mode above: they are made on the CPU and moved."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if function is not torch.tensor:
            return function(*args, **kwargs)
        device = kwargs.pop("device", "cpu")
        return torch.tensor(*args, **kwargs).to(device)


def _run(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    leaves, structure = tree_flatten((args, kwargs))
    there = [leaf for leaf in leaves if isinstance(leaf, PretendTensor)]
    here = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor) and not isinstance(leaf, PretendTensor)]
    wanted = kwargs.get("device")
    on_device = bool(there) if wanted is None else torch.device(wanted).type == "pretend"
    name = function.name()
    if there and any(tensor.ndim for tensor in here) and name not in MIXING:
        raise RuntimeError(f"Expected all tensors to be on the same device, but found at least two devices, {DEVICE} and cpu ({name})")
    generator = kwargs.get("generator")
    if generator is not None and on_device:
        raise RuntimeError(f"Expected a 'pretend' device type for generator but found '{generator.device}'")
    if _waits(name, args, kwargs, there):
        waits.append(name)
    inner_args, inner_kwargs = tree_unflatten([leaf.inner if isinstance(leaf, PretendTensor) else leaf for leaf in leaves], structure)
    if wanted is not None:
        inner_kwargs["device"] = "cpu"
    if name == "aten::_pin_memory":
        return args[0]
    result = function(*inner_args, **inner_kwargs)
    if on_device and name in FRESH:
        result.fill_(float("nan") if result.is_floating_point() else 113)
    known = {id(tensor.inner): tensor for tensor in there} | {id(tensor): tensor for tensor in here}

    def outside(value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or not on_device:
            return value
        return known[id(value)] if id(value) in known else PretendTensor(value)

    return tree_map(outside, result)


def _waits(name: str, args: Any, kwargs: dict[str, Any], there: list[PretendTensor]) -> bool:
    """Whether the host would wait for the device: its answer is needed, or numbers cross in a way that is not said to be asynchronous."""
    if name == "aten::copy_":
        return isinstance(args[0], PretendTensor) != isinstance(args[1], PretendTensor) and not kwargs.get("non_blocking")
    if name == "aten::_to_copy":
        target = torch.device(kwargs.get("device") or args[0].device).type
        return args[0].device.type != target and not kwargs.get("non_blocking")
    masked = name.startswith("aten::index") and any(tensor.dtype == torch.bool for tensor in there)
    return bool(there) and (name in WAITING or masked)


@contextlib.contextmanager
def pretending(monkeypatch: Any) -> Iterator[str]:
    """The device's name, while there is such a device."""
    if not register.cache_info().currsize:
        pytest.skip("one device at a time: run the tests of the GPU apart (pytest -m gpu)")
    monkeypatch.setattr(dispatch, "DEVICES", dispatch.DEVICES | {"pretend"})
    monkeypatch.setattr(driver, "load_driver", emulated_driver)
    monkeypatch.setattr(cuda_module, "architecture", lambda device: "sm_80")
    monkeypatch.setattr(cuda_module, "stream", lambda device: 0)
    with _Mode(), _Factories():
        yield DEVICE


@functools.cache
def emulated_driver() -> ctypes.CDLL:
    """The driver whose kernels run on the CPU."""
    compiler = cpu_library.find_compiler()
    options = [*cpu_library.OPTIMISE, *cpu_library.tuning_flags(compiler), "-Wno-unused", f"-I{SHARED_SOURCES}", f"-I{CUDA_SOURCES}"]
    loaded = ctypes.CDLL(str(_built("emulated_driver.cpp", [compiler, *options])))
    loaded.emulated_name.restype = ctypes.c_char_p
    return loaded


@functools.cache
def register() -> None:
    """Make the device known to torch, once a process."""
    root = Path(torch.__file__).parent
    libraries = [f"-L{root / 'lib'}", "-lc10", "-ltorch_cpu"]
    options = ["-std=c++20", "-O0", "-fPIC", "-w", f"-I{root / 'include'}", *libraries]
    ctypes.CDLL(str(_built("pretend_device.cpp", [cpu_library.find_compiler(), *options]))).register_hooks()
    torch.utils.rename_privateuse1_backend("pretend")
    module = types.SimpleNamespace(
        is_available=lambda: True,
        device_count=lambda: 1,
        current_device=lambda: 0,
        get_amp_supported_dtype=lambda: [torch.bfloat16, torch.float16],
        _is_in_bad_fork=lambda: False,
        manual_seed_all=lambda seed: None,
    )
    torch._register_device_module("pretend", module)
    AUTOCAST.fallback(torch.library.fallthrough_kernel)  # products in half precision are computed in float32 here


def _built(source: str, command: list[str]) -> Path:
    """A shared library from a source beside this file, built once for each version of everything it is made from."""
    sources = [HERE / source, *sorted([*SHARED_SOURCES.glob("*.h"), *CUDA_SOURCES.glob("*.cu*")])]
    text = f"{command}{torch.__version__}" + "".join(path.read_text(encoding="utf-8") for path in sources)
    target = cache_folder() / "kernels" / f"{Path(source).stem}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.so"
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        cpu_library._build_to(target, [command[0], str(HERE / source), *command[1:], "-shared"])
    return target
