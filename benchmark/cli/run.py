"""Command run: every method of a plan on every case."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from benchmark.cli.completion import dataset_names, method_names
from benchmark.cli.output import Columns, print_logs, print_paths
from benchmark.machine.console import open_console

if TYPE_CHECKING:
    from benchmark.execution.options import Options
    from benchmark.plan.plan import Plan
    from benchmark.plugins.registry import Registry
    from benchmark.report.columns import Column
    from benchmark.sweep.request import Request
    from benchmark.sweep.rerun import Rerun
    from benchmark.sweep.sweep import SweepOutcome


def run(
    methods: Annotated[
        list[str] | None,
        typer.Option(help="Names, comma-separated; name:preset picks a preset, @tag all of a tag.", autocompletion=method_names),
    ] = None,
    datasets: Annotated[list[str] | None, typer.Option(help="Names, comma-separated.", autocompletion=dataset_names)] = None,
    scan: Annotated[
        str | None, typer.Option(help="A scan of your own (a folder with scan.yaml, a file of NAF or R2-Gaussian), or a folder of scans.")
    ] = None,
    volume: Annotated[str | None, typer.Option(help="A volume to scan by simulation (or for --datasets NAME): DICOM, NIfTI, ...")] = None,
    views: Annotated[list[str] | None, typer.Option(help="Numbers of views, all, or lists of indices: 10,all,[0,5,9].")] = None,
    size: Annotated[list[str] | None, typer.Option(help="Voxels along the longest edge, or native; several comma-separated.")] = None,
    frames: Annotated[str | None, typer.Option(help="Frames of a sequence, each a case: all, 0:48, 0:48:2 or 0,5,9.")] = None,
    config: Annotated[str | None, typer.Option(help="A YAML file, or a name in configs/ (default: quick).")] = None,
    seeds: Annotated[list[str] | None, typer.Option(help="Seeds, comma-separated.")] = None,
    photons: Annotated[
        list[str] | None, typer.Option(help="Photons per pixel (Poisson noise): 1e5, or several: none,1e4,1e5; none = noise-free.")
    ] = None,
    output: Annotated[str | None, typer.Option(help="Results folder (default: results/<config>, or <data>-<date>).")] = None,
    sets: Annotated[list[str] | None, typer.Option("--set", help="name.key=value, such as zerorf.steps=50; repeatable.")] = None,
    budget: Annotated[str | None, typer.Option(help="Budget of each run: 300s, 5min, 500steps, 2e9samples or 200projections.")] = None,
    timeout: Annotated[str | None, typer.Option(help="End a run that takes longer than this, such as 20min.")] = None,
    memory: Annotated[str | None, typer.Option(help="End a run whose processes take more memory than this, such as 8GB.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda:0.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of each run (default: its share of the cores).")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Concurrent runs on this machine; on GPUs, one per GPU.")] = 1,
    scheduler: Annotated[str | None, typer.Option(help="Run on the workers of this Dask scheduler, such as tcp://head:8786.")] = None,
    checkpoint_every: Annotated[str, typer.Option(help="Method time between checkpoints, such as 60s.")] = "60s",
    validate_every: Annotated[
        str | None, typer.Option(help="Score the fit and the held-out views along each run, every so many steps or seconds: 100, 30s.")
    ] = None,
    keep_every: Annotated[
        str | None, typer.Option(help="Keep a numbered checkpoint and a picture of each run every so many steps, in its folder kept/.")
    ] = None,
    keep_views: Annotated[
        str | None, typer.Option(help="Pictures of --keep-every: xy,xz,yz (projections beside the truth's) or training views: 0,5.")
    ] = None,
    columns: Columns = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Event files for TensorBoard in <output>/tensorboard.")] = False,
    rerun: Annotated[
        str | None, typer.Option(help="Do finished runs again: changed (their code has changed since), all, or names of methods.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the runs and their state; run nothing.")] = False,
    in_process: Annotated[bool, typer.Option("--in-process", help="For debugging: execute runs in this process.")] = False,
    show_output: Annotated[bool, typer.Option("--show-output", help="Show what the methods print, while they run.")] = False,
    serve: Annotated[bool, typer.Option("--serve", help="Show a live page with running losses to browsers of this machine.")] = False,
    serve_port: Annotated[int | None, typer.Option(min=0, max=65535, help="The port of --serve (default: any free one).")] = None,
    no_report: Annotated[bool, typer.Option("--no-report", help="Write records and tables/runs.csv only.")] = False,
) -> int:
    from benchmark.errors import collected_notes, note
    from benchmark.plugins.registry import registry
    from benchmark.report.columns import named
    from benchmark.sweep.request import Request

    shown = named(columns, registry().metrics.values())
    request = Request(
        methods=_listed(methods),
        datasets=_listed(datasets),
        scan=scan,
        volume=volume,
        views=_listed(views),
        size=_listed(size),
        frames=frames,
        config=config,
        seeds=_listed(seeds),
        photons=_listed(photons),
        output=output,
        sets=tuple(sets or ()),
        budget=budget,
        timeout=timeout,
        memory=memory,
        device=device,
        threads=threads,
        workers=workers,
        scheduler=scheduler,
        checkpoint_every=checkpoint_every,
        validate_every=validate_every,
        keep_every=keep_every,
        keep_views=keep_views,
        tensorboard=tensorboard,
        in_process=in_process,
        show_output=show_output,
        serve=serve_port if serve_port is not None else 0 if serve else None,
        rerun=rerun,
        command=shlex.join(["python", "-m", "benchmark", *sys.argv[1:]]),
    )
    with collected_notes() as told:
        plan = request.plan(registry())
    options, rerun_choice = request.options(plan.output), request.chosen(plan)
    _outline(plan)
    if dry_run:
        for text in told:  # by a run when it loads its case
            note(text)
        return _list_runs(registry(), plan, rerun_choice)
    from benchmark.live.server import served  # not for a list of runs

    with served(plan.output, request.serve, lambda text: open_console().print(escape(text), soft_wrap=True)):
        return _sweep(registry(), request, plan, options, shown, report=not no_report)


def _listed(texts: list[str] | None) -> str | None:
    """Return the texts of an option given once or several times as one list."""
    return ",".join(texts) if texts else None


def _outline(plan: Plan) -> None:
    """Say what each case holds, as far as it is known before loading, and what was asked for in vain."""
    console = open_console()
    keys = dict.fromkeys(spec.case_key for spec in plan.runs)
    known = [plan.cases[key] for key in keys if key in plan.cases and plan.cases[key].outline]
    for words in known:
        console.print(escape(f"{words.name}: {words.outline}" if len(keys) > 1 else words.outline), soft_wrap=True, highlight=False)
    for line in plan.notes:
        console.print(escape(f"note: {line}"), soft_wrap=True, highlight=False)


def _list_runs(registry: Registry, plan: Plan, rerun: Rerun) -> int:
    from benchmark.records.titles import run_title
    from benchmark.sweep.ledger import run_states

    console = open_console()
    states = run_states(registry, plan, rerun)
    for spec, state in states:
        console.print(escape(f"{run_title(spec, plan.name(spec))}: {state}"), soft_wrap=True)
    done = sum(state.startswith("done") for _, state in states)
    console.print(f"{len(states)} runs, {done} done, {len(states) - done} to do; output {escape(str(plan.output))}", soft_wrap=True)
    if any(state.startswith("done (") for _, state in states):
        console.print("`--rerun changed` does finished runs again whose code has changed since.", soft_wrap=True)
    return 0


def _sweep(registry: Registry, request: Request, plan: Plan, options: Options, shown: tuple[Column, ...], *, report: bool) -> int:
    from benchmark.records.results import Results
    from benchmark.report.board_tables import terminal
    from benchmark.report.console import summary_table
    from benchmark.report.leaderboard import boards
    from benchmark.report.reporters import write_reports
    from benchmark.sweep.progress import make_display

    console = open_console()
    with make_display(console, plan) as display:
        summary = request.sweep(registry, plan, options, display)
    results = Results(plan.output)
    if summary.records:
        for board in terminal(boards(results)):
            console.print(board)
        console.print(summary_table(summary.records, shown))
    if summary.interrupted:
        _say_what_remains(console, plan, summary)
        return summary.exit_code
    code = summary.exit_code
    paths = [plan.output / "tables" / "runs.csv"]
    if report:
        results.columns = tuple(column.name for column in shown)
        written, problems = write_reports(registry, results)
        paths += [path for path in written if path not in paths]
        for text in problems:
            console.print(escape(f"warning: {text}"), soft_wrap=True)
            code = code or 1
    print_paths(console, paths)
    failed = sum(record.status == "failed" for record in summary.records)
    if failed:
        console.print(f"{failed} of {len(summary.records)} runs failed; the same command tries them again.", soft_wrap=True)
        print_logs(console, plan.output, summary.records)
    return code


def _say_what_remains(console: Console, plan: Plan, summary: SweepOutcome) -> None:
    from benchmark.records.titles import run_title

    console.print(f"Stopped. {len(summary.records)} runs are recorded, {len(summary.remaining)} remain:", soft_wrap=True)
    for spec in summary.remaining[:10]:
        console.print(escape(f"  {run_title(spec, plan.name(spec))}"), soft_wrap=True)
    if len(summary.remaining) > 10:
        console.print(f"  and {len(summary.remaining) - 10} more", soft_wrap=True)
    console.print("Run the same command again to resume.", soft_wrap=True)


def add_to(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command(help="Run every method of a plan on every case. Finished runs are not repeated.")(run)
