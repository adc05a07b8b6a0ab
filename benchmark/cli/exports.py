"""Command export-scan: write a scan in the file formats of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from benchmark.machine.console import open_console


def export_scan(
    scan: Annotated[str, typer.Argument(help="The name of a dataset, a folder with scan.yaml, or a file of NAF or R2-Gaussian.")],
    output: Annotated[Path, typer.Option(help="Folder to write; must not exist.")],
    format: Annotated[str, typer.Option(help="naf (also SAX-NeRF), r2 (R2-Gaussian) or folder (scan.yaml).")] = "folder",
    views: Annotated[str | None, typer.Option(help="Training views, or all (the default for a path).")] = None,
    size: Annotated[str | None, typer.Option(help="Voxels along the longest edge, or native (the default for a path).")] = None,
    sets: Annotated[list[str] | None, typer.Option("--set", help="name.key=value; repeatable.")] = None,
) -> int:
    from benchmark.errors import unknown_name
    from benchmark.exchange.scan_export import FORMATS, export_scan
    from benchmark.plan import quantities
    from benchmark.plan.sources import open_case
    from benchmark.plugins.registry import registry

    if format not in FORMATS:
        raise unknown_name("--format", format, FORMATS)
    console = open_console()
    case = open_case(registry(), scan, quantities.choice(views, size), tuple(sets or ()), whole=True)
    path, unit = export_scan(case, format, output)
    console.print(escape(str(path)), soft_wrap=True)
    if case.truth is None and format != "folder":
        console.print("the truth is unknown: their loader reads zeros instead", soft_wrap=True)
    if case.heldout is None and format != "folder":
        console.print("there are no held-out views: their loader reads the training views instead", soft_wrap=True)
    if format != "folder":
        bound = max(abs(float(edge)) for edge in case.scan.geometry.volume_bounds.flat) / 1000
        if format == "naf":
            console.print(f"their network must cover the volume: network.bound of at least {bound:.4g} (metres)", soft_wrap=True)
        again = f"import-volume --axes xyz --scale {unit:.6g} --case {case.digest}"
        console.print(f"a value of 1 in their volumes is {unit:.6g} 1/mm: {again}", soft_wrap=True)
    return 0


def add_to(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command("export-scan", help="Write a scan for NAF, SAX-NeRF or R2-Gaussian. Or as a folder with scan.yaml.")(export_scan)
