"""Which dataset opens a path that a user has: `--scan PATH`, `--volume PATH`."""

from __future__ import annotations

import json
from pathlib import Path

from benchmark.errors import InputError
from benchmark.plugins import Registry
from benchmark.types import DatasetSpec, resolve


def dataset_for(registry: Registry, what: str, path: Path) -> DatasetSpec:
    """The dataset whose `opens[what]` says yes to the path. Raises InputError if there is no such file or nobody does."""
    where = f"--{what} {path}"
    openers = {name: spec for name, spec in registry.datasets.items() if what in spec.opens}
    if not path.exists() and "*" not in path.name:
        raise InputError(where, expected="a file or folder", found="none")
    for spec in openers.values():
        if resolve(spec.opens[what])(path):
            return spec
    kinds = "; ".join(f"{name}: {spec.summary}" for name, spec in openers.items())
    fix = f"Describe your own files: python -m benchmark new-scan {path}" if what == "scan" and path.is_dir() else ""
    raise InputError(where, expected=f"one of these ({kinds})", found="something else", fix=fix)


def flags_for(registry: Registry, what: str, path: str) -> tuple[str, str]:
    """What `--datasets` and `--set` would have to say."""
    name = dataset_for(registry, what, Path(path)).name
    return name, f"datasets.{name}.path={json.dumps(path)}"
