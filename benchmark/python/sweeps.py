"""Sweeps: the command `run` as a function."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmark.errors import InputError, collected_notes
from benchmark.execution.job import import_path
from benchmark.live.server import served
from benchmark.machine.console import open_console
from benchmark.plan.plan import Plan
from benchmark.plugins.registry import Registry, registry
from benchmark.plugins.specs import MethodSpec
from benchmark.python import values
from benchmark.python.silence import SilentDisplay
from benchmark.records.frame import frame
from benchmark.records.results import Results
from benchmark.report.reporters import write_reports
from benchmark.sweep.progress import PlainDisplay, make_display
from benchmark.sweep.request import Request

if TYPE_CHECKING:
    import pandas as pd

Path = str | os.PathLike[str]
Names = str | Sequence[str]
Method = str | MethodSpec
Photons = float | str
Numbers = int | str | Sequence[int | str | Sequence[int]]


def run(
    methods: Method | Sequence[Method] | None = None,
    datasets: Names | None = None,
    *,
    scan: Path | None = None,
    volume: Path | None = None,
    views: Numbers | None = None,
    size: Numbers | None = None,
    config: Path | Mapping[str, Any] | None = None,
    seeds: Numbers | None = None,
    photons: Photons | Sequence[Photons | None] | None = None,
    output: Path | None = None,
    set: Mapping[str, Any] | Iterable[str] | None = None,
    budget: str | None = None,
    timeout: float | str | None = None,
    memory: int | str | None = None,
    device: str = "auto",
    threads: int | None = None,
    workers: int = 1,
    scheduler: str | None = None,
    checkpoint_every: float | str = "60s",
    validate_every: int | str | None = None,
    keep_every: int | str | None = None,
    keep_views: Names | Sequence[str | int] | None = None,
    tensorboard: bool = False,
    in_process: bool = False,
    show_output: bool = False,
    rerun: Names | None = None,
    serve: bool | int = False,
    report: bool = True,
    progress: bool = True,
) -> pd.DataFrame:
    """Run every method on every case, as the command `run` with the options of these names; finished runs are not repeated.

    Values are Python's own or texts as on the command line: `views=[10, 50]` or "10,50", `views=[[0, 5, 9]]` for indices, "all",
    `set={"zerorf.steps": 50}`. A method may be a MethodSpec, whose function and parameters lie in a module. `config` may be a plan as
    a mapping. `timeout` is in seconds and `memory` in bytes if they are numbers; `photons="none"` is noise-free. `serve` is True or a port.

    Return one row per run, in the plan's order, with the columns of tables/runs.csv (see `Results.frame`); `table.attrs["output"]` is the
    results folder. A run that failed or was skipped is a row with its `reason`. `progress=False` prints nothing; warnings then go to the
    logger 'benchmark'.

    Raise InputError for wrong values, before any run. KeyboardInterrupt ends the runs under way, keeps what is finished, and is raised
    again; the same call resumes.
    """
    known, names = with_specs(methods)
    request = Request(
        methods=names,
        datasets=values.listed(datasets),
        scan=values.path(scan, "scan"),
        volume=values.path(volume, "volume"),
        views=values.listed(views),
        size=values.listed(size),
        config=values.plain_value(config) if isinstance(config, Mapping) else values.path(config, "config"),
        seeds=values.listed(seeds),
        photons=values.listed(photons),
        output=values.path(output, "output"),
        sets=values.settings(set),
        budget=values.text(budget),
        timeout=values.text(timeout),
        memory=values.text(memory),
        device=str(device),
        threads=threads,
        workers=workers,
        scheduler=values.text(scheduler),
        checkpoint_every=str(values.text(checkpoint_every)),
        validate_every=values.text(validate_every),
        keep_every=values.text(keep_every),
        keep_views=values.listed(keep_views),
        tensorboard=tensorboard,
        in_process=in_process,
        show_output=show_output,
        rerun=values.listed(rerun),
        serve=(0 if serve is True else serve) if serve is not False else None,
    )
    request = dataclasses.replace(request, command=_call(request))
    with collected_notes():  # told when the cases are loaded
        plan = request.plan(known)
    options = request.options(plan.output)
    request.chosen(plan)  # a wrong name is said before anything begins
    display = choose_display(progress, plan)
    tell = display.line if progress else display.warning  # where the page is must not be lost
    with display, served(plan.output, request.serve, tell):
        for line in plan.notes:
            display.note(line)
        outcome = request.sweep(known, plan, options, display)
        if outcome.interrupted:
            display.line(f"Stopped. {len(outcome.records)} runs are recorded, {len(outcome.remaining)} remain; the same call resumes.")
            raise KeyboardInterrupt
        if report:
            for problem in write_reports(known, Results(plan.output))[1]:
                display.warning(problem)
    table = frame(outcome.records)
    table.attrs["output"] = str(plan.output)
    return table


def with_specs(methods: Method | Sequence[Method] | None) -> tuple[Registry, str | None]:
    """Return a registry that knows the given MethodSpecs, and the names of all methods as on the command line."""
    if methods is None or isinstance(methods, str):
        return registry(), methods
    given = list(methods) if isinstance(methods, Iterable) else [methods]
    for method in given:
        if not isinstance(method, str | MethodSpec):
            raise InputError("methods", expected="names of methods, or MethodSpecs", found=repr(method))
    specs = [method for method in given if isinstance(method, MethodSpec)]
    for spec in specs:
        _check_importable(spec)
    known = registry().with_methods(specs) if specs else registry()
    return known, ",".join(method if isinstance(method, str) else method.name for method in given)


def _check_importable(spec: MethodSpec) -> None:
    """Raise InputError for a method that a run's own process could not import."""
    for field, thing in (("target", spec.target), ("params", spec.params)):
        if not isinstance(thing, str) and import_path(thing) is None:
            raise InputError(
                f"method '{spec.name}': {field}",
                expected="the top of a module, which a run's own process can import",
                found=f"{getattr(thing, '__qualname__', thing)} of {getattr(thing, '__module__', 'no module')}",
                fix="Write it to a file, such as my_method.py beside this one, and import it from there.",
            )


def choose_display(progress: bool, plan: Plan | None = None) -> PlainDisplay:
    """Return bars in a notebook or on a terminal, lines elsewhere, or a display that prints nothing."""
    return make_display(open_console(), plan) if progress else SilentDisplay(plan)


def _call(request: Request) -> str:
    """Return the call in Python, for the records."""
    given = {field.name: getattr(request, field.name) for field in dataclasses.fields(request)}
    changed = {field.name for field in dataclasses.fields(request) if given[field.name] != field.default}
    shown = [f"{'set' if name == 'sets' else name}={given[name]!r}" for name in given if name in changed]
    return f"benchmark.run({', '.join(shown)})"
