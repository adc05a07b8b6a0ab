"""Commands for this machine: doctor (installation) and speed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from benchmark.cli.output import AsJson, show_facts
from benchmark.errors import InputError
from benchmark.machine.console import open_console

if TYPE_CHECKING:
    from rich.table import Table

    from benchmark.speed.parity import Agreement


def doctor(as_json: AsJson = False) -> int:
    from benchmark.cli.doctor import examine
    from benchmark.plugins.registry import registry
    from benchmark.storage.json_values import dumps

    console = open_console()
    if as_json:
        checks = list(examine(registry()))
        typer.echo(dumps([dataclasses.asdict(check) for check in checks], indent=1))
        return int(any(check.status == "broken" for check in checks))
    colours = {"ok": "green", "missing": "dim", "warning": "yellow", "broken": "bold red"}
    broken = False
    for check in examine(registry()):
        colour = colours[check.status]
        console.print(f"[{colour}]{check.status:8}[/{colour}] {escape(check.name)}: {escape(check.detail)}", soft_wrap=True)
        if check.fix:
            console.print(escape(f"         {check.fix}"), soft_wrap=True)
        broken = broken or check.status == "broken"
    return int(broken)


def speed(
    device: Annotated[str, typer.Option(help="cpu, or a CUDA device: cuda:0.")] = "cpu",
    write: Annotated[Path | None, typer.Option(help="Page in which to replace the table of GPU numbers (docs/performance.md).")] = None,
    as_json: AsJson = False,
) -> int:
    from rich.table import Table

    from benchmark.machine.device import resolve_device
    from benchmark.plugins.registry import registry
    from benchmark.speed.cpu import measure

    device = resolve_device(device)
    if device != "cpu":
        return _speed_of_gpu(device, write, as_json)
    if write is not None:
        raise InputError("--write", expected="a CUDA device, whose table it is", found="--device cpu", fix="Add --device cuda.")
    ratios = measure(registry())
    table = Table("ratio", "value")
    for name, value in ratios.items():
        table.add_row(escape(name), f"{value:.3g}")
    show_facts(ratios, table, as_json)
    return 0


def _speed_of_gpu(device: str, page: Path | None, as_json: bool) -> int:
    from rich.table import Table

    from benchmark.plugins.registry import registry
    from benchmark.speed import gpu, parity

    agreements = list(parity.agreements(device, registry().methods.values()))
    rows = list(gpu.measure(device, registry().speed.values()))
    table = Table("what", "ms", "against", "ratio")
    for row in rows:
        values = (row.milliseconds, row.ratio)
        milliseconds, ratio = ("" if value is None else f"{value:.3g}" for value in values)
        skipped = f"skipped: {row.skipped}" if row.skipped else ""
        table.add_row(escape(row.name), milliseconds, escape(row.other), ratio or escape(skipped))
    if not as_json:
        open_console().print(_of_agreements(agreements))
    facts = [dataclasses.asdict(row) for row in agreements] + [dataclasses.asdict(row) for row in rows]
    show_facts(facts, table, as_json)
    if page is not None:
        gpu.write(page, f"{gpu.markdown(rows, gpu.device_text(device))}\n\n{parity.markdown(agreements)}")
    return int(not all(row.good for row in agreements))


def _of_agreements(rows: list[Agreement]) -> Table:
    from rich.table import Table

    table = Table("method", "against", "what", "value", "at most", "")
    for row in rows:
        value = "" if row.value is None else f"{row.value:.2g}"
        table.add_row(*map(escape, (row.name, row.other, row.measure, value, f"{row.most:g}", row.verdict)))
    return table


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command(help="Check what is installed, usable or missing. With the fix for each problem.")(doctor)
    app.command(help="Time the kernels against plain implementations.")(speed)
