"""Command features: descriptors of fitted shapes, for analysis by other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from benchmark.machine.console import open_console

COLUMNS = ["run_id", "case", "method", "seed"]


def features(
    folder: Annotated[Path, typer.Argument(help="A results folder.")],
    output: Annotated[Path, typer.Option(help="An .npy file; a .csv beside it names the run of each row.")] = Path("features.npy"),
    shells: Annotated[int, typer.Option(min=1, max=64, help="Shells about the centre of mass.")] = 8,
    degree: Annotated[int, typer.Option(min=0, max=32, help="Highest degree of the spherical harmonics.")] = 8,
) -> int:
    import numpy as np
    import pandas as pd

    from benchmark.errors import InputError
    from benchmark.exchange.descriptors import descriptor
    from benchmark.records.results import Results
    from benchmark.storage import atomic
    from benchmark.storage.visible import csv_text

    if output.suffix != ".npy" or not output.parent.is_dir():
        raise InputError("--output", expected="an .npy file in a folder that exists", found=f"'{output}'")
    results = Results.open(folder)
    found = [(record, arrays) for record in results.records if "means" in (arrays := results.arrays(record))]
    if not found:
        raise InputError(str(folder), expected="at least one finished run that kept Gaussians", found="none")
    rows = np.stack([descriptor(arrays, shells, degree).reshape(-1) for _, arrays in found])
    with atomic.replacing(output) as temporary, temporary.open("wb") as file:
        np.save(file, rows)
    names = output.with_suffix(".csv")
    table = pd.DataFrame([(record.run_id, record.case, record.spec.method, record.spec.seed) for record, _ in found], columns=COLUMNS)
    atomic.replace_text(names, csv_text(table))
    console = open_console()
    console.print(escape(f"{output}  {rows.shape} [run, shell x degree]: {shells} shells, degrees 0 to {degree}"), soft_wrap=True)
    console.print(escape(str(names)), soft_wrap=True)
    return 0


def add_to(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command(help="Write rotation-invariant shape descriptors as npy.")(features)
