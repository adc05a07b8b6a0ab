"""Global state of a process that any code may change for all other code: read it, name what changed, restore it."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import locale
import logging
import os
import random
import resource
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

_DENORMAL = np.array([1e-40], np.float32)


class Setting(NamedTuple):
    """One piece of global state. `shown`: its value fits into a message. `grave`: it changes numbers or results of other code."""

    what: str
    read: Callable[[], Any]
    write: Callable[[Any], Any]
    shown: bool = False
    grave: bool = True


class Change(NamedTuple):
    """A change in words, such as "sets torch's default dtype to float16", and whether it changes results of other code."""

    words: str
    grave: bool


State = dict[str, Any]  # by Setting.what


def state() -> State:
    """Return the present state. Libraries are looked at only where they are loaded."""
    return {setting.what: setting.read() for setting in _settings()}


def restore(before: State, unloaded: State) -> list[Change]:
    """Restore a state and return what had changed. `unloaded` holds the settings of libraries that were loaded since, right after that."""
    changes = []
    for setting in _settings():
        if setting.what not in before and setting.what not in unloaded:
            continue
        was, now = before.get(setting.what, unloaded.get(setting.what)), setting.read()
        if now == was or (setting.what == _FILTERS and not _is_grave(_FILTERS, was, now)):
            continue  # filters of single messages may be another thread's, for a while
        with contextlib.suppress(Exception):  # what cannot be restored is still named
            setting.write(was)
        words = f"sets {setting.what} to {str(now).removeprefix('torch.')}" if setting.shown else f"changes {setting.what}"
        changes.append(Change(words + _detail(setting.what, was, now), setting.grave and _is_grave(setting.what, was, now)))
    return changes


def library_state(library: str) -> State:
    """Return the settings of one library ('torch', 'matplotlib') that is loaded."""
    return {setting.what: setting.read() for setting in _LIBRARIES[library]()}


def _settings() -> Iterator[Setting]:
    yield from _PYTHON
    if threading.current_thread() is threading.main_thread():  # other threads run while this one redirects its streams
        yield from _MAIN
    for library, settings in _LIBRARIES.items():
        if library in sys.modules:
            yield from settings()


def _detail(what: str, was: Any, now: Any) -> str:
    """Return the names of the keys that differ, for settings with a few known ones."""
    if isinstance(was, dict) and isinstance(now, dict):
        keys = sorted(str(key) for key in {*was, *now} if was.get(key) != now.get(key))
        return f" ({', '.join(keys[:4])}{', ...' if len(keys) > 4 else ''})"
    return ""


def _is_grave(what: str, was: Any, now: Any) -> bool:
    if what != _FILTERS:
        return True
    return any(entry not in was and entry[1] is None and entry[3] is None for entry in now)  # of everything, not of one message


# -- Python and NumPy ---------------------------------------------------------------------------------------------------

_FILTERS = "the warnings filters"


def _random_numpy() -> tuple[Any, ...]:
    kind, keys, *rest = np.random.get_state()
    return kind, np.asarray(keys).tobytes(), *rest


def _set_random_numpy(value: tuple[Any, ...]) -> None:
    kind, keys, *rest = value
    np.random.set_state((kind, np.frombuffer(keys, np.uint32), *rest))


def _set_warnings(filters: list[Any]) -> None:
    warnings.filters[:] = filters  # type: ignore[index]
    getattr(warnings, "_filters_mutated", lambda: None)()


def _set_environment(values: dict[str, str]) -> None:
    zone = os.environ.get("TZ")
    for name in [name for name in os.environ if name not in values]:
        del os.environ[name]
    for name, value in values.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
    if os.environ.get("TZ") != zone and hasattr(time, "tzset"):
        time.tzset()


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it has been removed
        return ""


def _change_folder(folder: str) -> None:
    if folder:
        os.chdir(folder)


def _set_garbage_collection(value: tuple[bool, tuple[int, int, int]]) -> None:
    gc.set_threshold(*value[1])
    if value[0]:
        gc.enable()
    else:
        gc.disable()


def _set_streams(value: tuple[Any, Any]) -> None:
    sys.stdout, sys.stderr = value


def _umask() -> int:
    try:
        with open("/proc/self/status", encoding="utf-8") as file:
            return next(int(line.split()[1], 8) for line in file if line.startswith("Umask:"))
    except (OSError, StopIteration):
        value = os.umask(0o077)
        os.umask(value)
        return value


def _set_path(before: list[str]) -> None:
    """Restore the order; folders that a plug-in has added come last, since it may import from them later."""
    sys.path[:] = [*before, *(path for path in sys.path if path not in before)]


def _path() -> list[str]:
    return list(sys.path)


def _loggers() -> tuple[Any, ...]:
    """Return levels and handlers, but not the handlers of the harness's own logger: other threads add theirs for a while."""
    root, own = logging.getLogger(), logging.getLogger("benchmark")
    return root.manager.disable, root.level, tuple(root.handlers), own.level, own.propagate, own.disabled


def _set_loggers(value: tuple[Any, ...]) -> None:
    root, own = logging.getLogger(), logging.getLogger("benchmark")
    disabled, level, handlers, own_level, own.propagate, own.disabled = value
    logging.disable(disabled)
    root.setLevel(level)
    root.handlers[:] = handlers
    own.setLevel(own_level)


def _limits() -> dict[str, tuple[int, int]]:
    """Return the limits that child processes inherit, soft and hard."""
    return {name: resource.getrlimit(getattr(resource, name)) for name in _LIMITS}


def _set_limits(before: dict[str, tuple[int, int]]) -> None:
    """Restore the soft limits as far as the hard ones allow."""
    for name, (soft, _) in before.items():
        now, hard = resource.getrlimit(getattr(resource, name))
        wanted = soft if hard == resource.RLIM_INFINITY else hard if soft == resource.RLIM_INFINITY else min(soft, hard)
        if now != wanted:
            resource.setrlimit(getattr(resource, name), (wanted, hard))


def _processors() -> set[int] | None:
    """Return the processors that this thread and its child processes may use; None where an OpenMP runtime was told to choose them."""
    if not hasattr(os, "sched_getaffinity") or any(name in os.environ for name in _BINDING):
        return None
    return os.sched_getaffinity(0)


def _set_processors(processors: set[int] | None) -> None:
    if processors is not None:
        os.sched_setaffinity(0, processors)


def _signal_handlers() -> dict[Any, Any]:
    return {number: signal.getsignal(number) for number in _SIGNALS}


def _set_signal_handlers(handlers: dict[Any, Any]) -> None:
    for number, handler in handlers.items():
        if handler is not None and signal.getsignal(number) != handler:
            signal.signal(number, handler)


def _flushes() -> bool:
    """Return True if the processor takes denormal numbers for zero in this thread."""
    return not (_DENORMAL * np.float32(1))[0]


def _rounding() -> int:
    return int(_LIBM.fegetround()) if _LIBM is not None else 0


def _set_floats(wanted: Any) -> None:
    """Restore the C library's default: all results to nearest, denormal numbers kept."""
    if _LIBM is not None:
        _LIBM.fesetenv(ctypes.c_void_p(-1))
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(bool(wanted))


def _libm() -> Any:
    if sys.platform != "linux":  # FE_DFL_ENV is another pointer elsewhere
        return None
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL("libm.so.6")
        library.fesetenv.argtypes = [ctypes.c_void_p]
        return library
    return None


_LIBM = _libm()
_LIMITS = ("RLIMIT_AS", "RLIMIT_CORE", "RLIMIT_CPU", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_STACK")
_BINDING = ("OMP_PROC_BIND", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")
_SIGNALS = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}) if hasattr(signal, "SIGKILL") else []
_PYTHON = (
    Setting("numpy's error state", np.geterr, lambda value: np.seterr(**value)),
    Setting("numpy's error callback", np.geterrcall, np.seterrcall),
    Setting("numpy's print options", np.get_printoptions, lambda value: np.set_printoptions(**value)),
    Setting("the seed of numpy.random", _random_numpy, _set_random_numpy),
    Setting("the seed of random", random.getstate, random.setstate),
    Setting("the rounding of floating-point numbers", _rounding, lambda value: _LIBM.fesetround(value), shown=True),
    Setting("the flushing of denormal numbers", _flushes, _set_floats, shown=True),
    Setting("the locale", lambda: locale.setlocale(locale.LC_ALL), lambda value: locale.setlocale(locale.LC_ALL, value), shown=True),
    Setting(_FILTERS, lambda: list(warnings.filters), _set_warnings),
    Setting("the current folder", _folder, _change_folder, shown=True),
    Setting("the mask of new files' permissions", _umask, os.umask),
    Setting("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit, shown=True),
    Setting("the loggers", _loggers, _set_loggers),
    Setting("garbage collection", lambda: (gc.isenabled(), gc.get_threshold()), _set_garbage_collection),
    Setting("the order of sys.path", _path, _set_path, grave=False),
    Setting("the limits of resources", _limits, _set_limits, grave=False),
    Setting("the processors in use", _processors, _set_processors, grave=False),
    Setting("the environment", lambda: dict(os.environ), _set_environment, grave=False),
)
_MAIN = (
    Setting("the signal handlers", _signal_handlers, _set_signal_handlers),
    Setting("how warnings are shown", lambda: warnings.showwarning, lambda value: setattr(warnings, "showwarning", value)),
    Setting("sys.stdout and sys.stderr", lambda: (sys.stdout, sys.stderr), _set_streams),
    Setting("sys.excepthook", lambda: sys.excepthook, lambda value: setattr(sys, "excepthook", value)),
)


# -- libraries ----------------------------------------------------------------------------------------------------------


def _torch() -> Iterator[Setting]:
    torch = sys.modules["torch"]
    if not hasattr(torch, "get_rng_state"):  # its import failed half-way, or is under way
        return
    yield Setting("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype, shown=True)
    yield Setting("torch's default device", _torch_device, _set_torch_device, shown=True)
    yield Setting("torch's number of threads", torch.get_num_threads, torch.set_num_threads, shown=True)
    yield Setting("torch's gradients", torch.is_grad_enabled, torch.set_grad_enabled, shown=True)
    yield Setting("torch's automatic precision", _autocast, _set_autocast)
    yield Setting("torch's deterministic mode", _torch_deterministic, _set_torch_deterministic)
    precision = (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision)
    yield Setting("torch's precision of products", *precision, shown=True)
    yield Setting("torch's settings of cuDNN", _cudnn, _set_cudnn)
    yield Setting("the seed of torch", lambda: torch.get_rng_state().numpy().tobytes(), _set_torch_seed)


def _torch_device() -> str:
    return str(sys.modules["torch"].get_default_device())


def _set_torch_device(device: str) -> None:
    sys.modules["torch"].set_default_device(None if device == "cpu" else device)


def _autocast() -> tuple[bool, Any]:
    torch = sys.modules["torch"]
    return torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")


def _set_autocast(value: tuple[bool, Any]) -> None:
    torch = sys.modules["torch"]
    torch.set_autocast_enabled("cpu", value[0])
    torch.set_autocast_dtype("cpu", value[1])


def _torch_deterministic() -> tuple[bool, bool]:
    torch = sys.modules["torch"]
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _set_torch_deterministic(value: tuple[bool, bool]) -> None:
    sys.modules["torch"].use_deterministic_algorithms(value[0], warn_only=value[1])


def _cudnn() -> tuple[bool, ...]:
    cudnn = sys.modules["torch"].backends.cudnn
    return cudnn.enabled, cudnn.benchmark, cudnn.deterministic


def _set_cudnn(value: tuple[bool, ...]) -> None:
    cudnn = sys.modules["torch"].backends.cudnn
    cudnn.enabled, cudnn.benchmark, cudnn.deterministic = value


def _set_torch_seed(value: bytes) -> None:
    torch = sys.modules["torch"]
    torch.set_rng_state(torch.frombuffer(bytearray(value), dtype=torch.uint8))


def _matplotlib() -> Iterator[Setting]:
    rc = getattr(sys.modules["matplotlib"], "rcParams", None)
    if rc is not None:  # read and written without matplotlib's own checks, which may load a backend
        yield Setting("matplotlib's settings", lambda: dict(dict.items(rc)), lambda value: dict.update(rc, value))


def _multiprocessing() -> Iterator[Setting]:
    context = getattr(sys.modules["multiprocessing"], "get_start_method", None)
    if context is not None:
        module = sys.modules["multiprocessing"]
        write = lambda value: module.set_start_method(value, force=True)  # noqa: E731
        yield Setting("the start method of multiprocessing", lambda: context(allow_none=True), write, shown=True)


def _socket() -> Iterator[Setting]:
    module = sys.modules["socket"]
    if hasattr(module, "setdefaulttimeout"):
        yield Setting("the time-out of sockets", module.getdefaulttimeout, module.setdefaulttimeout, shown=True)


_LIBRARIES: dict[str, Callable[[], Iterator[Setting]]] = {
    "torch": _torch,
    "matplotlib": _matplotlib,
    "multiprocessing": _multiprocessing,
    "socket": _socket,
}
UNTOUCHED: State = {"the start method of multiprocessing": None, "the time-out of sockets": None}  # right after the import
