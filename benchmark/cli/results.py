"""Commands for results folders: report, compare, reevaluate, verify."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from benchmark.cli.output import AsJson, Columns, print_paths
from benchmark.machine.console import open_console

if TYPE_CHECKING:
    from benchmark.records.results import Results

ResultsFolder = Annotated[Path, typer.Argument(help="A results folder: the --output of a run.")]


def report(
    folder: ResultsFolder,
    only: Annotated[str | None, typer.Option(help="Only these reporters, comma-separated (default: all).")] = None,
    columns: Columns = None,
    watch: Annotated[bool, typer.Option("--watch", help="Keep report.html current until the sweep in this folder ends.")] = False,
    as_json: AsJson = False,
) -> int:
    from benchmark.errors import InputError
    from benchmark.live.watch import watched
    from benchmark.plugins.registry import registry
    from benchmark.report.columns import named
    from benchmark.report.reporters import write_reports
    from benchmark.storage.json_values import dumps

    if watch and only:
        raise InputError("--watch", expected="all reporters", found=f"--only {only}", fix="Give one of the two.")
    console = open_console()
    with watched(folder, lambda text: typer.echo(text, err=as_json)) if watch else contextlib.nullcontext():
        results = _opened(folder)
        recorded = (name for record in results.records for name in record.metrics)
        results.columns = tuple(column.name for column in named(columns, registry().metrics.values(), recorded))
        paths, problems = write_reports(registry(), results, only.split(",") if only else ())
    said = list(dict.fromkeys([*results.problems, *problems]))
    if as_json:
        typer.echo(dumps({"files": paths, "problems": said}, indent=1))
        return 1 if problems else 0
    for text in said:
        console.print(escape(f"warning: {text}"), soft_wrap=True)
    print_paths(console, paths)
    return 1 if problems else 0


def compare(first: ResultsFolder, second: ResultsFolder) -> int:
    from benchmark.records.results import Results
    from benchmark.report.compare import compare as compare_results

    comparison = compare_results(Results.open(first), Results.open(second))
    open_console().print(str(comparison), soft_wrap=True, markup=False, end="")
    return 0


def reevaluate(
    folder: ResultsFolder,
    protocols: Annotated[str | None, typer.Option(help="Protocols, comma-separated, such as strict,naf (default: all).")] = None,
    maps: Annotated[bool, typer.Option("--maps", help="Also write the SSIM map of every run beside its volume.")] = False,
) -> int:
    from benchmark.audit.reevaluate import chosen_metrics
    from benchmark.audit.reevaluate import reevaluate as evaluate
    from benchmark.plugins.registry import registry
    from benchmark.records.results import Results
    from benchmark.records.store import Store
    from benchmark.records.titles import run_title

    console = open_console()
    names = None if protocols is None else [name.strip() for name in protocols.split(",")]
    metrics = chosen_metrics(registry().metrics.values(), names)
    results = _opened(folder)
    scored = changed = problems = 0
    for evaluation in evaluate(results, metrics, maps=maps):
        scored += evaluation.scored
        title = escape(run_title(evaluation.before.spec))
        if evaluation.problem:
            problems += 1
            console.print(f"{title}: {escape(evaluation.problem)}", soft_wrap=True)
        if evaluation.after is not evaluation.before:
            changed += 1
            values = [f"{name} {_shown(old)} -> {_shown(new)}" for name, (old, new) in evaluation.changes.items()]
            console.print(f"{title}: {escape(', '.join(values) or 'the same values, versions and digest noted')}", soft_wrap=True)
    Store(folder).write_table(Results(folder).records)
    console.print(f"{scored} runs scored again, {changed} with another record (the earlier one is kept), {problems} with a problem.")
    return 1 if problems else 0


def verify(
    folder: ResultsFolder,
    seed: Annotated[int | None, typer.Option(help="Seed of the random choice of the run to repeat (default: unseeded).")] = None,
    no_rerun: Annotated[bool, typer.Option("--no-rerun", help="Check the files only; repeat no run.")] = False,
) -> int:
    from benchmark.audit.verify import candidates, pick, rerun, verify_files
    from benchmark.execution.options import Options
    from benchmark.plugins.registry import registry

    console = open_console()
    results = _opened(folder)
    findings = list(verify_files(results))
    if not no_rerun:
        record = pick(candidates(results, registry()), seed)
        if record is not None:
            threads = record.environment.get("threads")
            options = Options(device=record.device or "auto", threads=threads)
            findings.append(rerun(results, registry(), record, options, lambda event: None))
    for finding in findings:
        if finding.status != "ok" or "done again" in finding.what:
            console.print(escape(f"{finding.status:8} {finding.what}: {finding.detail}"), soft_wrap=True)
    counts = {status: sum(finding.status == status for finding in findings) for status in ("ok", "differs", "unknown")}
    console.print(f"{counts['ok']} as recorded, {counts['differs']} differ, {counts['unknown']} cannot be told.")
    return 1 if counts["differs"] else 0


def _opened(folder: Path) -> Results:
    """Return the results of a folder, without the litter of killed commands. Raise InputError if the path is not one."""
    from benchmark.records.results import Results
    from benchmark.sweep.claims import tidy

    results = Results.open(folder)
    tidy(folder)
    return results


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.6g}"


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(help="Rewrite the tables, figures and page of a results folder.")(report)
    app.command(help="Compare the results of two folders.")(compare)
    app.command(help="Rescore the stored volumes without running the methods.")(reevaluate)
    app.command(help="Check all digests and repeat one random run.")(verify)
