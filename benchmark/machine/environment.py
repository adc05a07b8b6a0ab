"""The environment of a run: versions, processor, git state, and the availability of optional dependencies."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import importlib.util
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmark.machine.interpreter import PYTHON

DISTRIBUTION = "seed-ct"
HOME = Path(__file__).resolve().parents[2]  # the folder of the package: a clone, or site-packages
_PACKAGES = ("torch", "numpy", "scipy", "scikit-image")
_LINES = {  # for modules built from their repositories with nvcc; tiny-cuda-nn's releases need a setuptools with pkg_resources
    "tigre": "pip install git+https://github.com/CERN/TIGRE.git",
    "tinycudann": "pip install 'setuptools<81' ninja; "
    "pip install --no-build-isolation 'git+https://github.com/NVlabs/tiny-cuda-nn/#subdirectory=bindings/torch'",
}
# By module: the intended program and names it must define. The package index has another program called tigre.
_MEANT = {"tigre": ("TIGRE (tomography)", ("geometry", "Ax", "Atb", "algorithms"))}
LONGEST_IMPORT = 120.0  # [s]
LONGEST_TRY = 600.0  # [s]; building the kernels for the first time takes a while
_TRY = """
import importlib, sys
name, meant, *parts = sys.argv[1:]
module = importlib.import_module(name)
lacking = ", ".join(part for part in parts if not hasattr(module, part))
if lacking:
    place = getattr(module, "__file__", None) or ", ".join(module.__path__)
    sys.exit(f"the module {name} found here is not {meant}: {place} has no {lacking}")
print(getattr(module, "__version__", "installed"))
"""


def available_cores() -> int:
    """Return the number of processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def environment() -> dict[str, Any]:
    """Return facts for the run record, gathered once per process without heavy imports."""
    return {
        "benchmark": project_version(),
        "git": git_state(HOME),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor(),
        "cores": available_cores(),
        **{name: version(name) for name in _PACKAGES},
    }


@functools.cache
def project_version() -> str:
    """Version of this project: from pyproject.toml in a checkout, else from the installed distribution; '0+unknown' without either.

    The checkout goes first because an editable installation keeps the version it was installed with.
    """
    with contextlib.suppress(OSError):
        text = (HOME / "pyproject.toml").read_text(encoding="utf-8")
        found = re.search(rf'^name = "{DISTRIBUTION}"\nversion = "(.+)"$', text, re.MULTILINE)
        if found:
            return found.group(1)
    return version(DISTRIBUTION) or "0+unknown"


def version(distribution: str) -> str:
    """Installed version of a distribution; '' if it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def git_state(folder: Path) -> str:
    """Return the commit of a checkout, with '+changes' if tracked files differ from it; '' outside git."""
    try:
        commit = _git(folder, "rev-parse", "--short=12", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return ""
    return f"{commit}+changes" if changed else commit


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


def processor() -> str:
    """Name of the processor."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    match = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return match.group(1) if match else platform.machine()


def missing_modules(modules: Iterable[str]) -> list[str]:
    """Return the modules that cannot be found (only their parent packages are imported)."""
    return [name for name in modules if not _exists(name)]


def needs(modules: Iterable[str]) -> str:
    """Return 'needs a, b (install: ...)' for modules that are missing or belong to another program; '' if all are usable."""
    modules = list(modules)
    missing = missing_modules(modules)
    if missing:
        return f"needs {', '.join(missing)} (install: {'; '.join(map(install_hint, missing))})"
    return next(filter(None, map(mistaken, modules)), "")


def mistaken(module: str) -> str:
    """Return 'needs TIGRE (tomography): the module tigre found here is not ...' if the module is another program, else ''."""
    if module not in _MEANT:
        return ""
    usable, text = try_import(module)
    return "" if usable else f"needs {_MEANT[module][0]}: {text} (install: {install_hint(module)})"


@functools.cache
def try_import(module: str) -> tuple[bool, str]:
    """Import a module in a child process. Return True and its version, or False and the reason if it is unusable or another program."""
    meant, parts = _MEANT.get(module, ("", ()))
    return try_in_child(_TRY, module, meant, *parts, timeout=LONGEST_IMPORT)


def try_in_child(code: str, *arguments: str, timeout: float = LONGEST_TRY) -> tuple[bool, str]:
    """Run Python code in a fresh process. Return True on success, and the last line of its output or traceback."""
    paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [*PYTHON, "-c", code, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=HOME, env={**os.environ, **paths})
    except subprocess.TimeoutExpired:
        return False, f"still busy after {timeout:g} s"
    text = done.stdout if done.returncode == 0 else done.stderr
    lines = [line for line in text.strip().splitlines() if line.strip()]
    last = lines[-1] if lines else ""
    if done.returncode < 0:
        last = f"crashed (signal {-done.returncode})"
    return done.returncode == 0, last


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def install_hint(module: str) -> str:
    """Return the command that installs a module: through an extra of this project, or from its repository if no index has it.

    pip finds this project already installed and only adds the extra's packages.
    """
    extra = _extras().get(module)
    return f"pip install '{DISTRIBUTION}[{extra}]'" if extra else _LINES.get(module, f"pip install {module}")


@functools.cache
def _extras() -> dict[str, str]:
    """Return the extra for each module: by the extra's own name and by the names of the distributions it installs."""
    found: dict[str, str] = {}
    try:
        requirements = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        requirements = []
    for requirement in requirements:
        match = re.match(r"([\w.-]+).*;\s*extra\s*==\s*['\"]([\w-]+)['\"]", requirement)
        if match and match.group(2) != "dev":
            found.setdefault(match.group(1).replace("-", "_"), match.group(2))
            found[match.group(2)] = match.group(2)
    return found
