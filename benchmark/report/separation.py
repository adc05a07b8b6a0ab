"""Which methods of one table the seeds can tell apart: intervals of means, ranks, and who leads in each metric."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Hashable

import pandas as pd

from benchmark.report.statistics import Difference, Interval, mean_interval, paired_difference, rank_ranges


def seed_interval(good: pd.DataFrame, metric: str) -> Interval | None:
    """The mean of a metric over seeds; a seed counts if it has every case (and is then the mean over them)."""
    table = good.pivot_table(index="seed", columns="case", values=metric).dropna()
    return mean_interval(table.mean(axis=1).tolist())


class Separation:
    """Paired comparisons between the methods (`label`) of one dataset, size, noise and number of views, from a frame of finished runs."""

    def __init__(self, good: pd.DataFrame) -> None:
        self.good = good
        self.labels = list(dict.fromkeys(good["label"]))
        seeds = good.groupby(["label", "case"])["seed"].nunique().groupby("label").max()
        self.repeated = [label for label in self.labels if seeds[label] > 1]  # one seed compares with nothing

    @functools.cache  # noqa: B019 (lives as long as one table)
    def difference(self, first: str, second: str, metric: str) -> Difference | None:
        """first - second over the cases and seeds that both have; None if there are none."""
        table = self.good.pivot_table(index=["case", "seed"], columns="label", values=metric)
        if first not in table or second not in table:
            return None
        changes = (table[first] - table[second]).dropna()
        cases: dict[Hashable, list[float]] = {case: part.tolist() for case, part in changes.groupby(level="case")}
        return paired_difference(cases)

    def real(self, first: str, second: str, metric: str, decimals: int) -> Difference | None:
        """first - second where it is real and as large as half of the last of the decimals that are shown; else None."""
        change = self.difference(first, second, metric)
        return change if change is not None and change.excludes_zero and abs(change.mean) >= 0.5 * 10.0**-decimals else None

    def ranks(self, metric: str, decimals: int = 2) -> dict[str, str]:
        """'1', '2-3' or, where nothing can be told apart (one seed, for instance), ''."""
        ranges = rank_ranges(self.repeated, lambda a, b: self.real(a, b, metric, decimals))
        return {label: _text(ranges.get(label)) for label in self.labels}

    def leads(self, metric: str, decimals: int = 2) -> dict[str, bool]:
        """Whether no other is better, where several methods have several seeds.

        Else the numbers decide, among the labels left out here: those that share the same cases and seeds, the most of them.
        """
        known = self.good.dropna(subset=[metric])
        means = known.groupby("label")[metric].mean().sort_values(ascending=False)
        names = [label for label in means.index if label in self.repeated]  # the likely ones first: one that is better is enough
        if len(names) > 1:
            leaders = [a for a in names if not any((gap := self.real(b, a, metric, decimals)) and gap.mean > 0 for b in names if b != a)]
            return {label: label in leaders for label in self.labels}
        runs = {label: frozenset(zip(part["case"], part["seed"], strict=True)) for label, part in known.groupby("label")}
        counts = Counter(runs.values())
        most = max(counts, key=lambda shared: (len(shared), counts[shared]), default=None)
        return {label: False for label, own in runs.items() if own != most}


def _text(places: tuple[int, int] | None) -> str:
    if places is None:
        return ""
    return str(places[0]) if places[0] == places[1] else f"{places[0]}-{places[1]}"
