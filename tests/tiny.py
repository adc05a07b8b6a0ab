"""What the harness tests share: a registry with the tiny plug-in, and a sweep in one call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tiny_plugin

from benchmark.execution.options import Options
from benchmark.plan.plan import Flags, Plan, make_plan
from benchmark.plugins.registry import Registry, load
from benchmark.sweep.sweep import Sweep, SweepOutcome


class Watcher:
    """A display that remembers."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *values: self.events.append((name, values[0] if values else None))

    def named(self, name: str) -> list[Any]:
        return [value for key, value in self.events if key == name]


def tiny_registry() -> Registry:
    registry = load()
    registry.add(tiny_plugin, "tiny")
    return registry


def tiny_plan(registry: Registry, output: Path, *methods: Any, datasets: Any = "tiny", **keys: Any) -> Plan:
    return make_plan(registry, {"datasets": datasets, "methods": list(methods), "output": str(output), **keys}, Flags())


def sweep(output: Path, *methods: Any, options: Options | None = None, watcher: Watcher | None = None, **keys: Any) -> SweepOutcome:
    registry = tiny_registry()
    plan = tiny_plan(registry, output, *methods, **keys)
    return Sweep(registry, plan, options or Options(device="cpu"), watcher or Watcher()).run()
