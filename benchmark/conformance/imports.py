"""Imports of a plug-in, read from its sources without running them."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
from collections.abc import Callable
from pathlib import Path

from benchmark.plugins.identity import imports

ALLOWED = ("benchmark.api", "benchmark.fields")  # modules of the harness open to methods
GROUPS = ("benchmark.methods.", "benchmark.datasets.")  # packages whose members are separate plug-ins


def package_of(module: str) -> str:
    """Return the plug-in of a module: 'benchmark.methods.sirt.solve' -> 'benchmark.methods.sirt', 'my_method.solve' -> 'my_method'."""
    parts = module.split(".")
    return ".".join(parts[: 3 if module.startswith(GROUPS) else 1])


def home_of(target: str | Callable[..., object] | None) -> Path | None:
    """Return the folder of the plug-in that holds a target ('module:name' or the object), or the file of its only module."""
    module = target.partition(":")[0] if isinstance(target, str) else getattr(target, "__module__", None)
    with contextlib.suppress(ImportError, ValueError, AttributeError):
        spec = importlib.util.find_spec(package_of(module)) if module else None
        if spec is not None:
            place = next(iter(spec.submodule_search_locations or ()), spec.origin)
            return Path(place) if place else None
    return None


def sources(package: str) -> dict[str, Path]:
    """Return the Python files of a package or module, by module name."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        return {}
    found = {}
    for place in spec.submodule_search_locations or []:
        for path in sorted(Path(place).rglob("*.py")):
            parts = path.relative_to(place).with_suffix("").parts
            found[".".join([package, *(parts[:-1] if parts[-1] == "__init__" else parts)])] = path
    if not found and spec.origin and spec.origin.endswith(".py"):
        found[package] = Path(spec.origin)
    return found


def forbidden_imports(package: str) -> list[str]:
    """Return 'module imports benchmark.records.store' for every import of the harness that is forbidden to methods."""
    found = []
    for module, path in sources(package).items():
        for name in imports(ast.parse(path.read_bytes()), module, is_package=path.name == "__init__.py"):
            if name.split(".")[0] == "benchmark" and not any(f"{name}.".startswith(f"{allowed}.") for allowed in (*ALLOWED, package)):
                found.append(f"{module} imports {name}")
    return found
