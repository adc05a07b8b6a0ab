"""export, import-volume: reconstructions that leave a results folder, and volumes from elsewhere that enter one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from benchmark.commands.output import open_console

Hounsfield = Annotated[bool, typer.Option("--hu", help="Values in Hounsfield units instead of 1/mm.")]
Water = Annotated[float, typer.Option(min=1e-9, help="Attenuation of water for --hu [1/mm].")]


def export(
    run: Annotated[str, typer.Argument(help="A run folder (results/<name>/runs/<run id>), or a run id with --results.")],
    format: Annotated[str, typer.Option(help="nifti, dicom, nrrd, mha, tiff or npy.")] = "nifti",
    results: Annotated[Path | None, typer.Option(help="Results folder of a run id.")] = None,
    output: Annotated[Path | None, typer.Option(help="File to write, for dicom a folder (default: named after the run, here).")] = None,
    hu: Hounsfield = False,
    water: Water = 0.0206,
    truth: Annotated[bool, typer.Option("--truth", help="The truth of the run's case instead of its reconstruction.")] = False,
) -> int:
    from benchmark.errors import unknown_name
    from benchmark.exchange.stored_run import find_run, stored_image
    from benchmark.exchange.volume_formats import FORMATS, usual_name, write

    if format not in FORMATS:
        raise unknown_name("--format", format, FORMATS)
    image = stored_image(*find_run(run, results), truth=truth)
    if hu:
        image = image.in_hounsfield(water)
    paths = write(format, output or Path(usual_name(format, image.title)), image)
    console = open_console()
    for path in paths:
        console.print(escape(str(path)), soft_wrap=True)
    return 0


def add_to(app: typer.Typer) -> None:
    """Put these commands on the command line."""
    app.command(help="Write a run's volume as NIfTI, DICOM, NRRD, MHA, TIFF or npy.")(export)
