"""Command fit: fit a method to many scans once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from benchmark.cli.completion import method_names
from benchmark.machine.console import open_console

LINE_INTERVAL = 10.0  # [s] between progress lines


def fit(
    method: Annotated[str, typer.Argument(help="A method that can be fitted; name:preset picks a preset.", autocompletion=method_names)],
    more: Annotated[list[str] | None, typer.Argument(metavar="[SCAN]...", help="Further scans.")] = None,
    scans: Annotated[list[str] | None, typer.Option("--scans", help="Scans, folders of scans, or names of datasets.")] = None,
    output: Annotated[Path, typer.Option(help="The weights file; must not exist.")] = Path("weights.pt"),
    views: Annotated[str | None, typer.Option(help="Number of views of each scan, or all.")] = None,
    size: Annotated[str | None, typer.Option(help="Voxels along the longest edge, or native.")] = None,
    sets: Annotated[list[str] | None, typer.Option("--set", help="name.key=value, of the method or a dataset; repeatable.")] = None,
    each: Annotated[list[str] | None, typer.Option(help="dataset.key=[values]: one scan per value; repeatable.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the fit.")] = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda:0.")] = "auto",
) -> int:
    from benchmark.errors import InputError
    from benchmark.execution.fitting import fit as fit_course
    from benchmark.execution.fitting import open_course
    from benchmark.machine.device import resolve_device
    from benchmark.plan import quantities
    from benchmark.plugins.registry import registry
    from benchmark.runtime.weights import Weights
    from benchmark.storage.writable import prove_file

    named = [*(scans or ()), *(more or ())]
    if not named:
        raise InputError("--scans", expected="at least one scan, folder of scans or dataset", found="none")
    device = resolve_device(device)
    prove_file(output, new=True)
    given = quantities.choice(views, size)
    console = open_console()
    course = open_course(registry(), method, named, given, tuple(sets or ()), seed, tuple(each or ()))
    for text in course.notes:
        console.print(escape(f"note: {text}"), soft_wrap=True)
    for lesson in course.lessons:
        geometry = lesson.case.scan.geometry
        console.print(escape(f"{lesson.case.name}: {geometry.views} views, {max(geometry.volume_shape)} voxels"), soft_wrap=True)
    path = fit_course(course, output, _Progress(console), threads, device)
    console.print(escape(f"{path}  digest {Weights.read(path).digest}"), soft_wrap=True)
    key = f"{course.method.name}.weights={path}"
    console.print(escape(f"Use: python -m benchmark run --methods {course.method.name} --set {key} ..."), soft_wrap=True)
    return 0


class _Progress:
    """Printer of a progress line every few seconds."""

    def __init__(self, console: Console) -> None:
        self.console, self.next = console, 0.0

    def __call__(self, values: dict[str, Any]) -> None:
        from benchmark.sweep.progress import progress_text

        if time.monotonic() >= self.next:
            self.next = time.monotonic() + LINE_INTERVAL
            self.console.print(escape(progress_text(values)), soft_wrap=True)


def add_to(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command(help="Fit a method to many scans once. Runs with the weights are marked as pretrained.")(fit)
