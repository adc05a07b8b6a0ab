"""Pages of the manual that are made from the code when the site is built (mkdocs.yml names this file as a hook; `make docs`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from typer.cli import get_docs_for_click

import benchmark
import benchmark.api
import benchmark.fields
from benchmark.cli.main import app
from benchmark.cli.spec_tables import describe
from benchmark.plugins.registry import Registry, registry

ROOT = Path(__file__).resolve().parent.parent
API = """\
# Python API

A plug-in may import `benchmark.api` and `benchmark.fields`, and nothing else of the harness: see [adding a method](../adding_a_method.md)
and [adding a dataset, a metric, a reporter](../adding_data_metrics_reporters.md). Scripts and notebooks use `benchmark` itself: see
[from Python](../python.md).

Unless an entry says otherwise: lengths are mm, angles rad, attenuation 1/mm; volumes are [z, y, x], projections [view, v, u], positions
x y z, pairs on the detector (v, u), triples of the volume (z, y, x) ([conventions](../conventions.md)). Scans and cases hold NumPy arrays;
projectors, solvers and fields take and return float32 torch tensors.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages (an event of mkdocs)."""
    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def pages() -> dict[str, str]:
    """Return the text of each generated page by its path below docs/."""
    known = registry()
    return {
        "reference/api.md": "\n".join([API, *api()]),
        "reference/cli.md": cli(),
        "reference/methods.md": "\n".join(["# Parameters of the methods", *parameters(known, "method")]),
        "reference/datasets.md": "\n".join(["# Parameters of the datasets", *parameters(known, "dataset")]),
        "examples.md": unlinked(ROOT / "examples" / "README.md"),
        "contributing.md": unlinked(ROOT / "CONTRIBUTING.md"),
        "changelog.md": unlinked(ROOT / "CHANGELOG.md"),
    }


def api() -> Iterator[str]:
    """Name every exported object, in the groups of its module, for mkdocstrings to describe."""
    told = set[str]()
    for exports in (benchmark.api.EXPORTS, benchmark.fields.EXPORTS, benchmark.EXPORTS):
        for title, names in exports.groups.items():
            new = [name for name in names if names[name] + name not in told]
            told.update(names[name] + name for name in new)
            if new:
                yield f"\n## `{exports.owner}`: {title}\n"
            yield from (f"::: {exports.owner}.{name}\n" for name in new if names[name].startswith("benchmark"))
            if "Field" in new:
                yield "### `Field`\n\npydantic's `Field`: default, bounds and description of a parameter.\n"


def cli() -> str:
    """Return the reference of the command line."""
    group = typer.main.get_command(app)
    with group.make_context("benchmark", ["list"], resilient_parsing=True) as context:
        made: Any = context  # typer has a context class of its own
        text = get_docs_for_click(obj=group, ctx=made, name="python -m benchmark", title="Command line")
    return re.sub(r"\x08\n(.+?)(\n\n|\Z)", r"```text\n\1\n```\2", text, flags=re.DOTALL)  # \b marks lines that stay as they are


def parameters(known: Registry, kind: str) -> Iterator[str]:
    """Describe the plug-ins of a kind: one section with a table of parameters each."""
    for name in sorted(known.methods if kind == "method" else known.datasets):
        for item in [item for item in describe(known, name) if item["kind"] == kind]:
            yield f"\n## {name}\n\n{item['summary'][0].upper()}{item['summary'][1:]}.\n"
            yield from (f"{key.capitalize()}: {item[key]}\n" for key in ("cite", "licence") if item[key])
            yield "| parameter | type | default | meaning |\n|---|---|---|---|"
            for parameter in item["parameters"]:
                values = parameter["type"] + (f" ({parameter['bounds']})" if parameter["bounds"] else "")
                default = "required" if parameter["required"] else f"`{parameter['default']}`"
                cells = (f"`{parameter['name']}`", values, default, parameter["meaning"])
                yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
            for preset, changed in item["presets"].items():
                changes = ", ".join(f"`{key}={value}`" for key, value in changed.items())
                yield f"\nPreset `{preset}`: {changes or 'the defaults'}"


def unlinked(path: Path) -> str:
    """Return a page from outside of docs/: its links lead to pages of docs/, or are plain text."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"\]\((?:\.\./)?docs/", "](", text)
    return re.sub(r"\[([^\]]+)\]\((?!https?:|#)[^)]*(?<!\.md)\)", r"`\1`", text)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Lead links to files outside of docs/ to their pages of the site (an event of mkdocs)."""
    return markdown.replace("](../examples/README.md)", "](examples.md)")
