"""Command run: every method of a plan on every case."""

from __future__ import annotations

import dataclasses
import re
import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from benchmark.cli.completion import dataset_names, method_names
from benchmark.cli.output import Columns, column_names, open_console, print_logs, print_paths, write_reports

if TYPE_CHECKING:
    from benchmark.execution.options import Options
    from benchmark.plan.plan import Plan
    from benchmark.plugins.registry import Registry
    from benchmark.sweep.sweep import SweepOutcome


def run(
    methods: Annotated[
        str | None, typer.Option(help="Names, comma-separated; name:preset picks a preset.", autocompletion=method_names)
    ] = None,
    datasets: Annotated[str | None, typer.Option(help="Names, comma-separated.", autocompletion=dataset_names)] = None,
    scan: Annotated[str | None, typer.Option(help="A scan of your own: a folder with scan.yaml, or a file of NAF or R2-Gaussian.")] = None,
    volume: Annotated[str | None, typer.Option(help="A volume to scan by simulation (or for --datasets NAME): DICOM, NIfTI, ...")] = None,
    views: Annotated[str | None, typer.Option(help="Numbers of views, all, or lists of indices: 10,all,[0,5,9].")] = None,
    size: Annotated[str | None, typer.Option(help="Voxels along the longest edge, or native; several comma-separated.")] = None,
    config: Annotated[str | None, typer.Option(help="A YAML file, or a name in configs/ (default: quick).")] = None,
    seeds: Annotated[str | None, typer.Option(help="Seeds, comma-separated.")] = None,
    photons: Annotated[str | None, typer.Option(help="Photons per pixel (Poisson noise), such as 1e5; none = noise-free.")] = None,
    output: Annotated[str | None, typer.Option(help="Results folder (default: results/<config>, or <data>-<date>).")] = None,
    sets: Annotated[list[str] | None, typer.Option("--set", help="name.key=value, such as zerorf.steps=50; repeatable.")] = None,
    budget: Annotated[str | None, typer.Option(help="Budget of each run: 300s, 5min, 500steps, 2e9samples or 200projections.")] = None,
    timeout: Annotated[str | None, typer.Option(help="End a run that takes longer than this, such as 20min.")] = None,
    memory: Annotated[str | None, typer.Option(help="Memory limit of each run's process, such as 8GB.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda:0.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of each run (default: its share of the cores).")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Concurrent runs on this machine; on GPUs, one per GPU.")] = 1,
    scheduler: Annotated[str | None, typer.Option(help="Run on the workers of this Dask scheduler, such as tcp://head:8786.")] = None,
    checkpoint_every: Annotated[str, typer.Option(help="Method time between checkpoints, such as 60s.")] = "60s",
    validate_every: Annotated[
        str | None, typer.Option(help="Score the fit and the held-out views along each run, every so many steps or seconds: 100, 30s.")
    ] = None,
    columns: Columns = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Event files for TensorBoard in <output>/tensorboard.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the runs and their state; run nothing.")] = False,
    in_process: Annotated[bool, typer.Option("--in-process", help="For debugging: execute runs in this process.")] = False,
    no_report: Annotated[bool, typer.Option("--no-report", help="Write records and tables/runs.csv only.")] = False,
) -> int:
    from benchmark.errors import collected_notes, note
    from benchmark.plan.plan import Flags, load_plan
    from benchmark.plugins.registry import registry

    shown = column_names(columns, registry())
    datasets, sets = _own_data(registry(), datasets, list(sets or ()), scan=scan, volume=volume)
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
        own_data=scan is not None or volume is not None,
    )
    with collected_notes() as told:
        plan = load_plan(registry(), config, flags)
    options = _run_options(device, threads, timeout, in_process, workers, scheduler)
    options = _with_files(options, plan, checkpoint_every, tensorboard)
    options = _with_memory(options, memory)
    options = _with_validation(options, validate_every)
    _outline(plan)
    if dry_run:
        for text in told:  # by a run when it loads its case
            note(text)
        return _list_runs(plan)
    return _sweep(registry(), plan, options, workers, scheduler, shown, report=not no_report)


def _own_data(registry: Registry, datasets: str | None, sets: list[str], **paths: str | None) -> tuple[str | None, list[str]]:
    """Return --datasets and --set equivalent to --scan and --volume; a dataset named in --datasets gets the path."""
    from benchmark.errors import InputError
    from benchmark.plan.sources import flags_for

    given = {what: path for what, path in paths.items() if path is not None}
    if not given:
        return datasets, sets
    several = datasets is not None and "," in datasets
    if several or len(given) > 1:
        found = ", ".join(f"--{what}" for what in (*given, *([f"datasets {datasets}"] if several else [])))
        raise InputError("command line", expected="one of --scan and --volume, and at most one dataset", found=found)
    ((what, path),) = given.items()
    name, value = flags_for(registry, what, path, datasets)
    return name, [value, *sets]


def _run_options(device: str, threads: int | None, timeout: str | None, in_process: bool, workers: int, scheduler: str | None) -> Options:
    from benchmark.errors import InputError, Mistakes
    from benchmark.execution.options import Options
    from benchmark.machine.device import check_device, resolve_device
    from benchmark.plan import quantities

    mistakes = Mistakes()
    seconds = quantities.duration(timeout, "--timeout", mistakes)
    if seconds is not None and in_process:
        mistakes.add("--timeout", expected="a process per run, which can be ended", found="--in-process", fix="Give one of the two.")
    if in_process and (workers > 1 or scheduler):
        mistakes.add("--in-process", expected="one run at a time here", found="--scheduler" if scheduler else f"--workers {workers}")
    if scheduler and workers > 1:
        mistakes.add("--workers", expected="none with --scheduler, whose workers are used", found=str(workers))
    if scheduler and not re.fullmatch(r"\w+://\S+", scheduler):
        mistakes.add("--scheduler", expected="an address such as tcp://head:8786", found=repr(scheduler))
    try:
        check_device(device)
    except InputError as error:
        mistakes.note(error)
    mistakes.raise_if_any("command line")
    if device.startswith("cuda") and not scheduler:
        device = resolve_device(device)  # reported once, not by every run
    command = shlex.join(["python", "-m", "benchmark", *sys.argv[1:]])
    return Options(device=device, threads=threads, timeout=seconds, in_process=in_process, command=command)


def _with_files(options: Options, plan: Plan, checkpoint_every: str, tensorboard: bool) -> Options:
    """Return the options with the folders of checkpoints and event files."""
    from benchmark.errors import Mistakes
    from benchmark.machine.environment import install_hint, missing_modules
    from benchmark.plan import quantities

    mistakes = Mistakes()
    every = quantities.duration(checkpoint_every, "--checkpoint-every", mistakes)
    if tensorboard and missing_modules(("tensorboard",)):
        mistakes.add("--tensorboard", expected="the package tensorboard", found="none", fix=f"Install it: {install_hint('tensorboard')}")
    mistakes.raise_if_any("command line")
    board = plan.output / "tensorboard" if tensorboard else None
    return dataclasses.replace(options, checkpoints=plan.output / "runs", checkpoint_every=every or 0.0, tensorboard=board)


def _with_memory(options: Options, memory: str | None) -> Options:
    """Return the options with the memory limit of each run's process."""
    from benchmark.errors import Mistakes
    from benchmark.machine.memory import memory_bytes

    mistakes = Mistakes()
    count = memory_bytes(memory, "--memory", mistakes)
    if count is not None and options.in_process:
        mistakes.add("--memory", expected="a process per run, which can be limited", found="--in-process", fix="Give one of the two.")
    mistakes.raise_if_any("command line")
    return dataclasses.replace(options, memory_bytes=count)


def _outline(plan: Plan) -> None:
    """Say what each case holds, as far as it is known before loading, and what was asked for in vain."""
    console = open_console()
    keys = dict.fromkeys(spec.case_key for spec in plan.runs)
    known = [plan.cases[key] for key in keys if key in plan.cases and plan.cases[key].outline]
    for words in known:
        console.print(escape(f"{words.name}: {words.outline}" if len(keys) > 1 else words.outline), soft_wrap=True, highlight=False)
    for line in plan.notes:
        console.print(escape(f"note: {line}"), soft_wrap=True, highlight=False)


def _with_validation(options: Options, every: str | None) -> Options:
    """Return the options with the interval between scores along a run."""
    from benchmark.errors import Mistakes
    from benchmark.plan import quantities

    mistakes = Mistakes()
    interval = quantities.interval(every, "--validate-every", mistakes)
    mistakes.raise_if_any("command line")
    return dataclasses.replace(options, validate_every=interval)


def _list_runs(plan: Plan) -> int:
    from benchmark.records.titles import run_title
    from benchmark.sweep.ledger import finished_runs

    known = finished_runs(plan)
    console = open_console()
    states = []
    for spec in plan.runs:
        record = known.get(spec.id)
        state = "to do" if record is None else "done" if record.status == "ok" else f"to do ({record.status} before: {record.reason})"
        states.append(state)
        console.print(escape(f"{run_title(spec, plan.name(spec))}: {state}"), soft_wrap=True)
    done = states.count("done")
    console.print(f"{len(states)} runs, {done} done, {len(states) - done} to do; output {escape(str(plan.output))}", soft_wrap=True)
    return 0


def _sweep(
    registry: Registry, plan: Plan, options: Options, workers: int, scheduler: str | None, shown: tuple[str, ...], *, report: bool
) -> int:
    from benchmark.cli.progress import make_display
    from benchmark.records.results import Results
    from benchmark.report.columns import chosen
    from benchmark.report.console import summary_table
    from benchmark.sweep.sweep import Sweep

    console = open_console()
    with make_display(console, plan) as display:
        for problem in registry.problems:
            display.warning(f"set aside: {problem}")
        summary = Sweep(registry, plan, options, display, workers=workers, scheduler=scheduler).run()
    if summary.records:
        console.print(summary_table(summary.records, chosen(shown, registry.metrics.values())))
    if summary.interrupted:
        _say_what_remains(console, plan, summary)
        return summary.exit_code
    code = summary.exit_code
    paths = [plan.output / "tables" / "runs.csv"]
    if report:
        results = Results(plan.output)
        results.columns = shown
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
