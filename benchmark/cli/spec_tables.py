"""Methods, datasets, metrics and their parameters, as plain facts (for --json) and as tables (for people)."""

from __future__ import annotations

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic_core import PydanticUndefined
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from benchmark.errors import unknown_name
from benchmark.machine.environment import install_hint, missing_modules
from benchmark.plugins.registry import Registry
from benchmark.plugins.specs import DatasetSpec, MethodSpec, ScanFormatSpec
from benchmark.storage.json_values import plain


def catalogue(registry: Registry) -> dict[str, Any]:
    """Return the parts of every plug-in (name, summary, origin, missing modules) and the plug-ins that were set aside."""
    return {
        "methods": [_facts(registry, "methods", spec) for spec in registry.methods.values()],
        "datasets": [_facts(registry, "datasets", spec) for spec in registry.datasets.values()],
        "metrics": [
            {
                "name": f"{kind}_{name}",
                "kind": kind,
                "summary": spec.summary,
                "unit": spec.unit,
                "origin": registry.origins["metrics", (kind, name)],
            }
            for (kind, name), spec in registry.metrics.items()
        ],
        "scan_formats": [_facts(registry, "scan_formats", spec) for spec in registry.scan_formats.values()],
        "reporters": [{"name": spec.name, "summary": spec.summary} for spec in registry.reporters.values()],
        "problems": [{"source": problem.source, "reason": problem.reason} for problem in registry.problems],
    }


def _facts(registry: Registry, what: str, spec: MethodSpec | DatasetSpec | ScanFormatSpec) -> dict[str, Any]:
    missing = missing_modules(spec.requires)
    return {
        "name": spec.name,
        "summary": spec.summary,
        "presets": list(getattr(spec, "presets", {})),
        "origin": registry.origins[what, spec.name],
        "missing": {module: install_hint(module) for module in missing},
    }


def catalogue_tables(facts: dict[str, Any]) -> RenderableType:
    """Return the catalogue as tables, with one line for every plug-in that was set aside."""
    parts: list[RenderableType] = []
    for what, home in (("methods", "benchmark.methods."), ("datasets", "benchmark.datasets."), ("scan_formats", "benchmark.datasets.")):
        table = Table(
            title=what.replace("_", " "), title_justify="left", title_style="bold", show_header=False, box=None, padding=(0, 2, 0, 2)
        )
        for item in facts[what]:
            notes = [escape(item["summary"])]
            if item["presets"]:
                notes.append(f"[dim]presets: {escape(', '.join(item['presets']))}[/dim]")
            for module, line in item["missing"].items():
                notes.append(f"[yellow]needs {escape(module)}: {escape(line)}[/yellow]")
            if not item["origin"].startswith(home):
                notes.append(f"[dim]from {escape(item['origin'])}[/dim]")
            table.add_row(f"[bold]{escape(item['name'])}[/bold]", "; ".join(notes))
        parts += [table, Text("")]
    parts.append(Text("metrics: " + ", ".join(item["name"] for item in facts["metrics"])))
    parts += [Text(f"set aside: {problem['source']}: {problem['reason']}", style="red") for problem in facts["problems"]]
    return Group(*parts)


def describe(registry: Registry, name: str) -> list[dict[str, Any]]:
    """Return the facts of every method, dataset and scan format of this name. Raise InputError for an unknown name."""
    found = []
    for what in ("methods", "datasets", "scan_formats"):
        spec = getattr(registry, what).get(name)
        if spec is not None:
            found.append({"kind": what.removesuffix("s").replace("_", " "), **_facts(registry, what, spec), **_details(spec)})
    if not found:
        raise unknown_name("show", name, {*registry.methods, *registry.datasets, *registry.scan_formats})
    return found


def _details(spec: MethodSpec | DatasetSpec | ScanFormatSpec) -> dict[str, Any]:
    if isinstance(spec, ScanFormatSpec):
        return {"parameters": [], "presets": {}, "requires": list(spec.requires), "cite": spec.cite, "licence": ""}
    parameters = [
        {
            "name": key,
            "type": _type(field.annotation),
            "default": None if field.is_required() else plain(field.get_default(call_default_factory=True)),
            "required": field.is_required(),
            "bounds": _bounds(field),
            "meaning": field.description or "",
        }
        for key, field in spec.params.model_fields.items()
    ]
    return {
        "parameters": parameters,
        "presets": {key: plain(dict(values)) for key, values in getattr(spec, "presets", {}).items()},
        "requires": list(spec.requires),
        "revision": spec.revision,
        "cite": spec.cite,
        "licence": getattr(spec, "licence", ""),
    }


def _type(annotation: Any) -> str:
    """Return a type in words: 'int', 'float | None', \"'hann' | 'cosine'\", \"float (>= 0) | 'auto'\"."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " | ".join(_type(part) for part in parts)
    if origin is Literal:
        return " | ".join(repr(part) for part in parts)
    if origin is Annotated:
        bounds = _bounds(parts[1]) if hasattr(parts[1], "metadata") else ""
        return _type(parts[0]) + (f" ({bounds})" if bounds else "")
    if origin is tuple:
        return f"tuple[{', '.join('...' if part is Ellipsis else _type(part) for part in parts)}]"
    text = annotation.__name__ if isinstance(annotation, type) and not parts else str(annotation)
    return text.replace("typing.", "").replace("NoneType", "None")


def _bounds(field: Any) -> str:
    """Return the field's constraints in words, such as '>= 4, <= 4096'."""
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    found = []
    for constraint in field.metadata:
        for key, sign in signs.items():
            bound = getattr(constraint, key, PydanticUndefined)
            if bound is not PydanticUndefined:
                found.append(f"{sign} {bound:g}")
    return ", ".join(found)


def description_tables(facts: list[dict[str, Any]]) -> RenderableType:
    """Return the facts of `describe` as tables."""
    return Group(*(part for item in facts for part in _description(item)))


def _description(item: dict[str, Any]) -> list[RenderableType]:
    parts: list[RenderableType] = [Text.assemble((f"{item['kind']} {item['name']}", "bold"), f": {item['summary']}")]
    for key in ("cite", "licence"):
        if item[key]:
            parts.append(Text(f"{key}: {item[key]}"))
    for module, line in item["missing"].items():
        parts.append(Text(f"needs {module}, which is not installed: {line}", style="yellow"))
    if item["kind"] == "scan format":
        return [*parts, Text("Written by a scanner or program; read by: python -m benchmark new-scan FOLDER"), Text("")]
    table = Table("parameter", "type", "default", "meaning", header_style="bold")
    for parameter in item["parameters"]:
        kind = parameter["type"] + (f" ({parameter['bounds']})" if parameter["bounds"] else "")
        default = "required" if parameter["required"] else str(parameter["default"])
        table.add_row(parameter["name"], escape(kind), escape(default), escape(parameter["meaning"]))
    parts.append(table)
    for preset, values in item["presets"].items():
        changes = ", ".join(f"{key}={value}" for key, value in values.items())
        parts.append(Text(f"preset {preset}: {changes or 'the defaults'}"))
    return [*parts, Text("")]
