"""Command validate: check a scan against its description."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from benchmark.cli.output import AsJson
from benchmark.machine.console import open_console

if TYPE_CHECKING:
    from benchmark.validate.setup import Setup


def validate(
    scan: Annotated[str, typer.Argument(help="A folder with scan.yaml, a file of NAF or R2-Gaussian, or the name of a dataset.")],
    views: Annotated[str | None, typer.Option(help="Number of views to use, or all (dataset: 50 or all; folder: at most 60).")] = None,
    size: Annotated[str | None, typer.Option(help="Voxels along the longest edge (of a dataset), or native.")] = None,
    sets: Annotated[list[str] | None, typer.Option("--set", help="name.key=value; repeatable.")] = None,
    output: Annotated[Path | None, typer.Option(help="The picture (default: validate-<name>.png, here).")] = None,
    no_truth: Annotated[bool, typer.Option("--no-truth", help="Judge by the projections alone, even if the truth is known.")] = False,
    as_json: AsJson = False,
) -> int:
    import dataclasses

    from benchmark.plan import quantities
    from benchmark.scan.case import file_name
    from benchmark.storage.writable import prove_file
    from benchmark.validate.picture import write_picture
    from benchmark.validate.report import Report

    name, setup = _open(scan, quantities.choice(views, size, least_views=2), tuple(sets or ()))
    target = output or Path(f"validate-{file_name(name)}.png")
    if no_truth:
        setup = dataclasses.replace(setup, truth=None)
    prove_file(target)
    with Console(stderr=True).status("validating") as status:
        report = Report.of(name, setup, lambda done, total, what: status.update(escape(f"{done + 1}/{total} {what}")))
    path = None if report.diagnosis is None else write_picture(report.diagnosis, f"{name}: {report.headline}", target)
    if as_json:
        from benchmark.storage.json_values import dumps

        typer.echo(dumps({**report.facts(), "picture": path}, indent=1))
    else:
        for line in [*report.lines(), *([f"picture: {path}"] if path else [])]:
            open_console().print(escape(line), soft_wrap=True)
    return report.exit_code


def _open(scan: str, values: dict[str, Any], sets: tuple[str, ...]) -> tuple[str, Setup]:
    import dataclasses

    from benchmark.errors import collected_notes
    from benchmark.plan.sources import open_case
    from benchmark.plugins.registry import registry
    from benchmark.validate.setup import Setup
    from benchmark.validate.source import folder_setup, is_scan_folder

    if is_scan_folder(scan) and not values and not sets:
        return folder_setup(Path(scan))
    with collected_notes() as notes:
        case = open_case(registry(), scan, values, sets)
    return case.name, dataclasses.replace(Setup.of(case), notes=tuple(notes))


def add_to(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command(help="Check a scan's numbers and geometry. Reports the best fit and what to change.")(validate)
