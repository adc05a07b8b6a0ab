"""Command series: the frames of a time series one after another, each started from the last."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

from benchmark.cli.completion import dataset_names, method_names
from benchmark.cli.output import print_paths
from benchmark.machine.console import open_console


def series(
    methods: Annotated[str, typer.Option(help="The method; name:preset picks a preset.", autocompletion=method_names)],
    datasets: Annotated[str, typer.Option(help="The dataset that has frames.", autocompletion=dataset_names)],
    output: Annotated[str, typer.Option(help="Results folder.")],
    volume: Annotated[str | None, typer.Option(help="A file of stacks, TZYX.")] = None,
    scan: Annotated[str | None, typer.Option(help="A scan with frames of your own.")] = None,
    frames: Annotated[str, typer.Option(help="Frames: all, ranges such as 0:10 or 0:10:2, numbers; commas between.")] = "all",
    views: Annotated[str | None, typer.Option(help="Number of views, or all.")] = None,
    size: Annotated[str | None, typer.Option(help="Voxels along the longest edge, or native.")] = None,
    sets: Annotated[list[str] | None, typer.Option("--set", help="name.key=value, for all frames; repeatable.")] = None,
    then: Annotated[list[str] | None, typer.Option(help="name.key=value, for all frames but the first; repeatable.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every run.")] = 0,
    rate: Annotated[float, typer.Option(min=0.1, max=120, help="Frames a second of the video.")] = 5.0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda:0.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of each run.")] = None,
    no_report: Annotated[bool, typer.Option("--no-report", help="Write records and tables/runs.csv only, beside the series.")] = False,
) -> int:
    from benchmark.exchange.series_export import write_series
    from benchmark.plugins.registry import registry
    from benchmark.records.results import Results
    from benchmark.report.console import summary_table
    from benchmark.report.reporters import write_reports
    from benchmark.sweep.progress import make_display
    from benchmark.sweep.request import Request
    from benchmark.sweep.series import FOLDER, Series

    console = open_console()
    request = Request(
        methods=methods,
        datasets=datasets,
        volume=volume,
        scan=scan,
        views=views,
        size=size,
        seeds=str(seed),
        output=output,
        sets=tuple(sets or ()),
        device=device,
        threads=threads,
        command=shlex.join(["python", "-m", "benchmark", *sys.argv[1:]]),
    )
    chosen = Series.of(registry(), request, frames, tuple(then or ()))
    records, code = chosen.follow(lambda plan: make_display(console, plan))
    if records:
        console.print(summary_table(records))
    done = [record for record in records if record.status == "ok"]
    results = Results(chosen.plan(chosen.frames[0], None).output)
    paths = write_series(results, done, results.folder / FOLDER, rate) if done else []
    if done and not no_report:
        written, problems = write_reports(registry(), results)
        paths += written
        for text in problems:
            console.print(f"warning: {text}", soft_wrap=True, markup=False)
            code = code or 1
    print_paths(console, paths)
    if len(done) < len(chosen.frames):
        console.print(f"{len(done)} of {len(chosen.frames)} frames are done; the same command goes on with the next.", soft_wrap=True)
    return code


def add_to(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command(help="Fit a time series frame by frame. Each frame starts where the last one ended.")(series)
