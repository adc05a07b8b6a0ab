"""Agreement of a device with the CPU, and of optional engines with the project's own kernels, on a small scan with a known volume."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from benchmark.acquisition.reference import reference_scan
from benchmark.errors import MissingDependency
from benchmark.kernels.cuda_module import full_precision
from benchmark.plugins.specs import MethodSpec, resolve
from benchmark.records.budget import Budget
from benchmark.runtime.context import Run
from benchmark.scan.scan import Scan

SIZE, VIEWS = 32, 60  # voxels along an edge, views over a full circle
EARLY = 5  # steps until which rounding has not yet made two runs of a random method different
STEPS = 1000  # of a comparison of engines, which differ in their numbers but not in what they reach
CLOSE = {True: 1e-3, False: 1e-2}  # largest relative difference from the CPU; by whether the method is deterministic
WORSE = 1.3  # largest error of an engine over that of the project's own kernels


@dataclasses.dataclass(frozen=True)
class Agreement:
    """One comparison: a number that may be `most` at most, or the reason why there is none."""

    name: str
    other: str
    measure: str
    value: float | None  # inf: it failed
    most: float
    skipped: str = ""

    @property
    def good(self) -> bool:
        """Whether the comparison was made and holds, or could not be made because something is not installed."""
        return bool(self.skipped) if self.value is None else self.value <= self.most

    @property
    def verdict(self) -> str:
        """Return 'agrees', 'DISAGREES', or the reason for the absence of a number."""
        if self.value is None:
            return self.skipped
        return "agrees" if self.good else f"DISAGREES {self.skipped}".strip()


def agreements(device: str, methods: Iterable[MethodSpec], size: int = SIZE, views: int = VIEWS, steps: int = STEPS) -> Iterator[Agreement]:
    """Yield the comparisons of every method that understands line integrals, and of its presets that name another engine.

    A method on the device is compared with itself on the CPU after a few steps; an engine with the project's own kernels on the device,
    by their errors against the truth.
    """
    scan, truth = reference_scan(size, views)
    full_precision()
    for method in methods:
        if "sum" not in method.composites:
            continue
        yield _of_devices(method, scan, device)
        engines = {preset: values["engine"] for preset, values in method.presets.items() if "engine" in values}
        for preset in engines:
            yield _of_engines(method, preset, scan, truth, device, steps)


def _of_devices(method: MethodSpec, scan: Scan, device: str) -> Agreement:
    measure, most = f"difference after {EARLY} steps, relative", CLOSE[method.deterministic]
    try:
        there, here = (_volume(method, {}, scan, where, EARLY) for where in (device, "cpu"))
    except Exception as error:  # a plug-in's own code
        return Agreement(method.name, "the CPU", measure, math.inf, most, _words(error))
    return Agreement(method.name, "the CPU", measure, float(np.linalg.norm(there - here) / np.linalg.norm(here)), most)


def _of_engines(method: MethodSpec, preset: str, scan: Scan, truth: np.ndarray, device: str, steps: int) -> Agreement:
    name, measure = f"{method.name}:{preset}", "error over that of our kernels"
    try:
        engine, native = (_volume(method, values, scan, device, steps) for values in (method.presets[preset], {}))
    except MissingDependency as error:
        return Agreement(name, "our kernels", measure, None, WORSE, str(error))
    except Exception as error:  # other people's code
        return Agreement(name, "our kernels", measure, math.inf, WORSE, _words(error))
    return Agreement(name, "our kernels", measure, float(np.linalg.norm(engine - truth) / np.linalg.norm(native - truth)), WORSE)


def _volume(method: MethodSpec, values: Any, scan: Scan, device: str, steps: int) -> np.ndarray:
    run = Run(device=device, budget=Budget(steps=steps), views=scan.geometry.views)
    run.clock.start()
    volume: Any = resolve(method.target)(scan, method.params(**values), run).volume
    return volume.detach().cpu().numpy() if hasattr(volume, "detach") else np.asarray(volume)


def _words(error: Exception) -> str:
    """Return the first line of an error: torch's go on for pages."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


def markdown(rows: Iterable[Agreement]) -> str:
    """Return the table of docs/performance.md."""
    lines = ["| method | against | what | value | at most | |", "|---|---|---|---|---|---|"]
    for row in rows:
        value = "" if row.value is None else f"{row.value:.2g}"
        lines.append(f"| {row.name} | {row.other} | {row.measure} | {value} | {row.most:g} | {row.verdict} |")
    return "\n".join(lines)
