"""Commands for plug-ins and their data: list, show, prepare."""

from __future__ import annotations

from typing import Annotated

import typer

from benchmark.cli.completion import dataset_names, plugin_names
from benchmark.cli.output import AsJson, show_facts
from benchmark.machine.console import open_console


def list_(as_json: AsJson = False) -> int:
    from benchmark.cli.spec_tables import catalogue, catalogue_tables
    from benchmark.plugins.registry import registry

    facts = catalogue(registry())
    show_facts(facts, catalogue_tables(facts), as_json)
    return 0


def show(
    name: Annotated[str, typer.Argument(help="A method, a dataset or a scan format.", autocompletion=plugin_names)], as_json: AsJson = False
) -> int:
    from benchmark.cli.spec_tables import describe, description_tables
    from benchmark.plugins.registry import registry

    facts = describe(registry(), name)
    show_facts(facts[0] if len(facts) == 1 else facts, description_tables(facts), as_json)
    return 0


def prepare(
    names: Annotated[list[str], typer.Argument(help="Datasets.", autocompletion=dataset_names)],
    sets: Annotated[list[str] | None, typer.Option("--set", help="name.key=value; repeatable.")] = None,
) -> int:
    from benchmark.plan.prepare import prepare_datasets
    from benchmark.plugins.registry import registry

    prepare_datasets(registry(), names, tuple(sets or ()), open_console())
    return 0


def add_to(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command("list", help="List methods, datasets, scan formats and metrics. Also the plug-ins that were set aside.")(list_)
    app.command(help="Show the parameters of a method or dataset. Type, default, meaning, presets.")(show)
    app.command(help="Download and convert datasets in advance.")(prepare)
