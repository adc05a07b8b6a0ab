"""Scores of one table of the leaderboard by method, case and seed; which methods have all cases, and in what order they stand."""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmark.report.columns import COMPARED
from benchmark.report.ranking import ORDERED_BY

SCORES = tuple(column.name for column in COMPARED)


class CaseScores:
    """The finite scores of the runs of one table, a frame from `cases.cased`.

    `cases` are those that some method finished (pretrained ones do not count), `unfinished` the others; `applies` are the cases of each
    metric. `missing` says by method why it lacks which case: not run, failed, skipped, in part (a failed seed or frame is not averaged
    away), or no score. `ranked` are the methods that lack none, the highest mean of `metric` first; pretrained ones never are.
    """

    def __init__(self, runs: pd.DataFrame) -> None:
        good = runs[runs["status"] == "ok"]
        self.parts = {str(label): part for label, part in runs.groupby("label", sort=False)}
        self.fitted = {label: next(filter(None, part["pretrained"]), "") for label, part in self.parts.items()}
        self.deterministic = {label for label, part in self.parts.items() if part["deterministic"].all()}
        known = set(good.loc[good["pretrained"] == "", "of_case"]) or set(good["of_case"])
        self.cases = sorted(known)
        self.unfinished = sorted(set(runs["of_case"]) - known)
        scored = {metric: good[np.isfinite(good[metric].astype(float))] if metric in good else good[:0] for metric in SCORES}
        self._values = {metric: _by_seed(part, metric) for metric, part in scored.items()}
        self._counts = {metric: part.groupby(["label", "of_case"]).size().to_dict() for metric, part in scored.items()}
        own = [label for label, fitted in self.fitted.items() if not fitted]
        self.applies = {name: [case for case in self.cases if any(self.seeds(label, name, case) for label in own)] for name in SCORES}
        self.metric = max(ORDERED_BY, key=lambda name: len(self.applies[name]))  # the first of those that the most cases have
        self._frames = runs.groupby("of_case")["frame"].nunique().to_dict()
        self._runs = {(str(label), str(case)): part for (label, case), part in runs.groupby(["label", "of_case"])}
        self.missing = {label: self._missing(label) for label in self.parts}
        self.order = sorted(self.parts, key=self._place)
        self.ranked = [label for label in self.order if self.complete(label, self.metric) is not None and not self.fitted[label]]

    def seeds(self, label: str, metric: str, case: str) -> dict[int, float]:
        """Return a metric by seed, of a sequence its mean over frames."""
        return self._values[metric].get((label, case), {})

    def complete(self, label: str, metric: str) -> dict[str, list[float]] | None:
        """Return a metric by case, for each seed; None if the method lacks a case, or the metric in a run."""
        cases = self.applies[metric]
        if not cases or self.missing[label] or not all(self._scored(label, metric, case) for case in cases):
            return None
        return {case: list(self.seeds(label, metric, case).values()) for case in cases}

    def means(self, label: str, metric: str) -> np.ndarray:
        """Return the mean over seeds of each case of a metric, for a method that has them all."""
        return np.array([np.mean(values) for values in (self.complete(label, metric) or {}).values()])

    def _scored(self, label: str, metric: str, case: str) -> bool:
        """Return True if every run of a case has a metric."""
        return self._counts[metric].get((label, case)) == len(self._runs[label, case])

    def _missing(self, label: str) -> dict[str, str]:
        found = {}
        for case in self.cases:
            if (label, case) not in self._runs:
                found[case] = "not run"
                continue
            runs, frames = self._runs[label, case], self._frames[case]
            bad = runs.loc[runs["status"] != "ok", "status"]
            planned = runs["seed"].nunique() * frames
            begun = len(runs[["seed", "frame"]].drop_duplicates())
            if len(bad):
                count = f"{len(bad)} of {len(runs)} {'seeds' if frames == 1 else 'runs'} " if len(bad) < len(runs) else ""
                found[case] = count + "/".join(dict.fromkeys(bad))
            elif begun < planned:
                found[case] = f"{planned - begun} of {planned} frames not run"
            elif case in self.applies[self.metric] and not self._scored(label, self.metric, case):
                found[case] = "no score"
        return found

    def _place(self, label: str) -> tuple[bool, int, float, str]:
        """Return what orders the methods: pretrained ones last, by missing cases, by their mean, by name."""
        means = self.means(label, self.metric)
        return bool(self.fitted[label]), len(self.missing[label]), -float(means.mean()) if len(means) else 0.0, label


def _by_seed(scored: pd.DataFrame, metric: str) -> dict[tuple[str, str], dict[int, float]]:
    """Return a metric by (label, case), then seed."""
    found: dict[tuple[str, str], dict[int, float]] = {}
    if scored.empty:
        return found
    for (label, case, seed), value in scored.groupby(["label", "of_case", "seed"])[metric].mean().items():
        found.setdefault((label, case), {})[seed] = float(value)
    return found
