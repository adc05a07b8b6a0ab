"""Output of commands: tables or JSON, paths, and the files of the reporters."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from benchmark.errors import InputError, unknown_name

if TYPE_CHECKING:
    from benchmark.plugins.registry import Registry
    from benchmark.records.record import RunRecord
    from benchmark.records.results import Results

MOST_LOGS = 5  # named one by one
Columns = Annotated[
    str | None,
    typer.Option(help="Columns of summary.md, summary.tex and the printed table, such as volume_psnr,volume_ssim_r2,seconds."),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON value on the standard output.")]


def open_console() -> Console:
    """Return the console on standard output; wide if it is not a terminal."""
    output = Console(highlight=False, emoji=False)  # else naf:tv becomes a television
    return output if output.is_terminal or "COLUMNS" in os.environ else Console(highlight=False, emoji=False, width=160)


def show_facts(facts: Any, table: Any, as_json: bool) -> None:
    """Print facts as JSON or as a table."""
    from benchmark.storage.json_values import dumps

    if as_json:
        typer.echo(dumps(facts, indent=1))
    else:
        open_console().print(table)


def print_paths(console: Console, paths: list[Path]) -> None:
    """Print one line per file, but only one per folder of figures."""
    images = (".png", ".svg", ".pdf")
    lines: dict[str, None] = {}
    for path in paths:
        count = sum(other.parent == path.parent and other.suffix in images for other in paths)
        lines[f"{path.parent}/ ({count} images)" if path.suffix in images else str(path)] = None
    for line in lines:
        console.print(escape(line), soft_wrap=True)


def print_logs(console: Console, folder: Path, records: list[RunRecord]) -> None:
    """Print the path of each failed run's latest attempt, which holds the reason and the end of the log."""
    failed = [record for record in records if record.status == "failed"]
    for record in failed[:MOST_LOGS]:
        attempts = sorted((folder / "runs" / record.run_id).glob("attempt-*.json"))
        console.print(escape(f"  log: {attempts[-1] if attempts else folder / 'runs' / record.run_id} (log_tail)"), soft_wrap=True)
    if len(failed) > MOST_LOGS:
        console.print(f"  and {len(failed) - MOST_LOGS} more", soft_wrap=True)


def column_names(text: str | None, registry: Registry, results: Results | None = None) -> tuple[str, ...]:
    """Return the names given to --columns. Raise InputError for one that neither a metric nor one of the results has."""
    from benchmark.report.columns import chosen

    names = [] if text is None else [name.strip() for name in text.split(",") if name.strip()]
    if text is not None and not names:
        raise InputError("--columns", expected="names, comma-separated, such as volume_psnr,seconds", found=repr(text))
    recorded = [] if results is None else [name for record in results.records for name in record.metrics]
    return tuple(column.name for column in chosen(names, registry.metrics.values(), recorded))


def write_reports(registry: Registry, results: Results, only: Sequence[str] = ()) -> tuple[list[Path], list[str]]:
    """Run every reporter (or `only` these); return the files written, and messages about failed reporters and unreadable records.

    Raise InputError for an unknown name.
    """
    from benchmark.plugins.specs import resolve

    paths: list[Path] = []
    problems: list[str] = []
    known = len(results.problems)
    for name in only:
        if name not in registry.reporters:
            raise unknown_name("--only", name, registry.reporters)
    for name in only or registry.reporters:
        reporter = registry.reporters[name]
        try:
            paths += resolve(reporter.target)(results)
        except Exception as error:
            problems.append(f"report '{name}' could not be written: {type(error).__name__}: {error}")
    return paths, [*problems, *results.problems[known:]]
