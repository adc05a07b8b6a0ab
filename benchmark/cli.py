"""The command line: python -m benchmark run | list | show | prepare | report | compare | doctor | speed.

Exit codes: 0 done, 1 something failed, 2 the user's mistake (said in one message), 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from benchmark.errors import InputError, MissingDependency

if TYPE_CHECKING:
    from benchmark.config import Plan
    from benchmark.plugins import Registry
    from benchmark.results import Results
    from benchmark.sweep import Summary

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)

CLICK_ERROR: type[Exception] = typer.BadParameter.__mro__[2]  # ClickException, wherever this version of typer keeps it
AsJson = Annotated[bool, typer.Option("--json", help="One JSON value on the standard output.")]


@app.callback(help="A benchmark for sparse-view cone-beam CT: one scan, many methods, one table.")
def _options(debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks (may stand anywhere).")] = False) -> None:
    pass  # main() has taken it out of the arguments


def _console() -> Console:
    """Standard output; wide where nobody's window limits it."""
    console = Console(highlight=False)
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(highlight=False, width=160)


# -- run ----------------------------------------------------------------------------------------------------------------


@app.command(help="Run every method of a plan on every case; what is finished already is left alone.")
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
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads of each run (default: all cores).")] = None,
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
    options = _run_options(device, threads, timeout, in_process)
    if dry_run:
        return _list_runs(plan)
    return _sweep(registry(), plan, options, report=not no_report)


def _run_options(device: str, threads: int | None, timeout: str | None, in_process: bool) -> Any:
    from benchmark import axes
    from benchmark.mistakes import Mistakes
    from benchmark.schedule import Options
    from benchmark.worker import resolve_device

    mistakes = Mistakes()
    seconds = axes.duration(timeout, "--timeout", mistakes)
    if seconds is not None and in_process:
        mistakes.add("--timeout", expected="a process per run that can be ended", found="--in-process", fix="Give one of the two.")
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        mistakes.add("--device", expected="auto, cpu, cuda or cuda:0", found=repr(device))
    mistakes.raise_if_any("command line")
    if device.startswith("cuda"):
        device = resolve_device(device)  # said now, not by every run
    return Options(device=device, threads=threads, timeout=seconds, in_process=in_process)


def _list_runs(plan: Plan) -> int:
    from benchmark.display import run_title
    from benchmark.sweep import finished_runs

    known = finished_runs(plan)
    console = _console()
    states = []
    for spec in plan.runs:
        record = known.get(spec.id)
        state = "to do" if record is None else "done" if record.status == "ok" else f"to do ({record.status} before: {record.reason})"
        states.append(state)
        console.print(escape(f"{run_title(spec)}: {state}"), soft_wrap=True)
    done = states.count("done")
    console.print(f"{len(states)} runs, {done} done, {len(states) - done} to do; output {escape(str(plan.output))}", soft_wrap=True)
    return 0


def _sweep(registry: Registry, plan: Plan, options: Any, *, report: bool) -> int:
    from benchmark.display import make_display
    from benchmark.results import Results
    from benchmark.summary import summary_table
    from benchmark.sweep import Sweep

    console = _console()
    with make_display(console) as display:
        for problem in registry.problems:
            display.warning(f"set aside: {problem}")
        summary = Sweep(registry, plan, options, display).run()
    if summary.records:
        console.print(summary_table(summary.records))
    if summary.interrupted:
        _say_what_remains(console, summary)
        return summary.exit_code
    code = summary.exit_code
    paths = [plan.output / "tables" / "runs.csv"]
    if report:
        written, problems = _write_reports(registry, Results(plan.output))
        paths += [path for path in written if path not in paths]
        for text in problems:
            console.print(escape(f"warning: {text}"), soft_wrap=True)
            code = code or 1
    _print_paths(console, paths)
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


def _print_paths(console: Console, paths: list[Path]) -> None:
    """One line per file, but one per folder of figures."""
    images = (".png", ".svg", ".pdf")
    lines: dict[str, None] = {}
    for path in paths:
        count = sum(other.parent == path.parent and other.suffix in images for other in paths)
        lines[f"{path.parent}/ ({count} images)" if path.suffix in images else str(path)] = None
    for line in lines:
        console.print(escape(line), soft_wrap=True)


def _write_reports(registry: Registry, results: Results) -> tuple[list[Path], list[str]]:
    """Every reporter's files, and what went wrong in some."""
    from benchmark.types import resolve

    paths: list[Path] = []
    problems: list[str] = []
    for name, reporter in registry.reporters.items():
        try:
            paths += resolve(reporter.target)(results)
        except Exception as error:
            problems.append(f"report '{name}' could not be written: {type(error).__name__}: {error}")
    return paths, problems


# -- what there is ------------------------------------------------------------------------------------------------------


@app.command("list", help="Methods, datasets and metrics, and plug-ins that were set aside.")
def list_(as_json: AsJson = False) -> int:
    from benchmark.catalogue import catalogue, catalogue_tables
    from benchmark.plugins import registry

    facts = catalogue(registry())
    _show(facts, catalogue_tables(facts), as_json)
    return 0


@app.command(help="Parameters of a method or dataset: type, default, meaning, presets.")
def show(name: str, as_json: AsJson = False) -> int:
    from benchmark.catalogue import describe, description_tables
    from benchmark.plugins import registry

    facts = describe(registry(), name)
    _show(facts[0] if len(facts) == 1 else facts, description_tables(facts), as_json)
    return 0


def _show(facts: Any, table: Any, as_json: bool) -> None:
    from benchmark.plain import dumps

    if as_json:
        typer.echo(dumps(facts, indent=1))
    else:
        _console().print(table)


@app.command(help="Download and convert the data of datasets ahead.")
def prepare(
    names: Annotated[list[str], typer.Argument(help="Datasets.")],
    sets: Annotated[list[str] | None, typer.Option("--set", help="name.key=value; repeatable.")] = None,
) -> int:
    from benchmark.plugins import registry
    from benchmark.prepare import prepare_datasets

    prepare_datasets(registry(), names, tuple(sets or ()), _console())
    return 0


@app.command(help="Write tables, figures and the page of a results folder again.")
def report(folder: Path) -> int:
    from benchmark.plugins import registry
    from benchmark.results import Results

    console = _console()
    results = Results.open(folder)
    paths, problems = _write_reports(registry(), results)
    for text in [*results.problems, *problems]:
        console.print(escape(f"warning: {text}"), soft_wrap=True)
    _print_paths(console, paths)
    return 1 if problems else 0


@app.command(help="Compare the result tables of two folders.")
def compare(first: Path, second: Path) -> int:
    from benchmark.report.compare import compare as compare_results
    from benchmark.results import Results

    comparison = compare_results(Results.open(first), Results.open(second))
    _console().print(str(comparison), soft_wrap=True, markup=False, end="")
    return 0


@app.command(help="What is installed, usable or missing, and the line that fixes it.")
def doctor() -> int:
    from benchmark.doctor import examine
    from benchmark.plugins import registry

    console = _console()
    colours = {"ok": "green", "missing": "dim", "warning": "yellow", "broken": "bold red"}
    broken = False
    for check in examine(registry()):
        colour = colours[check.status]
        console.print(f"[{colour}]{check.status:8}[/{colour}] {escape(check.name)}: {escape(check.detail)}", soft_wrap=True)
        if check.fix:
            console.print(escape(f"         {check.fix}"), soft_wrap=True)
        broken = broken or check.status == "broken"
    return int(broken)


@app.command(help="Time the kernels against plain implementations in the same process.")
def speed(as_json: AsJson = False) -> int:
    from rich.table import Table

    from benchmark.speed import measure

    ratios = measure()
    table = Table("ratio", "value")
    for name, value in ratios.items():
        table.add_row(escape(name), f"{value:.3g}")
    _show(ratios, table, as_json)
    return 0


# -- entry point --------------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code. Tracebacks only with --debug."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = app(args=arguments, prog_name="python -m benchmark", standalone_mode=False)
        sys.stdout.flush()
        return code or 0
    except BrokenPipeError:  # the reader of our output has gone, as in `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except CLICK_ERROR as error:
        error.show()  # type: ignore[attr-defined]
        return error.exit_code  # type: ignore[attr-defined]
    except (typer.Abort, KeyboardInterrupt):
        return _fail("Stopped.", 130)
    except InputError as error:
        return _fail(f"error: {error}", 2, debug)
    except Exception as error:
        from benchmark.atomic import StorageError

        known = isinstance(error, StorageError | MissingDependency)
        text = str(error) if known else f"{type(error).__name__}: {error} (a fault of this program; --debug shows where)"
        return _fail(f"error: {text}", 1, debug)
    finally:
        signal.signal(signal.SIGTERM, previous)


def _fail(text: str, code: int, debug: bool = False) -> int:
    if debug:
        traceback.print_exc()
    sys.stderr.write(text + "\n")
    return code


def _interrupt(number: int, frame: object) -> None:
    """A polite kill is treated as Ctrl-C: the current run is ended, everything finished is kept."""
    raise KeyboardInterrupt
