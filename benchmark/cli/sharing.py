"""Commands for results that travel: merge, publish."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from benchmark.cli.output import open_console, print_paths

Folders = Annotated[list[Path], typer.Argument(help="Results folders: the --output of runs.")]


def merge(folders: Folders, output: Annotated[Path, typer.Option(help="The results folder to make, or to add to.")]) -> int:
    from benchmark.plugins.registry import registry
    from benchmark.records.results import Results
    from benchmark.records.store import Store
    from benchmark.report.reporters import write_reports
    from benchmark.sharing.merge import merge as merge_results

    console = open_console()
    merged = merge_results(folders, output)
    for text in merged.conflicts:
        console.print(escape(f"conflict: {text}"), soft_wrap=True)
    for text in merged.problems:
        console.print(escape(f"warning: {text}"), soft_wrap=True)
    new = f"{merged.attempts} new records, {merged.volumes} volumes and {merged.cases} cases"
    console.print(escape(f"{output}: {merged.runs} runs ({new})"), soft_wrap=True)
    results = Results(output)
    Store(output).write_table(results.records)
    paths, problems = write_reports(registry(), results)
    for text in problems:
        console.print(escape(f"warning: {text}"), soft_wrap=True)
    print_paths(console, paths)
    return 1 if merged.problems or problems else 0


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(help="Merge results folders into one; sources are only read.")(merge)
