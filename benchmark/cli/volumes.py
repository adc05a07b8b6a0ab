"""Commands that move volumes out of and into a results folder: export, import-volume."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from benchmark.machine.console import open_console
from benchmark.scan.hounsfield import MU_WATER

Water = Annotated[float, typer.Option(min=1e-9, help="Attenuation of water for --hu [1/mm].")]


def export(
    run: Annotated[str, typer.Argument(help="A run folder (results/<name>/runs/<run id>), or a run id with --results.")],
    format: Annotated[str, typer.Option(help="nifti, dicom, nrrd, mha, tiff, npy, ome-zarr, precomputed; ply: Gaussians.")] = "nifti",
    results: Annotated[Path | None, typer.Option(help="Results folder of a run id.")] = None,
    output: Annotated[Path | None, typer.Option(help="File or folder to write (default: here, named after the run).")] = None,
    hu: Annotated[bool, typer.Option("--hu", help="Values in Hounsfield units instead of 1/mm.")] = False,
    water: Water = MU_WATER,
    truth: Annotated[bool, typer.Option("--truth", help="The truth of the run's case instead of its reconstruction.")] = False,
) -> int:
    from benchmark.errors import InputError, unknown_name
    from benchmark.exchange.ply import write_ply
    from benchmark.exchange.stored_run import find_run, stored_image
    from benchmark.exchange.volume_formats import FORMATS, usual_name, write

    if format not in (*FORMATS, "ply"):
        raise unknown_name("--format", format, (*FORMATS, "ply"))
    console = open_console()
    if format == "ply":
        if hu or truth:
            raise InputError("--format ply", expected="Gaussians", found=f"{'--truth' if truth else '--hu'}, which is for volumes")
        stored, record = find_run(run, results)
        path = write_ply(output or Path(f"{record.run_id}.ply"), stored.arrays(record))
        console.print(escape(str(path)), soft_wrap=True)
        return 0
    image = stored_image(*find_run(run, results), truth=truth)
    if hu:
        image = image.in_hounsfield(water)
    paths = write(format, output or Path(usual_name(format, image.title)), image)
    for path in paths:
        console.print(escape(str(path)), soft_wrap=True)
    return 0


def import_volume(
    path: Annotated[Path, typer.Argument(help="NIfTI, NRRD, MHA, a DICOM folder, npy, npz or TIFF.")],
    results: Annotated[Path, typer.Option(help="Results folder that holds the case.")],
    case: Annotated[str, typer.Option(help="The case: its name, its digest, or a part of the id of one of its runs.")],
    name: Annotated[str, typer.Option(help="Name of the method in the tables.")],
    source: Annotated[str, typer.Option(help="Origin of the volume: program, version, settings.")] = "",
    axes: Annotated[str, typer.Option(help="Order of the axes of npy, npz and TIFF, the fastest last; xyz for NAF and R2.")] = "zyx",
    scale: Annotated[float | None, typer.Option(help="Factor that makes the values attenuation in 1/mm.")] = None,
    hu: Annotated[bool, typer.Option("--hu", help="The values are Hounsfield units.")] = False,
    water: Water = MU_WATER,
    as_is: Annotated[bool, typer.Option("--as-is", help="Skip the check of orientation and unit against the measured views.")] = False,
) -> int:
    import re
    import shlex

    from benchmark.errors import InputError
    from benchmark.exchange.stored_run import patient_place
    from benchmark.exchange.volume_import import check_fit, find_case, import_record, in_attenuation, read_volume
    from benchmark.plugins.registry import registry
    from benchmark.records.results import Results
    from benchmark.report.console import summary_table
    from benchmark.sweep.claims import tidy

    if not re.fullmatch(r"[\w-]+", name):
        raise InputError("--name", expected="letters, digits, - and _", found=repr(name))
    if hu and scale is not None:
        raise InputError("command line", expected="one of --hu and --scale", found="both")
    folder = Results.open(results)
    tidy(results)
    stored = find_case(folder, case)
    origin, _ = patient_place(stored.facts)
    volume = in_attenuation(read_volume(path, stored.geometry, axes, origin), scale=scale, water=water if hu else None)
    if not as_is:
        check_fit(volume, stored.load())
    record = import_record(registry(), folder, stored, volume, name, source or path.name)
    console = open_console()
    console.print(summary_table([record]))
    console.print(escape(str(folder.folder_of(record))), soft_wrap=True)
    console.print(escape(f"Summary and page with it: python -m benchmark report {shlex.quote(str(results))}"), soft_wrap=True)
    return int(bool(record.reason))


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(help="Write a run's volume as NIfTI, DICOM or another format.")(export)
    app.command("import-volume", help="Score an external volume in the same table.")(import_volume)
