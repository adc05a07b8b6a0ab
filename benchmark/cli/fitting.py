"""Command fit: fit a method to many scans once."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from benchmark.cli.completion import method_names
from benchmark.machine.console import open_console

if TYPE_CHECKING:
    from benchmark.execution.fitting import Course

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
    frames: Annotated[str | None, typer.Option(help="Frames of a sequence, one scan each: all, 0:48, 0:48:2 or 0,5,9.")] = None,
    split: Annotated[
        str | None, typer.Option(help="Scans for fit, validation and test, in order: thirds, or shares such as 0.5,0.2,0.3.")
    ] = None,
    validate_every: Annotated[
        int | None, typer.Option(min=1, help="Steps between validations; the weights of the least validation loss are kept.")
    ] = None,
    patience: Annotated[int | None, typer.Option(min=1, help="End after so many validations in a row without a new best.")] = None,
    load: Annotated[Path | None, typer.Option(help="Go on with the fit that wrote this weights file.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the fit.")] = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda:0.")] = "auto",
) -> int:
    from benchmark.errors import InputError
    from benchmark.execution.fit_curve import FitCurve
    from benchmark.execution.fitting import fit as fit_course
    from benchmark.execution.fitting import open_course
    from benchmark.machine.device import resolve_device
    from benchmark.plan import quantities
    from benchmark.plugins.registry import registry
    from benchmark.runtime.checkpoint import Checkpoint
    from benchmark.runtime.weights import Weights
    from benchmark.storage.writable import prove_file

    named = [*(scans or ()), *(more or ())]
    if not named:
        raise InputError("--scans", expected="at least one scan, folder of scans or dataset", found="none")
    device = resolve_device(device)
    prove_file(output, new=True)
    given = quantities.choice(views, size)
    console = open_console()
    course = open_course(
        registry(),
        method,
        named,
        given,
        tuple(sets or ()),
        seed,
        tuple(each or ()),
        frames=frames,
        split=split,
        every=validate_every,
        patience=patience,
        load=load,
    )
    for text in course.notes:
        console.print(escape(f"note: {text}"), soft_wrap=True)
    for lesson, use in (*((lesson, "") for lesson in course.lessons), *((lesson, ", for validation") for lesson in course.judges)):
        geometry = lesson.case.scan.geometry
        console.print(escape(f"{lesson.case.name}: {geometry.views} views, {max(geometry.volume_shape)} voxels{use}"), soft_wrap=True)
    path = fit_course(course, output, _Progress(console), threads, device)
    found = Checkpoint.read(path)
    curve = FitCurve(found.facts["curve"])
    if curve.best is not None:
        console.print(escape(f"Kept: step {curve.best[0]} of {found.step}, validation loss {curve.best[3]:.4g}"), soft_wrap=True)
    console.print(escape(f"{path}  digest {Weights.read(path).digest}"), soft_wrap=True)
    for written in curve.write(path):
        console.print(escape(str(written)), soft_wrap=True)
    console.print(escape(f"Use: {_use(course, method, tuple(sets or ()), path)}"), soft_wrap=True)
    return 0


def _use(course: Course, method: str, sets: tuple[str, ...], path: Path) -> str:
    """Return the command that applies the weights: to the scans set aside for tests if they are frames of one sequence."""
    words = ["python", "-m", "benchmark", "run", "--methods", method]
    sources = {(values["dataset"], values.get("path")) for values in course.tests}
    numbers = [values["frame"] for values in course.tests if "frame" in values]
    if len(sources) == 1 and len(numbers) == len(course.tests):
        ((dataset, source),) = sources
        together = numbers == list(range(numbers[0], numbers[-1] + 1))
        words += ["--datasets", dataset] if source is None else ["--scan", source]
        words += ["--frames", f"{numbers[0]}:{numbers[-1] + 1}" if together else ",".join(map(str, numbers))]
        words += [f"--{key}={course.tests[0][key]}" for key in ("views", "size") if isinstance(course.tests[0].get(key), int)]
    for text in (*sets, f"{course.method.name}.weights={path}"):
        words += ["--set", text]
    return shlex.join(words) + ("" if course.tests else " ...")


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
