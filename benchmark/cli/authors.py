"""Commands for authors of methods: check, new-method."""

from __future__ import annotations

import dataclasses
import os
import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from benchmark.cli.completion import method_names
from benchmark.cli.output import AsJson
from benchmark.errors import InputError
from benchmark.machine.console import open_console

COLOURS = {"passed": "green", "failed": "bold red", "not applicable": "dim"}


def check(
    name: Annotated[str, typer.Argument(help="An installed method; name:preset picks a preset.", autocompletion=method_names)],
    sets: Annotated[list[str] | None, typer.Option("--set", help="name.key=value, such as naf.steps=50; repeatable.")] = None,
    only: Annotated[str | None, typer.Option(help="Only these checks, comma-separated.")] = None,
    as_json: AsJson = False,
) -> int:
    from benchmark.conformance.suite import chosen, examine
    from benchmark.plugins.registry import registry
    from benchmark.storage.json_values import dumps

    method, values = chosen(registry(), name, tuple(sets or ()))
    console = open_console()
    findings = []
    for finding in examine(method, values, only.split(",") if only else ()):
        findings.append(finding)
        if not as_json:
            colour = COLOURS[finding.status]
            line = f"[{colour}]{finding.status:14}[/{colour}] {finding.check}: {escape(finding.detail)}"
            console.print(line, soft_wrap=True)
    failed = sum(finding.status == "failed" for finding in findings)
    if as_json:
        typer.echo(dumps({"method": method, "failed": failed, "findings": [dataclasses.asdict(finding) for finding in findings]}, indent=1))
    else:
        console.print(f"{method}: {len(findings) - failed} of {len(findings)} checks without a complaint", soft_wrap=True)
    return int(failed > 0)


def new_method(
    name: Annotated[str, typer.Argument(help="Letters, digits and '_', such as my_method.")],
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Parent folder of the package (default: here).")] = Path("."),
) -> int:
    from benchmark.conformance.scaffold import write_package
    from benchmark.plugins.registry import registry

    if name in registry().methods:
        origin = registry().origins["methods", name]
        raise InputError("name", expected="an unused method name", found=f"'{name}' of {origin}", fix="Choose another name.")
    paths = write_package(name, folder)
    for path in paths:
        typer.echo(path)
    home = os.path.commonpath(paths)
    typer.echo(f"\nNext: pip install -e {shlex.quote(os.path.join('.', home))}\n      python -m benchmark check {Path(home).name}")
    return 0


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(help="Check that an installed method fulfils the contract.")(check)
    app.command("new-method", help="Write a working package with a method and a test. A starting point for your own.")(new_method)
