"""Command new-scan: describe the user's own projections."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from benchmark.cli.output import open_console


def new_scan(folder: Annotated[Path, typer.Argument(help="The folder with the projections.")]) -> int:
    from benchmark.scan_folder.template import FILL_IN, write_template

    path = write_template(folder)
    waiting = sum(FILL_IN in line and not line.lstrip().startswith("#") for line in path.read_text().splitlines())
    console = open_console()
    console.print(f"{escape(str(path))} is written; replace the {waiting} values {FILL_IN} in it, then:", soft_wrap=True)
    console.print(f"  python -m benchmark validate {escape(str(folder))}", soft_wrap=True)
    console.print(f"  python -m benchmark run --scan {escape(str(folder))} --views 10 --methods fdk,sart", soft_wrap=True)
    return 0


def add_to(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command("new-scan", help="Write a scan.yaml for the projections in a folder. You fill in the unknown values.")(new_scan)
