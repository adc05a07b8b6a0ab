"""What the sources of a plug-in import, read without running them."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

ALLOWED = ("benchmark.api", "benchmark.fields")  # what the harness offers to methods
GROUPS = ("benchmark.methods.", "benchmark.datasets.")  # folders whose members are plug-ins of their own


def imports(text: str, module: str, *, is_package: bool) -> Iterator[str]:
    """Full names of everything imported anywhere in a source, strings given to import_module included."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".")
            base = base[: len(base) - node.level + is_package] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{prefix}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in ("import_module", "__import__"):
            yield from (argument.value for argument in node.args if isinstance(argument, ast.Constant) and isinstance(argument.value, str))


def package_of(module: str) -> str:
    """The plug-in of a module: 'benchmark.methods.sirt.solve' -> 'benchmark.methods.sirt', 'my_method.solve' -> 'my_method'."""
    parts = module.split(".")
    return ".".join(parts[: 3 if module.startswith(GROUPS) else 1])


def sources(package: str) -> dict[str, Path]:
    """The Python files of a package or module, by module name."""
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
    """'module imports benchmark.records.store' for everything of the harness that a method must not use."""
    found = []
    for module, path in sources(package).items():
        for name in imports(path.read_text(encoding="utf-8"), module, is_package=path.name == "__init__.py"):
            if name.split(".")[0] == "benchmark" and not any(f"{name}.".startswith(f"{allowed}.") for allowed in (*ALLOWED, package)):
                found.append(f"{module} imports {name}")
    return found
