"""Shell completion of method and dataset names, also after a comma."""

from __future__ import annotations

from collections.abc import Iterable


def method_names(incomplete: str) -> list[str]:
    """Return the names of methods; after a colon, the presets of the method before it."""
    from benchmark.plugins.registry import registry

    methods = registry().methods
    presets = [f"{name}:{preset}" for name, spec in methods.items() for preset in spec.presets]
    return _continued(incomplete, [*methods, *presets])


def dataset_names(incomplete: str) -> list[str]:
    """Return the names of datasets."""
    from benchmark.plugins.registry import registry

    return _continued(incomplete, registry().datasets)


def format_names(incomplete: str) -> list[str]:
    """Return the names of scan formats."""
    from benchmark.plugins.registry import registry

    return _continued(incomplete, registry().scan_formats)


def plugin_names(incomplete: str) -> list[str]:
    """Return the names of methods, datasets and scan formats."""
    from benchmark.plugins.registry import registry

    return _continued(incomplete, [*registry().methods, *registry().datasets, *registry().scan_formats])


def _continued(incomplete: str, names: Iterable[str]) -> list[str]:
    """Return every completion of the last item of a comma-separated list."""
    head, comma, last = incomplete.rpartition(",")
    return [f"{head}{comma}{name}" for name in names if name.startswith(last)]
