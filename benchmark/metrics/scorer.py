"""Scores of a volume against its case by every registered metric. Only the harness calls this; methods never see a score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from benchmark.errors import InputError
from benchmark.metrics import photographs
from benchmark.metrics.similarity import filled_in
from benchmark.plugins.isolation import call
from benchmark.plugins.specs import MetricSpec
from benchmark.scan.case import Case
from benchmark.scan.reconstruction import rendered_from
from benchmark.scan.scan import Scan
from benchmark.storage import mapped

PREFIXES = {"volume": ("volume",), "projection": ("projection", "fit")}  # kind of a metric -> prefixes of its columns


class Scorer:
    """Scorer of one case, with its projectors. `metrics` are all specs; names become volume_*, projection_* and fit_*."""

    def __init__(self, case: Case, metrics: Iterable[MetricSpec]) -> None:
        self.case = case
        self.metrics = list(metrics)

    def score(self, volume: np.ndarray, arrays: Mapping[str, np.ndarray] | None = None) -> tuple[dict[str, float | None], list[str]]:
        """Return all metrics of a volume [z, y, x], and the errors (a failed metric is None).

        The harness itself re-projects the volume, identically for every method (by maxima if the views are maxima), and compares it
        with the held-out views (projection_*) and with the measured training views (fit_*), in the pixels that are valid (Scan.valid).
        Where the `arrays` hold the volume on a finer grid, that is projected.
        Photographs are compared with the harness's rendering of the Gaussians in `arrays` (see Reconstruction).
        """
        values: dict[str, float | None] = {}
        problems: list[str] = []
        if self.case.truth is not None:
            self._apply("volume", self.case.scan, self._scored(volume), self._scored(self.case.truth), values, problems)
        rendered = any(metric.kind == "projection" for metric in self.metrics)
        for prefix, scan in (("projection", self.case.heldout), ("fit", self.case.scan)):
            if rendered and scan is not None and scan.composite == "over":
                self._apply_to_photographs(prefix, scan, arrays or {}, values, problems)
            elif rendered and scan is not None:
                from benchmark.projection import rendering  # brings torch

                try:
                    seen = rendered_from(volume, arrays or {})
                except InputError as error:
                    problems.append(str(error))
                    continue
                geometry = scan.geometry.with_volume((seen.shape[0], seen.shape[1], seen.shape[2]))
                views = rendering.rendered(seen, geometry, scan.composite)  # may lie in a file, as the volume may
                views = filled_in(views, scan.projections, scan.valid)
                self._apply(prefix, scan, views, scan.projections, values, problems, {"valid": scan.valid})
        return values, problems

    def _scored(self, volume: np.ndarray) -> np.ndarray:
        """Return the part of a volume that is scored against the truth: all, unless the case's facts name a box."""
        box = tuple(slice(first, last) for first, last in self.case.facts.get("scored", ()))
        return volume[box] if box else volume

    def versions(self, names: Iterable[str]) -> dict[str, int]:
        """Return the revision of the metric behind each name."""
        known = {f"{prefix}_{metric.name}": metric.revision for metric in self.metrics for prefix in PREFIXES[metric.kind]}
        return {name: known[name] for name in names if name in known}

    def _apply_to_photographs(
        self, prefix: str, scan: Scan, arrays: Mapping[str, np.ndarray], values: dict[str, float | None], problems: list[str]
    ) -> None:
        try:
            found, true = photographs.rendered(arrays, scan), photographs.seen(scan)
        except InputError as error:
            problems.append(str(error))
            return
        more = {"silhouettes": (found.silhouettes, true.silhouettes), "valid": None}
        self._apply(prefix, scan, found.stack(), true.stack(), values, problems, more)

    def _apply(
        self,
        prefix: str,
        scan: Scan,
        found: np.ndarray,
        true: np.ndarray,
        values: dict[str, float | None],
        problems: list[str],
        more: Mapping[str, Any] | None = None,
    ) -> None:
        known = {**self.case.facts, "geometry": scan.geometry, **(more or {})}
        found, true = mapped.read_only(found), mapped.read_only(true)  # of every metric: one that writes would change the others' scores
        for metric in self.metrics:
            if prefix not in PREFIXES[metric.kind] or not set(metric.needs) <= set(known):
                continue
            name = f"{prefix}_{metric.name}"
            try:
                value = call(metric.target, found, true, **{need: known[need] for need in metric.needs})  # None: does not apply here
                values[name] = None if value is None else float(value)
            except (Exception, SystemExit) as error:
                values[name] = None
                problems.append(f"metric {name}: {type(error).__name__}: {error}")

    def volume_psnr(self, volume: np.ndarray) -> float | None:
        """Return the strict PSNR alone, for convergence curves; None without a truth or without that metric."""
        metric = next((metric for metric in self.metrics if (metric.kind, metric.name) == ("volume", "psnr")), None)
        if metric is None or self.case.truth is None:
            return None
        value = call(
            metric.target, *map(mapped.read_only, (self._scored(volume), self._scored(self.case.truth)))
        )  # None: a constant truth has no range
        return None if value is None else float(value)
