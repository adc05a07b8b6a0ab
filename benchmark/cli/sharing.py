"""Commands for results that travel: merge, publish."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from benchmark.cli.output import print_paths
from benchmark.machine.console import open_console

Folders = Annotated[list[Path], typer.Argument(help="Results folders: the --output of runs.")]


def merge(folders: Folders, output: Annotated[Path, typer.Option(help="The results folder to make, or to add to.")]) -> int:
    from benchmark.plugins.registry import registry
    from benchmark.records.results import Results
    from benchmark.records.store import Store
    from benchmark.report.reporters import write_reports
    from benchmark.sharing.merge import merge as merge_results
    from benchmark.sweep.claims import tidy

    console = open_console()
    merged = merge_results(folders, output)
    for text in merged.conflicts:
        console.print(escape(f"conflict: {text}"), soft_wrap=True)
    for text in merged.problems:
        console.print(escape(f"warning: {text}"), soft_wrap=True)
    new = f"new records: {merged.attempts}, volumes: {merged.volumes}, cases: {merged.cases}"
    console.print(escape(f"{output}: {merged.runs} runs ({new})"), soft_wrap=True)
    tidy(output)
    results = Results(output)
    Store(output).write_table(results.records)
    paths, problems = write_reports(registry(), results)
    for text in problems:
        console.print(escape(f"warning: {text}"), soft_wrap=True)
    print_paths(console, paths)
    return 1 if merged.problems or problems else 0


def publish(
    folders: Folders,
    output: Annotated[Path, typer.Option(help="The folder of the site: new, or an earlier site.")],
    title: Annotated[str, typer.Option(help="Title of the site (default: the names of the folders).")] = "",
) -> int:
    from benchmark.plugins.registry import registry
    from benchmark.sharing.publish import publish as publish_results

    console = open_console()
    published = publish_results(folders, output, registry(), title)
    for text in published.conflicts:
        console.print(escape(f"conflict: {text}"), soft_wrap=True)
    for text in published.problems:
        console.print(escape(f"warning: {text}"), soft_wrap=True)
    console.print(escape(f"{len(published.paths)} files; open {output / 'index.html'}"), soft_wrap=True)
    return 1 if published.problems else 0


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(help="Merge results folders into one; sources are only read.")(merge)
    app.command(help="Write a static site of results.")(publish)
