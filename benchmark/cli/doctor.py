"""Check which parts are installed, usable or missing. 'Installed' is not 'usable': a child process tries each part."""

from __future__ import annotations

import dataclasses
import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Literal

from benchmark.errors import InputError, MissingDependency
from benchmark.machine import threads
from benchmark.machine.environment import (
    HOME,
    available_cores,
    git_state,
    install_hint,
    missing_modules,
    processor,
    try_import,
    try_in_child,
)
from benchmark.plugins.registry import Registry
from benchmark.storage.writable import prove_folder

OPTIONAL = ("tigre", "tinycudann", "tensorboard", "dask", "h5py", "zarr", "tensorstore")  # provided by the project's extras
NO_GPU = "no CUDA device: everything runs on the CPU"
# torch's version, the GPU that it finds, and why it finds none although it was built for CUDA.
ASK_TORCH = """
import json, torch, warnings
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else ""
why = " ".join(str(said[-1].message).split()) if said and torch.version.cuda else ""
print(json.dumps([torch.__version__, gpu, why]))
"""


@dataclasses.dataclass(frozen=True)
class Check:
    """One line of the doctor's list. 'missing' is an optional part; only 'broken' means that runs will not work."""

    name: str
    status: Literal["ok", "missing", "warning", "broken"]
    detail: str
    fix: str = ""


def examine(registry: Registry) -> Iterator[Check]:
    """Yield all checks, one after the other (some take seconds)."""
    yield _python()
    library = _torch()
    yield library
    compiler = _compiler()
    yield compiler
    if compiler.status == "ok":
        yield _kernels()
    if library.status == "ok" and NO_GPU not in library.detail:
        yield _cuda()
    yield _cache()
    yield _threads()
    yield from _plugins(registry)
    wanted = set(OPTIONAL)
    for required in [spec.requires for spec in registry.methods.values()] + [spec.requires for spec in registry.datasets.values()]:
        wanted.update(required)
    for module in sorted(wanted):
        yield _optional(module)


def _python() -> Check:
    detail = f"{platform.python_version()} on {platform.system()}, {processor()}, {available_cores()} cores"
    state = git_state(HOME)
    detail += f", git {state}" if state else ""
    good = sys.version_info >= (3, 10)
    return Check("python", "ok" if good else "broken", detail, "" if good else "Install Python 3.10 or later.")


def _torch() -> Check:
    good, text = try_in_child(ASK_TORCH)
    if not good:
        return Check("torch", "broken", text, "pip install torch")
    version, gpu, why = json.loads(text)
    if why and not gpu:  # usually a driver older than torch's CUDA
        return Check("torch", "warning", f"{version}, {NO_GPU}: {why}", "Update the driver, or install a torch built for an older CUDA.")
    return Check("torch", "ok", f"{version}, {gpu or NO_GPU}")


def _compiler() -> Check:
    from benchmark.kernels.cpu_library import find_compiler

    try:
        path = find_compiler()
    except MissingDependency as error:
        return Check("compiler", "broken", "no C++ compiler found", str(error))
    version = subprocess.run([path, "--version"], capture_output=True, text=True).stdout.splitlines()
    return Check("compiler", "ok", f"{path}: {version[0] if version else 'unknown version'}")


def _kernels() -> Check:
    good, text = try_in_child("from benchmark.kernels.cpu_library import build, library; library(); print(build())")
    return Check("kernels", "ok", f"built: {text}") if good else Check("kernels", "broken", text, "See the compiler's message above.")


def _cuda() -> Check:
    """Compile, load and launch kernels on the first CUDA device."""
    good, text = try_in_child("from benchmark.speed.gpu import difference_from_cpu; print(f'{difference_from_cpu():.1g}')")
    if good:
        return Check("cuda kernels", "ok", f"compiled and launched: A differs from the CPU's by {text}, relative")
    return Check("cuda kernels", "warning", f"not usable: {text}", "Run with --device cpu until this is fixed.")


def _cache() -> Check:
    from benchmark.storage.cache_folder import MOVE_CACHE, cache_folder

    folder = cache_folder()
    try:
        prove_folder(folder, str(folder), MOVE_CACHE)
    except InputError as error:
        return Check("cache", "broken", f"{folder}: {error.found}", MOVE_CACHE)
    return Check("cache", "ok", f"{folder}, {shutil.disk_usage(folder).free / 2**30:.0f} GiB free")


def _threads() -> Check:
    """Return each OpenMP runtime's waiting policy and who set it."""
    rows = [f"{row.runtime} {row.setting or 'spins'} ({'set by you' if row.by_user else 'set by benchmark'})" for row in threads.waiting()]
    detail = f"waiting policy: {', '.join(rows)}"
    if not threads.late():
        return Check("threads", "ok", detail)
    detail += f"; loaded too early for the setting, so its threads spin: {', '.join(threads.late())}"
    return Check("threads", "warning", detail, "Import benchmark before torch, or set OMP_WAIT_POLICY=passive before the program starts.")


def _plugins(registry: Registry) -> Iterator[Check]:
    counts = f"{len(registry.methods)} methods, {len(registry.datasets)} datasets, {len(registry.metrics)} metrics"
    yield Check("plug-ins", "ok", counts)
    for problem in registry.problems:
        yield Check("plug-in set aside", "warning", str(problem), "Repair or uninstall that plug-in.")


def _optional(module: str) -> Check:
    if missing_modules([module]):
        return Check(module, "missing", "optional, not installed", install_hint(module))
    good, text = try_import(module)
    return Check(module, "ok", text) if good else Check(module, "warning", f"installed but not usable: {text}", install_hint(module))
