"""Build the C++ kernels with the machine's own compiler, once per source, compiler and processor, and load them.

Each source becomes an object file and all of them one shared library in the cache folder ($SEED_CACHE, else the
user's cache folder). ctypes calls it: no Python or torch ABI is involved.
"""

from __future__ import annotations

import concurrent.futures
import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path

from filelock import FileLock

from benchmark.errors import InputError, MissingDependency
from benchmark.kernels.declarations import CPU
from benchmark.kernels.sources import CPU_SOURCES, SHARED_SOURCES
from benchmark.storage import litter
from benchmark.storage.atomic import replacing
from benchmark.storage.cache_folder import MOVE_CACHE, cache_folder, own_cache_folder
from benchmark.storage.sealed import is_intact, is_ours, seal
from benchmark.storage.writable import prove_folder

INCLUDE = f"-I{SHARED_SOURCES}"
# Contraction to FMA and dropping errno are safe; no flag may break NaN checks or reorder sums.
OPTIMISE = ("-O3", "-std=c++17", "-fPIC", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-Wall")
TUNE = (("-march=native", "-fopenmp"), ("-mcpu=native", "-fopenmp"), ("-march=native",), ("-mcpu=native",), ())


def find_compiler() -> str:
    """Return the path of the C++ compiler ($CXX, g++, c++ or clang++). Raise MissingDependency naming the package to install."""
    for name in (os.environ.get("CXX"), "g++", "c++", "clang++"):
        if name and shutil.which(name):
            return str(shutil.which(name))
    raise MissingDependency(
        "No C++ compiler found (looked for $CXX, g++, c++, clang++), which the CPU kernels need. Install one: "
        "'apt-get install g++' on Debian and Ubuntu, 'dnf install gcc-c++' on Fedora, 'xcode-select --install' on macOS."
    )


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise MissingDependency(f"Building the CPU kernels failed: {' '.join(command)}\n{done.stderr[-4000:]}")


@functools.cache
def tuning_flags(compiler: str) -> tuple[str, ...]:
    """Return the best set of processor and OpenMP flags this compiler accepts (without OpenMP the kernels run on one thread)."""
    for flags in TUNE:
        command = [compiler, *flags, "-x", "c++", "-shared", "-fPIC", "-o", os.devnull, "-"]
        if subprocess.run(command, input="int f() { return 0; }", capture_output=True, text=True).returncode == 0:
            return flags
    raise MissingDependency(f"The C++ compiler {compiler} cannot build a shared library.")


def _machine_key(compiler: str) -> str:
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout.splitlines()[:1]
    cpu = platform.machine() + platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
        cpu += next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{version}{cpu}{OPTIMISE}{tuning_flags(compiler)}"


def build() -> Path:
    """Compile what is missing or damaged in the cache; return the shared library's path. Safe if several processes build at once.

    Raise MissingDependency without a compiler, InputError if the cache cannot be written.
    """
    compiler = find_compiler()
    key = _machine_key(compiler)
    headers = "".join(
        path.read_text(encoding="utf-8") for path in [*sorted(SHARED_SOURCES.glob("*.h")), *sorted(CPU_SOURCES.glob("*.hpp"))]
    )
    folder = kernel_folder()
    sources = sorted(CPU_SOURCES.glob("*.cpp"))
    digests = [hashlib.sha256((key + headers + source.read_text(encoding="utf-8")).encode()).hexdigest()[:16] for source in sources]
    objects = [folder / f"{source.stem}-{digest}.o" for source, digest in zip(sources, digests, strict=True)]
    target = folder / f"seed-{hashlib.sha256(''.join(path.name for path in objects).encode()).hexdigest()[:16]}.so"

    def compile_one(source: Path, path: Path) -> None:
        if not is_intact(path):
            _build_to(path, [compiler, *OPTIMISE, *tuning_flags(compiler), INCLUDE, "-c", str(source)])

    litter.clear_once(folder)
    if is_intact(target):
        return target
    prove_folder(folder, f"cache {folder}", MOVE_CACHE)
    with FileLock(folder / "build.lock"):
        if not is_intact(target):  # another process may have built it in the meantime
            with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
                list(pool.map(compile_one, sources, objects))
            _build_to(target, [compiler, *tuning_flags(compiler), "-shared", *map(str, objects)])
    return target


def kernel_folder() -> Path:
    """Return the folder of the built kernels: in the cache, or in the user's own where another user owns that one."""
    for cache in (cache_folder(), own_cache_folder()):
        if is_ours(cache / "kernels"):
            return cache / "kernels"
    raise InputError(f"cache {cache}", expected="a folder that belongs to this user", found="another user's", fix=MOVE_CACHE)


def _build_to(target: Path, command: list[str]) -> None:
    """Run the compiler into a temporary file, move it into place and seal it, so that no process loads half a file."""
    with replacing(target) as temporary:
        _run([*command, "-o", str(temporary)])
    seal(target)


@functools.cache
def library() -> ctypes.CDLL:
    """Return the loaded kernels, with the types of their arguments. Raise MissingDependency without a compiler or if the build fails."""
    loaded = ctypes.CDLL(str(build()))
    for name, kernel in CPU.items():
        function = getattr(loaded, f"seed_{name}")
        function.argtypes, function.restype = kernel.argtypes, ctypes.c_int
    loaded.seed_error.argtypes, loaded.seed_error.restype = [], ctypes.c_char_p
    return loaded
