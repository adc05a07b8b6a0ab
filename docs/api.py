"""Writes docs/api.md and the stubs beside benchmark, benchmark.api and benchmark.fields, from their tables of exports and the docstrings.

python docs/api.py          writes them
python docs/api.py --check  exits with 1 if one of them is not what would be written
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib
import inspect
import io
import math
import re
import sys
import textwrap
import tokenize
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the page describes the tree that it lies in

import benchmark  # noqa: E402
import benchmark.api  # noqa: E402
import benchmark.fields  # noqa: E402
from benchmark.plugins.exports import Exports  # noqa: E402

OWNERS = {"benchmark.api": benchmark.api.EXPORTS, "benchmark.fields": benchmark.fields.EXPORTS, "benchmark": benchmark.EXPORTS}
PAGE = ROOT / "docs" / "api.md"
WIDTH = 100
FOREIGN = {  # names that another library defines, and documents in its own way
    "Field": (
        'Field(default, *, description="", ge=None, gt=None, le=None, lt=None, ...)',
        "pydantic's `Field`: default, bounds and description of a parameter (docs.pydantic.dev, Fields).",
    ),
}
TYPES = {  # types that signatures name and nobody exports
    "benchmark.scan.geometry": ("Pair", "Triple"),
    "benchmark.plugins.specs": ("Target",),
    "benchmark.projection.marching": ("Field", "Jitter"),
    "benchmark.projection.compositing": ("Mode",),
    "benchmark.projection.rays": ("Pixels",),
    "benchmark.projection.filters": ("FilterName",),
    "benchmark.storage.archive": ("Arrays",),
    "benchmark.fields.attenuation": ("Activation",),
    "benchmark.fields.mixture": ("Block",),
    "benchmark.fields.fitting.residuals": ("By",),
}
HEAD = """\
# API reference

<!-- Written by docs/api.py (make docs) from the docstrings: change those. -->

A plug-in may import `benchmark.api` and `benchmark.fields`, and nothing else of the harness. How to use them:
[adding a method](adding_a_method.md), [adding a dataset, a metric, a reporter](adding_data_metrics_reporters.md).
Scripts and notebooks use `benchmark` itself: [from Python](python.md).

Unless an entry says otherwise: lengths are mm, angles rad, attenuation 1/mm; volumes are [z, y, x], projections [view, v, u], positions
x y z, pairs on the detector (v, u), triples of the volume (z, y, x) ([conventions](conventions.md)). Scans and cases hold NumPy arrays;
projectors, solvers and fields take and return float32 torch tensors.
"""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One exported name: its heading, its signature as code, its description, its members, and the file that defines it."""

    name: str
    code: str
    text: str
    members: tuple[tuple[str, str], ...]
    path: str


def page() -> str:
    """The text of docs/api.md."""
    parts, anchors, links = [HEAD], Anchors(), dict[str, str]()
    for owner, exports in OWNERS.items():
        parts.append(f"Names of `{owner}`:\n")
        parts.append("| for | names |\n|---|---|")
        for title, group in exports.groups.items():
            links |= {name: anchors.next(name) for name in group if name not in links}
            parts.append(f"| {title} | {', '.join(f'[`{name}`](#{links[name]})' for name in group)} |")
        parts.append("")
    assignments = [constant(module, name)[0] for module, names in TYPES.items() for name in names]
    parts += ["Other types in the signatures (`Field` is pydantic's only in parameter models):\n", "```", *assignments, "```\n"]
    told = set[str]()
    for owner, exports in OWNERS.items():
        for title, group in exports.groups.items():
            new = [name for name in group if name not in told]
            told.update(new)
            parts += [f"## `{owner}`: {title}\n"] if new else []
            parts += [rendered(entry(exports, name)) for name in new]
    return "\n".join(parts).rstrip() + "\n"


class Anchors:
    """The anchors that GitHub gives to headings, in their order: in lower case, with a number where there was the same before."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def next(self, heading: str) -> str:
        anchor = heading.lower()
        count = self._seen.get(anchor, 0)
        self._seen[anchor] = count + 1
        return f"{anchor}-{count}" if count else anchor


def rendered(entry: Entry) -> str:
    lines = [f"### `{entry.name}`", "", "```", entry.code, "```", ""]
    if entry.text:
        lines += [entry.text, ""]
    lines += [f"- `{code}`: {indented(text)}" if text else f"- `{code}`" for code, text in entry.members]
    lines += [""] if entry.members else []
    if entry.path:
        lines += [f"<sub>[{entry.path}](../{entry.path})</sub>", ""]
    return "\n".join(lines)


def indented(text: str) -> str:
    """The text of a list item: its later paragraphs are part of the item."""
    return textwrap.indent(text, "  ").strip()


def entry(exports: Exports, name: str) -> Entry:
    """What the page says about a name."""
    if name in FOREIGN:
        return Entry(name, *FOREIGN[name], (), "")
    module, found = exports.modules[name], exports.attribute(name)
    if isinstance(found, types.ModuleType):
        members = tuple((f"{function}{signature(value)}", own_doc(value)) for function, value in public(found))
        return Entry(name, f"from {exports.owner} import {name}", own_doc(found), members, path_of(found.__name__))
    if inspect.isclass(found):
        return Entry(name, class_code(name, found), own_doc(found), tuple(members_of(found)), path_of(module))
    if inspect.isfunction(found):
        return Entry(name, wrapped(name, signature(found)), own_doc(found), (), path_of(module))
    return Entry(name, *constant(module, name), (), path_of(module))


def path_of(module: str) -> str:
    return module.replace(".", "/") + ".py"


def own_doc(found: Any) -> str:
    """The docstring of a thing itself, not that of its base class; '' where there is none."""
    if isinstance(found, property):
        found = found.fget
    return inspect.cleandoc(found.__doc__ or "") if "__doc__" in vars(found) or inspect.isroutine(found) else ""


def public(module: types.ModuleType) -> Iterator[tuple[str, Any]]:
    """The public functions that a module defines, in its order."""
    for name, value in vars(module).items():
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_"):
            yield name, value


def class_code(name: str, kind: type) -> str:
    """A class by its fields, one a line with what its source says about each, or by the arguments that make it."""
    if issubclass(kind, BaseException) and "__init__" not in vars(kind):
        return f"{name}(text: str)"
    fields = list(fields_of(kind))
    if not fields:
        return f"class {name}({kind.__bases__[0].__name__})" if is_model(kind) else wrapped(name, signature(kind))
    lines = [f"    {code}{f'  # {comment}' if comment else ''}" for code, comment in fields]
    base = kind.__bases__[0].__name__
    return "\n".join([f"class {name}({base}):" if is_model(kind) else f"class {name}:", *lines])


def is_model(kind: type) -> bool:
    return hasattr(kind, "model_fields")


def fields_of(kind: type) -> Iterator[tuple[str, str]]:
    """The fields that a dataclass, a named tuple or a model declares in its own body: 'name: type = default', and its comment."""
    declared = dataclasses.is_dataclass(kind) or is_model(kind) or hasattr(kind, "_fields")
    if not declared:
        return
    source = textwrap.dedent(inspect.getsource(kind))
    comments, definition = comments_of(source), ast.parse(source).body[0]
    assert isinstance(definition, ast.ClassDef)
    for node in definition.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        name, kind_of_value = node.target.id, ast.get_source_segment(source, node.annotation) or ""
        if name.startswith("_") or kind_of_value.startswith("ClassVar"):
            continue
        default, comment = default_of(kind, name, node.value), comments.get(name, "")
        if is_model(kind):
            comment = comment or described(kind, name)
        yield f"{name}: {kind_of_value}{default}", comment


def default_of(kind: type, name: str, value: ast.expr | None) -> str:
    if value is None:
        return ""
    if is_model(kind):
        field = kind.model_fields[name]  # type: ignore[attr-defined]
        return "" if field.is_required() else f" = {literal(field.default)}"
    known = {field.name: field for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else {}
    maker: Any = known[name].default_factory if name in known else None
    return f" = {literal(maker() if callable(maker) else getattr(kind, name))}"


def described(kind: Any, name: str) -> str:
    """The description of a model's field, and its bounds."""
    field = kind.model_fields[name]
    bounds = {key: getattr(rule, key) for rule in field.metadata for key in ("gt", "ge", "lt", "le") if hasattr(rule, key)}
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    said = " and ".join(f"{signs[key]} {bound:g}" for key, bound in bounds.items())
    said = f"{bounds['ge']:g} .. {bounds['le']:g}" if set(bounds) == {"ge", "le"} else said
    return "; ".join(part for part in (field.description or "", said) if part)


def literal(value: Any) -> str:
    if isinstance(value, float) and math.isclose(value, 2 * math.pi):
        return "2 * pi"
    if inspect.isclass(value):
        return value.__name__
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' * (len(value) == 1)})"
    return f'"{value}"' if isinstance(value, str) and '"' not in value else repr(value)


def comments_of(source: str) -> dict[str, str]:
    """The comment at the end of each field's line of a class."""
    found, lines = {}, source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        declared = re.match(r"    (\w+): ", lines[token.start[0] - 1]) if token.type == tokenize.COMMENT else None
        if declared:
            found[declared[1]] = token.string.removeprefix("#").strip()
    return found


def members_of(kind: type) -> Iterator[tuple[str, str]]:
    """Public methods and properties of a class, with what they are for. Those of other libraries' classes are left out."""
    for name, value in vars(kind).items():
        function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if name.startswith("_") or not inspect.isroutine(function) or overrides_foreign(kind, name, function):
            continue
        if getattr(function, "__module__", kind.__module__) != kind.__module__ or hasattr(function, "__wrapped__"):
            function = inspect.unwrap(function)
        if isinstance(value, property):
            returned = inspect.signature(function).return_annotation
            yield f".{name}: {returned}", own_doc(value)
        else:
            owner = kind.__name__ if isinstance(value, (classmethod, staticmethod)) else ""
            yield f"{owner}.{name}{signature(function, bound=not isinstance(value, staticmethod))}", own_doc(function)


def overrides_foreign(kind: type, name: str, function: Any) -> bool:
    """Whether a member only fills in what a class of another library (torch's Module, say) explains."""
    return not function.__doc__ and any(hasattr(base, name) for base in kind.__bases__ if not base.__module__.startswith("benchmark"))


def signature(function: Any, bound: bool = False) -> str:
    """(argument: type = default, ...) -> type, as the source has it."""
    try:
        found = inspect.signature(function)
    except ValueError:
        return "()"
    parts, star, parameters = [], False, list(found.parameters.values())
    for parameter in parameters[1:] if bound else parameters:
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            star = True
            parts.append("*")
        prefix = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**" if parameter.kind is parameter.VAR_KEYWORD else ""
        star = star or prefix == "*"
        text = f"{prefix}{parameter.name}"
        if parameter.annotation is not parameter.empty:
            text += f": {annotation(parameter.annotation)}"
        if parameter.default is not parameter.empty:
            text += f" = {literal(parameter.default)}" if parameter.annotation is not parameter.empty else f"={literal(parameter.default)}"
        parts.append(text)
    returns = found.return_annotation
    made = inspect.isclass(function) or returns is found.empty
    return f"({', '.join(parts)})" + ("" if made else f" -> {annotation(returns)}")


def annotation(value: Any) -> str:
    return value if isinstance(value, str) else getattr(value, "__name__", str(value))


def wrapped(name: str, text: str) -> str:
    """A call on one line, or with one argument a line where it is long."""
    if len(name + text) <= WIDTH:
        return name + text
    depth, parts, begin = 0, [], 1
    for index, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if depth == 1 and letter == ",":
            parts.append(text[begin:index])
            begin = index + 1
        if depth == 0 and letter == ")":
            parts.append(text[begin:index])
            return "\n".join([f"{name}(", *(f"    {part.strip()}," for part in parts), text[index:]])
    raise AssertionError(text)


@functools.cache
def module_tree(module: str) -> tuple[str, ast.Module]:
    source = inspect.getsource(importlib.import_module(module))
    return source, ast.parse(source)


def constant(module: str, name: str) -> tuple[str, str]:
    """The assignment of a constant or a type, and the string below it, which documents it."""
    source, tree = module_tree(module)
    for statement, following in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == name:
            code = ast.get_source_segment(source, statement) or ""
            told = following.value if isinstance(following, ast.Expr) else None
            return code, inspect.cleandoc(str(told.value)) if isinstance(told, ast.Constant) else ""
    raise LookupError(f"{module} does not assign {name}")


def stub(exports: Exports) -> str:
    """The stub of a module of exports: what type checkers and editors read."""
    lines = [f"# Written by docs/api.py (make docs) from the table in {path_of(exports.owner).rpartition('/')[2]}.", "# ruff: noqa"]
    for title, group in exports.groups.items():
        lines += ["", f"# {title}", *(f"from {module} import {name} as {name}" for name, module in group.items())]
    names = "".join(f'    "{name}",\n' for name in exports.names)
    version = ["__version__: str"] if exports.owner == "benchmark" else []
    lines += ["", "from benchmark.plugins.exports import Exports", "", *version, "EXPORTS: Exports"]
    return "\n".join([*lines, f"__all__ = [\n{names}]\n"])


def outputs() -> dict[Path, str]:
    """Every file that this writes, with its text."""
    found = {PAGE: page()}
    for owner, exports in OWNERS.items():
        source = Path(inspect.getsourcefile(importlib.import_module(owner)) or "")
        found[source.with_suffix(".pyi")] = stub(exports)
    return found


def main() -> int:
    stale = [path for path, text in outputs().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        print(f"{path.relative_to(ROOT)}: {'not up to date' if '--check' in sys.argv else 'written'}")
        if "--check" not in sys.argv:
            path.write_text(outputs()[path], encoding="utf-8")
    return int(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
