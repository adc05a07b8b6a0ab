"""Identity of a method's code: its distribution, its version, and a digest of its sources.

The digest covers the module of the method's target, its parameters and its `skip`, those of its `parts`, and every module of the same
package that these import, also inside functions, with the `__init__` of each package on the way. Of Python counts what runs: comments,
docstrings, formatting and imports for type checkers do not. C++ and CUDA sources in these packages, compiled modules, and sources that
do not parse count by their bytes.

Of the harness's own package, whose modules nearly all import each other, only the rooms count in which numbers are made (OWN_ROOMS), as
far as the method reaches them through the names that it imports from `benchmark.api` and `benchmark.fields`.

Nothing is imported for it, and nothing of the sources runs.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import hashlib
import importlib.metadata
import importlib.util
import inspect
import os
import sys
import warnings
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any, NamedTuple

from benchmark.machine.environment import DISTRIBUTION, project_version, version
from benchmark.plugins.registry import registry
from benchmark.plugins.specs import MethodSpec

GROUP = "benchmark"  # of the entry points
HARNESS = "benchmark"  # the harness's own package
OWN_ROOMS = ("methods", "fields", "reconstruction", "projection", "kernels", "scan")
NATIVE = (".c", ".cc", ".cpp", ".cxx", ".cu", ".cuh", ".h", ".hh", ".hpp", ".metal", ".cl", ".pyx", ".pxd", ".f90")
MISSING = "its source is not available"


def identity(method: MethodSpec) -> dict[str, Any]:
    """Return the distribution, version, module and digest of a method's code; where there is no digest, '' and the `reason`.

    It is read from the files as they are now; unchanged files are parsed once per process.
    """
    module = _module(method.target)
    top = module.partition(".")[0]
    distribution, its_version = _distribution(top)
    facts: dict[str, Any] = {"distribution": distribution, "version": its_version, "module": module}
    known = registry().methods if method.parts else {}
    parts = [known[name] for name in method.parts if name in known]
    roots = dict.fromkeys(root for part in (method, *parts) for root in _roots(part))
    try:
        if module == "__main__":
            return facts | {"digest": _main(method.target)}
        return facts | {"digest": _Closure(top, [root for root in roots if root.partition(".")[0] == top]).digest()}
    except (OSError, ImportError, ValueError, TypeError, AttributeError) as error:  # what loaders and importers of others raise
        return facts | {"digest": "", "reason": str(error) or MISSING}


def _roots(method: MethodSpec) -> list[str]:
    """Return the modules that a method's code begins with."""
    return [_module(method.target), method.params.__module__, *([_module(method.skip)] if method.skip else [])]


def changed(then: dict[str, Any], now: dict[str, Any]) -> bool:
    """Return True if two identities have digests that differ; without one of them, nobody can tell."""
    return bool(then.get("digest") and now.get("digest") and then["digest"] != now["digest"])


def imports(tree: ast.AST, module: str, *, is_package: bool) -> Iterator[str]:
    """Return the full names of all imports in a parsed source, including strings passed to import_module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".")
            base = base[: len(base) - node.level + is_package] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{prefix}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in ("import_module", "__import__"):
            yield from (argument.value for argument in node.args if isinstance(argument, ast.Constant) and isinstance(argument.value, str))


class _Source(NamedTuple):
    """A module as far as it counts."""

    digest: str
    imports: tuple[str, ...] = ()
    exports: dict[str, str] | None = None  # name -> defining module, of a table of names that are imported on first use


class _Found(NamedTuple):
    """Place of a module; `places` are the folders of a package."""

    spec: ModuleSpec
    places: tuple[str, ...]


class _Closure:
    """The modules of one package that its roots reach."""

    def __init__(self, top: str, roots: list[str]) -> None:
        self.top = top
        self.digests: dict[str, str] = {}  # module or native file -> digest
        self._seen: set[str] = set()
        self._folders: dict[str, str] = {}  # of packages -> module
        self._pending = list(roots)
        for root in roots:
            if _locate(root) is None:
                raise ImportError(f"{MISSING}: no file of {root}")

    def digest(self) -> str:
        """Return the digest of everything reached, 16 hex digits."""
        while self._pending:
            self._follow(self._pending.pop())
        for folder, package in self._folders.items():
            self._add_native(folder, package)
        if not self.digests:
            raise ImportError(MISSING)
        text = "\n".join(f"{name} {self.digests[name]}" for name in sorted(self.digests))
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]

    def _follow(self, name: str) -> None:
        """Add the module of an imported name, and the packages that it lies in."""
        if name in self._seen or name.partition(".")[0] != self.top:
            return
        self._seen.add(name)
        parts = name.removesuffix(".*").split(".")
        for length in range(len(parts), 0, -1):
            module = ".".join(parts[:length])
            found = _locate(module)
            if found is None:
                continue
            source = self._visit(module, found)
            if source is not None and source.exports is not None:
                rest = parts[length:]
                exported = source.exports.values() if not rest else [source.exports[rest[0]]] if rest[0] in source.exports else []
                self._pending += [target if target != module or not rest else f"{target}.{rest[0]}" for target in exported]
            for end in range(1, length):
                parent = ".".join(parts[:end])
                package = _locate(parent)
                if package is not None:
                    self._visit(parent, package)
            return

    def _visit(self, module: str, found: _Found) -> _Source | None:
        """Read a module; its digest and its imports count if it is one of those that do."""
        counts = self._counts(module)
        if counts:
            self._folders |= {place: module for place in found.places}
        if found.spec.loader is None or found.spec.origin is None:  # a folder without __init__.py
            return None
        source = _source(module, found.spec)
        if counts and source.exports is None and module not in self.digests:
            self.digests[module] = source.digest
            self._pending += source.imports
        return source

    def _counts(self, module: str) -> bool:
        if self.top != HARNESS:
            return True
        _, room, *rest = [*module.split("."), ""]
        return room in OWN_ROOMS and (room != "methods" or len(rest) > 1)

    def _add_native(self, folder: str, package: str) -> None:
        for place, folders, files in os.walk(folder):
            folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
            for name in files:
                if name.endswith(NATIVE):
                    path = Path(place, name)
                    relative = path.relative_to(folder).as_posix()
                    self.digests[f"{package}/{relative}"] = _bytes_digest(path.read_bytes())


def _locate(module: str) -> _Found | None:
    """Find a module without importing it or a package that it lies in; None if there is none."""
    found: _Found | None = None
    name = ""
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        spec = _top_spec(part) if found is None else _inner_spec(name, found.places)
        if spec is None:
            return None
        if found is not None and spec.loader is None:
            places = tuple(os.path.join(place, part) for place in found.places if os.path.isdir(os.path.join(place, part)))
        else:
            places = tuple(spec.submodule_search_locations or ())
        found = _Found(spec, places)
    return found


def _top_spec(name: str) -> ModuleSpec | None:
    with contextlib.suppress(ImportError, ValueError, AttributeError):
        return importlib.util.find_spec(name)
    path = getattr(sys.modules.get(name), "__file__", None)  # of a module made by hand, without a spec
    return importlib.util.spec_from_file_location(name, path) if path else None


def _inner_spec(name: str, places: tuple[str, ...]) -> ModuleSpec | None:
    try:
        return PathFinder.find_spec(name, list(places))
    except KeyError:  # a folder without __init__.py: Python looks for its parent among the imported modules
        return ModuleSpec(name, None, is_package=True)


def _source(module: str, spec: ModuleSpec) -> _Source:
    """Return what counts of a module's file. Raise OSError or ImportError if it cannot be read."""
    origin = str(spec.origin)
    get_data = getattr(spec.loader, "get_data", None)
    if get_data is None:
        raise ImportError(f"{MISSING}: {module} is {origin}")
    is_package = spec.submodule_search_locations is not None
    try:
        status = os.stat(origin)
    except OSError:  # inside an archive
        return _read(module, origin, is_package, get_data(origin))
    return _read_file(module, origin, is_package, (status.st_mtime_ns, status.st_size, status.st_ino))


@functools.lru_cache(maxsize=4096)
def _read_file(module: str, path: str, is_package: bool, stamp: tuple[int, ...]) -> _Source:
    """Read a file; `stamp` tells its states apart."""
    return _read(module, path, is_package, Path(path).read_bytes())


def _read(module: str, path: str, is_package: bool, data: bytes) -> _Source:
    if not path.endswith((".py", ".pyw")):
        return _Source(_bytes_digest(data))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the compiler has said them when the module was imported
            tree = _Running().visit(ast.parse(data))
        text = "".join(_words(tree))
        found = tuple(dict.fromkeys(imports(tree, module, is_package=is_package)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _Source(_bytes_digest(data))
    return _Source(_bytes_digest(text.encode("utf-8", "surrogatepass")), found, _exports(tree, module))


class _Running(ast.NodeTransformer):
    """Leaves what runs: no docstrings, no other strings that stand alone, nothing that only type checkers see."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        name = getattr(node.test, "attr", getattr(node.test, "id", ""))
        if name == "TYPE_CHECKING":
            return [self.visit(statement) for statement in node.orelse]
        return self.generic_visit(node)


def _words(node: Any) -> Iterator[str]:
    """Return a text of a syntax tree that all versions of Python agree on: no positions, no empty fields."""
    if isinstance(node, ast.Constant):
        yield f"{type(node.value).__name__}:{node.value!r};"
    elif isinstance(node, ast.AST):
        yield f"{type(node).__name__}("
        for name, value in ast.iter_fields(node):
            if value is not None and value != [] and name not in ("type_comment", "type_ignores"):
                yield f"{name}="
                yield from _words(value)
        yield ")"
    elif isinstance(node, list):
        yield "["
        for item in node:
            yield from _words(item)
        yield "]"
    else:
        yield f"{node!r};"


def _exports(tree: ast.Module, module: str) -> dict[str, str] | None:
    """Return the names that a module exports through a table (plugins/exports.py), each with its defining module; None without one."""
    for statement in tree.body:
        call = getattr(statement, "value", None)
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Exports" and len(call.args) == 2:
            with contextlib.suppress(ValueError):
                owner, groups = (ast.literal_eval(argument) for argument in call.args)
                if owner == module:
                    return {name: place for group in groups.values() for name, place in group.items()}
    return None


def _module(target: Any) -> str:
    """Return the module that defines a target."""
    if isinstance(target, str):
        return target.partition(":")[0]
    target = getattr(target, "func", target)  # of functools.partial
    return str(getattr(target, "__module__", None) or type(target).__module__)


def _main(target: Any) -> str:
    """Return the digest of a method defined in the script that runs, or in a notebook. Raise OSError without a source."""
    path = getattr(sys.modules["__main__"], "__file__", None)
    if path and os.path.isfile(path):
        return _read("__main__", path, False, Path(path).read_bytes()).digest[:16]
    try:
        return _read("__main__", "cell.py", False, inspect.getsource(target).encode()).digest[:16]
    except (OSError, TypeError) as error:
        raise OSError(f"{MISSING}: it is defined in a session") from error


def _bytes_digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@functools.cache
def _distribution(top: str) -> tuple[str, str]:
    """Return name and version of the distribution that installed a package; '' and '' if none did."""
    if top == HARNESS:
        return DISTRIBUTION, project_version()
    for point in importlib.metadata.entry_points(group=GROUP):
        if point.module.partition(".")[0] == top and point.dist is not None:
            return point.dist.name, point.dist.version
    names = importlib.metadata.packages_distributions().get(top, [])
    return (names[0], version(names[0])) if names else ("", "")
