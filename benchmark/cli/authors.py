"""Commands for authors of methods: check, new-method."""

from __future__ import annotations

import dataclasses
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from benchmark.cli.completion import method_names
from benchmark.cli.output import AsJson
from benchmark.conformance.suite import LONGEST_CHECK
from benchmark.errors import InputError
from benchmark.machine.console import open_console

COLOURS = {"passed": "green", "failed": "bold red", "not applicable": "dim"}


def check(
    name: Annotated[str, typer.Argument(help="An installed method; name:preset picks a preset.", autocompletion=method_names)],
    sets: Annotated[list[str] | None, typer.Option("--set", help="name.key=value, such as naf.steps=50; repeatable.")] = None,
    only: Annotated[str | None, typer.Option(help="Only these checks, comma-separated.")] = None,
    timeout: Annotated[str, typer.Option(help="End a check that takes longer than this, such as 5min.")] = f"{LONGEST_CHECK:g}s",
    as_json: AsJson = False,
) -> int:
    from benchmark.conformance.suite import chosen, examine
    from benchmark.errors import Mistakes
    from benchmark.plan import quantities
    from benchmark.plugins.registry import registry
    from benchmark.storage.json_values import dumps

    mistakes = Mistakes()
    longest = quantities.duration(timeout, "--timeout", mistakes)
    mistakes.raise_if_any("command line")
    method, values = chosen(registry(), name, tuple(sets or ()))
    console, findings = open_console(), []
    with _Progress() as progress:
        for finding in examine(method, values, only.split(",") if only else (), longest or LONGEST_CHECK, progress.begin):
            findings.append(finding)
            if not as_json:
                colour = COLOURS[finding.status]
                line = f"[{colour}]{finding.status:14}[/{colour}] {finding.check}: {escape(finding.detail)}"
                console.print(line, soft_wrap=True)
    failed = sum(finding.status == "failed" for finding in findings)
    if as_json:
        typer.echo(dumps({"method": method, "failed": failed, "findings": [dataclasses.asdict(finding) for finding in findings]}, indent=1))
    else:
        apart = sum(finding.status == "not applicable" for finding in findings)
        text = f"{method}: {len(findings) - apart - failed} of {len(findings) - apart} checks without a complaint"
        console.print(text + (f", {apart} not applicable" if apart else ""), soft_wrap=True)
    return int(failed > 0)


class _Progress:
    """Name of the check under way, on the standard error: one changing line on a terminal, a line each elsewhere."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._status = self._console.status("starting")

    def __enter__(self) -> _Progress:
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._status.stop()

    def begin(self, check: str) -> None:
        """Name the check that begins."""
        if self._console.is_terminal:
            self._status.update(f"{check} ...")
        else:
            sys.stderr.write(f"{check} ...\n")


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
