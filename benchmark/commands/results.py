"""report, compare: what a results folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from benchmark.commands.output import AsJson, open_console, print_paths, write_reports


def report(
    folder: Path,
    only: Annotated[str | None, typer.Option(help="Only these reporters, with commas between (default: all).")] = None,
    as_json: AsJson = False,
) -> int:
    from benchmark.plain import dumps
    from benchmark.plugins import registry
    from benchmark.results import Results

    console = open_console()
    results = Results.open(folder)
    paths, problems = write_reports(registry(), results, only.split(",") if only else ())
    if as_json:
        typer.echo(dumps({"files": paths, "problems": [*results.problems, *problems]}, indent=1))
        return 1 if problems else 0
    for text in [*results.problems, *problems]:
        console.print(escape(f"warning: {text}"), soft_wrap=True)
    print_paths(console, paths)
    return 1 if problems else 0


def compare(first: Path, second: Path) -> int:
    from benchmark.report.compare import compare as compare_results
    from benchmark.results import Results

    comparison = compare_results(Results.open(first), Results.open(second))
    open_console().print(str(comparison), soft_wrap=True, markup=False, end="")
    return 0


def add_to(app: typer.Typer) -> None:
    """Put these commands on the command line."""
    app.command(help="Write tables, figures and the page of a results folder again.")(report)
    app.command(help="Compare the result tables of two folders.")(compare)
