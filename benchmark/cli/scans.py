"""Command new-scan: describe the user's own projections."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from benchmark.cli.completion import format_names
from benchmark.errors import InputError
from benchmark.machine.console import open_console

if TYPE_CHECKING:
    from benchmark.scan_folder.formats import Recognised


def new_scan(
    folder: Annotated[Path, typer.Argument(help="The folder with the projections, or the scanner's own file in it.")],
    format_: Annotated[
        str | None, typer.Option("--format", help="Whose files they are (see list), if several are possible.", autocompletion=format_names)
    ] = None,
) -> int:
    from benchmark.plugins.registry import registry
    from benchmark.scan_folder.formats import recognised
    from benchmark.scan_folder.template import FILL_IN, write_template

    found = recognised(folder, registry().scan_formats, format_) if folder.exists() else None
    if found is not None and folder.is_file():
        folder = folder.parent
    path = write_template(folder, found)
    lines = path.read_text(encoding="utf-8").splitlines()
    waiting = [line.split(":")[0].strip() for line in lines if FILL_IN in line and not line.lstrip().startswith("#")]
    console = open_console()
    if found is not None:
        console.print(f"{found.format}: {escape(found.file.name)}", soft_wrap=True)
        for entry in found.draft.entries:
            if entry.value != FILL_IN:
                where = f"{entry.section}.{entry.key}".lstrip(".")
                console.print(f"  [dim]{where} <- {escape(entry.source)}[/dim]", soft_wrap=True)
        for note in found.draft.notes:
            console.print(f"  [yellow]{escape(note)}[/yellow]", soft_wrap=True)
    if waiting:
        console.print(f"{escape(str(path))} is written; replace the {len(waiting)} values {FILL_IN} in it, then:", soft_wrap=True)
        if found is not None:
            console.print(f"  [yellow]not in the scanner's files: {', '.join(waiting)}[/yellow]", soft_wrap=True)
    elif not _opens(folder, found, console):
        return 2
    else:
        console.print(f"{escape(str(path))} is complete. Next:", soft_wrap=True)
    quoted = escape(shlex.quote(str(folder)))
    console.print(f"  python -m benchmark validate {quoted}", soft_wrap=True)
    console.print(f"  python -m benchmark run --scan {quoted} --methods fdk,sart", soft_wrap=True)
    return 0


def _opens(folder: Path, found: Recognised | None, console: Console) -> bool:
    """Open the scan that was described, and print its size or its defect."""
    from benchmark.scan_folder.load import open_scan_folder

    try:
        geometry = open_scan_folder(folder).geometry
        stated = found.draft.images[1:] if found is not None and found.draft.images else geometry.detector_shape
        if found is not None and stated != geometry.detector_shape:
            raise InputError(
                str(folder),
                expected=f"images of {stated[0]} x {stated[1]} pixels, as {found.file.name} states",
                found=f"{geometry.detector_shape[0]} x {geometry.detector_shape[1]}",
                fix="Correct geometry.detector_pitch and detector_offset in scan.yaml for cut or binned images.",
            )
        geometry.check_sees_volume()
    except InputError as error:
        console.print(f"scan.yaml is written, but does not fit:\n  {escape(str(error))}", soft_wrap=True)
        return False
    rows, columns = geometry.detector_shape
    z, y, x = geometry.volume_extent
    console.print(f"{geometry.views} views of {rows} x {columns}, volume {z:.4g} x {y:.4g} x {x:.4g} mm (z, y, x)", soft_wrap=True)
    return True


def add_to(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command("new-scan", help="Write a scan.yaml for the projections in a folder. A scanner's own files fill it in.")(new_scan)
