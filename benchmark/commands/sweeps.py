"""run: every method of a plan on every case."""

from __future__ import annotations

import re
import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from benchmark.commands.output import open_console, print_paths, write_reports

if TYPE_CHECKING:
    from benchmark.config import Plan
    from benchmark.plugins import Registry
    from benchmark.schedule import Options
    from benchmark.sweep import Summary


def run(
    methods: Annotated[str | None, typer.Option(help="Names with commas between; name:preset picks a preset.")] = None,
    datasets: Annotated[str | None, typer.Option(help="Names with commas between.")] = None,
    views: Annotated[str | None, typer.Option(help="Numbers of views, or lists of indices: 10,50,[0,5,9].")] = None,
    size: Annotated[str | None, typer.Option(help="Voxels along the longest edge; several with commas.")] = None,
    config: Annotated[str | None, typer.Option(help="A YAML file, or a name in configs/ (default: quick).")] = None,
    seeds: Annotated[str | None, typer.Option(help="Seeds with commas between.")] = None,
    photons: Annotated[str | None, typer.Option(help="Photons per pixel (Poisson noise), such as 1e5; none = noise-free.")] = None,
    output: Annotated[str | None, typer.Option(help="Results folder (default: results/<name of the config>).")] = None,
    sets: Annotated[list[str] | None, typer.Option("--set", help="name.key=value, such as zerorf.steps=50; repeatable.")] = None,
    budget: Annotated[str | None, typer.Option(help="Time budget per run that methods keep to, such as 300s or 5min.")] = None,
    timeout: Annotated[str | None, typer.Option(help="End a run that takes longer than this, such as 20min.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda:0.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of each run (default: its share of the cores).")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Runs at a time on this machine; one per GPU where there are GPUs.")] = 1,
    scheduler: Annotated[str | None, typer.Option(help="Run on the workers of this Dask scheduler, such as tcp://head:8786.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the runs and what is done already; run nothing.")] = False,
    in_process: Annotated[bool, typer.Option("--in-process", help="For debugging: no process per run.")] = False,
    no_report: Annotated[bool, typer.Option("--no-report", help="Write records and tables/runs.csv only.")] = False,
) -> int:
    from benchmark.config import Flags, load_plan
    from benchmark.plugins import registry

    flags = Flags(
        methods=methods,
        datasets=datasets,
        views=views,
        size=size,
        seeds=seeds,
        photons=photons,
        budget=budget,
        output=output,
        sets=tuple(sets or ()),
    )
    plan = load_plan(registry(), config, flags)
    options = _run_options(device, threads, timeout, in_process, workers, scheduler)
    if dry_run:
        return _list_runs(plan)
    return _sweep(registry(), plan, options, workers, scheduler, report=not no_report)


def _run_options(
    device: str, threads: int | None, timeout: str | None, in_process: bool, workers: int, scheduler: str | None
) -> Options:
    from benchmark import axes
    from benchmark.mistakes import Mistakes
    from benchmark.schedule import Options
    from benchmark.worker import resolve_device

    mistakes = Mistakes()
    seconds = axes.duration(timeout, "--timeout", mistakes)
    if seconds is not None and in_process:
        mistakes.add("--timeout", expected="a process per run that can be ended", found="--in-process", fix="Give one of the two.")
    if in_process and (workers > 1 or scheduler):
        mistakes.add("--in-process", expected="one run at a time here", found="--scheduler" if scheduler else f"--workers {workers}")
    if scheduler and workers > 1:
        mistakes.add("--workers", expected="none with --scheduler, whose workers are used", found=str(workers))
    if scheduler and not re.fullmatch(r"\w+://\S+", scheduler):
        mistakes.add("--scheduler", expected="an address such as tcp://head:8786", found=repr(scheduler))
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        mistakes.add("--device", expected="auto, cpu, cuda or cuda:0", found=repr(device))
    mistakes.raise_if_any("command line")
    if device.startswith("cuda") and not scheduler:
        device = resolve_device(device)  # said now, not by every run
    command = shlex.join(["python", "-m", "benchmark", *sys.argv[1:]])
    return Options(device=device, threads=threads, timeout=seconds, in_process=in_process, command=command)


def _list_runs(plan: Plan) -> int:
    from benchmark.display import run_title
    from benchmark.sweep import finished_runs

    known = finished_runs(plan)
    console = open_console()
    states = []
    for spec in plan.runs:
        record = known.get(spec.id)
        state = "to do" if record is None else "done" if record.status == "ok" else f"to do ({record.status} before: {record.reason})"
        states.append(state)
        console.print(escape(f"{run_title(spec)}: {state}"), soft_wrap=True)
    done = states.count("done")
    console.print(f"{len(states)} runs, {done} done, {len(states) - done} to do; output {escape(str(plan.output))}", soft_wrap=True)
    return 0


def _sweep(registry: Registry, plan: Plan, options: Options, workers: int, scheduler: str | None, *, report: bool) -> int:
    from benchmark.display import make_display
    from benchmark.results import Results
    from benchmark.summary import summary_table
    from benchmark.sweep import Sweep

    console = open_console()
    with make_display(console) as display:
        for problem in registry.problems:
            display.warning(f"set aside: {problem}")
        summary = Sweep(registry, plan, options, display, workers=workers, scheduler=scheduler).run()
    if summary.records:
        console.print(summary_table(summary.records))
    if summary.interrupted:
        _say_what_remains(console, summary)
        return summary.exit_code
    code = summary.exit_code
    paths = [plan.output / "tables" / "runs.csv"]
    if report:
        written, problems = write_reports(registry, Results(plan.output))
        paths += [path for path in written if path not in paths]
        for text in problems:
            console.print(escape(f"warning: {text}"), soft_wrap=True)
            code = code or 1
    print_paths(console, paths)
    failed = sum(record.status == "failed" for record in summary.records)
    if failed:
        console.print(f"{failed} of {len(summary.records)} runs failed; the same command tries them again.", soft_wrap=True)
    return code


def _say_what_remains(console: Console, summary: Summary) -> None:
    from benchmark.display import run_title

    console.print(f"Stopped. {len(summary.records)} runs are recorded, {len(summary.remaining)} remain:", soft_wrap=True)
    for spec in summary.remaining[:10]:
        console.print(escape(f"  {run_title(spec)}"), soft_wrap=True)
    if len(summary.remaining) > 10:
        console.print(f"  and {len(summary.remaining) - 10} more", soft_wrap=True)
    console.print("Run the same command again to resume.", soft_wrap=True)


def add_to(app: typer.Typer) -> None:
    """Put these commands on the command line."""
    app.command(help="Run every method of a plan on every case; what is finished already is left alone.")(run)
