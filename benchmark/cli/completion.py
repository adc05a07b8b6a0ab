"""What the shell may offer behind a command: names of methods and datasets, also behind a comma."""

from __future__ import annotations

from collections.abc import Iterable


def method_names(incomplete: str) -> list[str]:
    """Methods, and the presets of the one before a colon."""
    from benchmark.plugins.registry import registry

    methods = registry().methods
    presets = [f"{name}:{preset}" for name, spec in methods.items() for preset in spec.presets]
    return _continued(incomplete, [*methods, *presets])


def dataset_names(incomplete: str) -> list[str]:
    """Datasets."""
    from benchmark.plugins.registry import registry

    return _continued(incomplete, registry().datasets)


def plugin_names(incomplete: str) -> list[str]:
    """Methods and datasets."""
    from benchmark.plugins.registry import registry

    return _continued(incomplete, [*registry().methods, *registry().datasets])


def _continued(incomplete: str, names: Iterable[str]) -> list[str]:
    """Every way to complete the last item of a list with commas."""
    head, comma, last = incomplete.rpartition(",")
    return [f"{head}{comma}{name}" for name in names if name.startswith(last)]
