"""Output of commands: tables or JSON, paths, logs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from benchmark.machine.console import open_console

if TYPE_CHECKING:
    from benchmark.records.record import RunRecord

MOST_LOGS = 5  # named one by one
Columns = Annotated[
    str | None,
    typer.Option(help="Columns of summary.md, summary.tex and the printed table, such as volume_psnr,volume_ssim_r2,seconds."),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON value on the standard output.")]


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
