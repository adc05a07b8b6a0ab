"""A time series, frame by frame: each run starts from the state in which the run of the frame before it ended.

    <output>/runs/<run id>/          a run for each frame, as of any sweep
    <output>/series/<run id>.pt      the state that it hands on to the next frame: weights, as `fit` writes them

Runs that start from another frame's state are marked as pretrained: tables do not rank them beside those that know one frame alone.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from benchmark.errors import InputError
from benchmark.plan.plan import Plan
from benchmark.plugins.registry import Registry
from benchmark.plugins.specs import DatasetParams, MethodSpec
from benchmark.records.record import RunRecord
from benchmark.records.results import Results
from benchmark.runtime.checkpoint import Checkpoint
from benchmark.runtime.weights import Weights, source_of
from benchmark.sweep.display import Display
from benchmark.sweep.request import Request

FOLDER = "series"  # in the results folder
MOST_FRAMES = 10_000


@dataclasses.dataclass(frozen=True)
class Series:
    """Frames of a dataset, the method, and what differs from the second frame on (`then`: texts of --set)."""

    registry: Registry
    request: Request
    method: MethodSpec
    dataset: str
    frames: tuple[int, ...]
    then: tuple[str, ...]

    @classmethod
    def of(cls, registry: Registry, request: Request, frames: str, then: tuple[str, ...] = ()) -> Series:
        """Check a request for a series; `frames` is 'all', or indices and ranges such as '0-9,20'. Raise InputError for all mistakes."""
        for option, names in (("--datasets", request.datasets), ("--methods", request.methods)):
            if not names or "," in names:
                raise InputError(option, expected="one name", found=repr(names) if names else "none")
        dataset, name = str(request.datasets), str(request.methods).partition(":")[0]
        method = registry.method(name)
        if not method.continues:
            able = ", ".join(other for other, spec in registry.methods.items() if spec.continues)
            raise InputError("--methods", expected=f"a method whose runs can start from another's state ({able})", found=f"'{name}'")
        if "frame" not in registry.dataset(dataset).params.model_fields:
            able = ", ".join(other for other, spec in registry.datasets.items() if "frame" in spec.params.model_fields)
            raise InputError("--datasets", expected=f"a dataset with frames ({able})", found=f"'{dataset}'")
        first = cls(registry, request, method, dataset, (), then)
        total = first._offered(0 if frames == "all" else min(_listed(frames, None)))
        if frames == "all" and total is None:
            raise InputError("--frames", expected=f"frames such as 0-9 (their number is not known to {dataset})", found="all")
        chosen = tuple(range(total or 0)) if frames == "all" else _listed(frames, total)
        series = dataclasses.replace(first, frames=chosen)
        if len(chosen) > 1:
            series.plan(chosen[1], None)  # mistakes in `then`
        return series

    def plan(self, frame: int, weights: Path | None) -> Plan:
        """Return the plan of one frame: one run. Raise InputError."""
        later = self.then if self.frames and frame != self.frames[0] else ()
        own = (f"{self.dataset}.frame={frame}", *later, *([f"{self.method.name}.weights={weights}"] if weights else []))
        plan = dataclasses.replace(self.request, sets=(*self.request.sets, *own)).plan(self.registry)
        if len(plan.runs) != 1:
            raise InputError("series", expected="one run a frame: one number of views, one size, one seed", found=f"{len(plan.runs)} runs")
        return plan

    def follow(self, display: Callable[[Plan], AbstractContextManager[Display]]) -> tuple[list[RunRecord], int]:
        """Execute the runs in order; finished ones are left alone. Return their records, and an exit code.

        The series ends at the first run that fails or is stopped: the same command goes on there. Raise as `Request.sweep`.
        """
        records: list[RunRecord] = []
        weights: Path | None = None
        for frame in self.frames:
            plan = self.plan(frame, weights)
            with display(plan) as shown:
                outcome = self.request.sweep(self.registry, plan, self.request.options(plan.output), shown)
            records += outcome.records
            if outcome.interrupted or outcome.exit_code or any(record.status != "ok" for record in outcome.records):
                return records, outcome.exit_code or 1
            weights = self._handed_on(Results(plan.output), outcome.records[0], weights)
        return records, 0

    def _offered(self, frame: int) -> int | None:
        run = self.plan(frame, None).runs[0]
        params: Any = self.registry.datasets[run.dataset].params(**run.dataset_params)
        offer = params.offer() if isinstance(params, DatasetParams) else None
        return None if offer is None or offer.frames is None else offer.frames()

    def _handed_on(self, results: Results, record: RunRecord, before: Path | None) -> Path:
        """Return the weights file of a finished run, written now unless it is there."""
        path = results.folder / FOLDER / f"{record.run_id}.pt"
        if path.exists():
            return path
        case = results.case(record)
        if case is None:
            raise InputError(record.run_id, expected="its case in the results folder", found="none")
        found = Checkpoint.read(results.folder_of(record) / "checkpoint.pt")
        spec, loaded = record.spec, case.load()
        known = list(Weights.read(before).fitted_to) if before is not None else []
        source = source_of(spec.dataset, spec.dataset_params, loaded)
        known.append({"scan": loaded.scan.digest, "dataset": spec.dataset, "case": record.case, "source": source})
        facts = {
            "method": spec.method,
            "revision": spec.method_revision,
            "params": spec.method_params,
            "seed": spec.seed,
            "fitted_to": known,
        }
        path.parent.mkdir(exist_ok=True)
        Checkpoint(facts, found.step, found.seconds, {}, found.state).write(path)
        return path


def _listed(text: str, total: int | None) -> tuple[int, ...]:
    """Read indices and ranges, '0-9,20', below `total`, if known. Raise InputError."""
    expected = "all, or frames such as 0-9 or 0,5,10" + ("" if total is None else f", below {total}")
    found: dict[int, None] = {}
    for word in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,6})\s*(?:-\s*(\d{1,6})\s*)?", word)
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not low <= high < (MOST_FRAMES if total is None else total):
            raise InputError("--frames", expected=expected, found=repr(text))
        found |= dict.fromkeys(range(low, high + 1))
    return tuple(found)
