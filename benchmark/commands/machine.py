"""doctor, speed: what this machine has and how fast it is."""

from __future__ import annotations

import dataclasses

import typer
from rich.markup import escape

from benchmark.commands.output import AsJson, open_console, show_facts


def doctor(as_json: AsJson = False) -> int:
    from benchmark.doctor import examine
    from benchmark.plain import dumps
    from benchmark.plugins import registry

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


def speed(as_json: AsJson = False) -> int:
    from rich.table import Table

    from benchmark.plugins import registry
    from benchmark.speed import measure

    ratios = measure(registry())
    table = Table("ratio", "value")
    for name, value in ratios.items():
        table.add_row(escape(name), f"{value:.3g}")
    show_facts(ratios, table, as_json)
    return 0


def add_to(app: typer.Typer) -> None:
    """Put these commands on the command line."""
    app.command(help="What is installed, usable or missing. With the line that fixes it.")(doctor)
    app.command(help="Time the kernels against plain implementations.")(speed)
