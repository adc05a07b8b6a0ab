"""Command evaluate: scores and pictures of one checkpoint or volume, without a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from benchmark.cli.completion import dataset_names
from benchmark.cli.output import AsJson, print_paths
from benchmark.cli.volumes import Water
from benchmark.machine.console import open_console
from benchmark.scan.hounsfield import MU_WATER

if TYPE_CHECKING:
    from benchmark.exchange.evaluation import Opener, Subject


def evaluate(
    subject: Annotated[
        Path,
        typer.Argument(metavar="CHECKPOINT|VOLUME", help="A run's checkpoint.pt; or NIfTI, NRRD, MHA, a DICOM folder, npy, npz, TIFF"),
    ],
    scan: Annotated[str, typer.Option(help="The scan: a folder, a file, or a dataset's name.", autocompletion=dataset_names)],
    output: Annotated[Path | None, typer.Option(help="Folder for scores and pictures (default: evaluate-<name>, here).")] = None,
    views: Annotated[str | None, typer.Option(help="Training views: a number, or indices such as [0,5,9] (default: the run's).")] = None,
    size: Annotated[str | None, typer.Option(help="Voxels along the longest edge (default: the checkpoint's or volume's).")] = None,
    sets: Annotated[list[str] | None, typer.Option("--set", help="name.key=value, of the dataset; repeatable.")] = None,
    axes: Annotated[str, typer.Option(help="Order of the axes of npy, npz and TIFF, the fastest last; xyz for NAF and R2.")] = "zyx",
    scale: Annotated[float | None, typer.Option(help="Factor that makes the values attenuation in 1/mm.")] = None,
    hu: Annotated[bool, typer.Option("--hu", help="The values are Hounsfield units.")] = False,
    water: Water = MU_WATER,
    as_is: Annotated[bool, typer.Option("--as-is", help="Skip the check of orientation and unit against the measured views.")] = False,
    as_json: AsJson = False,
) -> int:
    from benchmark.exchange import evaluation
    from benchmark.plan.sources import open_case
    from benchmark.plugins.registry import registry
    from benchmark.report.console import summary_table
    from benchmark.storage.json_values import dumps
    from benchmark.storage.writable import prove_folder

    given = _given(views=views, size=size)

    def opened(values: dict[str, Any]) -> Any:
        return open_case(registry(), scan, values, tuple(sets or ()), whole=True)

    found = _read(subject, opened, given, axes=axes, scale=scale, hu=hu, water=water, as_is=as_is)
    folder = output or Path(f"evaluate-{found.name}")
    prove_folder(folder, f"output folder {folder}", "Choose another --output.")
    record = evaluation.evaluate(registry(), found)
    paths = evaluation.write_evaluation(folder, found, record)
    if as_json:
        typer.echo(dumps({**evaluation.score_facts(found, record), "files": paths}, indent=1))
        return int(bool(record.reason))
    console = open_console()
    console.print(escape(f"{found.name}: {found.source}"), soft_wrap=True)
    table = summary_table([record])
    table.caption = None  # on seeds and ranks: there is one volume
    console.print(table)
    for text in [*evaluation.remarks(found.case), *filter(None, [record.reason])]:
        console.print(escape(text), soft_wrap=True)
    print_paths(console, paths)
    return int(bool(record.reason))


def _given(**texts: str | None) -> dict[str, Any]:
    """Return the values of --views and --size, as in a plan; the dataset's own model checks them."""
    from benchmark.storage.yaml_file import parse_yaml

    return {name: parse_yaml(text, f"--{name}") for name, text in texts.items() if text is not None}


def _read(
    path: Path, opened: Opener, given: dict[str, Any], *, axes: str, scale: float | None, hu: bool, water: float, as_is: bool
) -> Subject:
    """Return the checkpoint's field or the file's volume. Raise InputError for options that do not apply to it."""
    from benchmark.errors import InputError
    from benchmark.exchange import evaluation

    if hu and scale is not None:
        raise InputError("command line", expected="one of --hu and --scale", found="both")
    if not evaluation.is_checkpoint(path):
        return evaluation.of_volume(path, opened, given, axes=axes, scale=scale, water=water if hu else None, as_is=as_is)
    used = {"--axes": axes != "zyx", "--scale": scale is not None, "--hu": hu, "--as-is": as_is}
    if any(used.values()):
        found = ", ".join(name for name, is_used in used.items() if is_used)
        raise InputError("command line", expected="none of the options of a volume with a checkpoint", found=found)
    return evaluation.of_checkpoint(path, opened, given)


def add_to(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command(help="Score a checkpoint or an external volume. With pictures; no sweep is needed.")(evaluate)
