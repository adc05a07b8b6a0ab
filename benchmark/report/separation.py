"""Which methods of one table the seeds can tell apart: intervals of means, ranks, and who leads in each metric."""

from __future__ import annotations

import functools
from collections.abc import Hashable

import pandas as pd

from benchmark.statistics import Difference, Interval, mean_interval, paired_difference, rank_ranges


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

    def ranks(self, metric: str) -> dict[str, str]:
        """'1', '2-3' or, where nothing can be told apart (one seed, for instance), ''."""
        ranges = rank_ranges(self.repeated, lambda a, b: self.difference(a, b, metric))
        return {label: _text(ranges.get(label)) for label in self.labels}

    def leaders(self, metric: str) -> list[str]:
        """The best mean and all that cannot be told apart from it. Empty unless several methods have several seeds."""
        means = self.good[self.good["label"].isin(self.repeated)].groupby("label")[metric].mean().dropna()
        if len(means) < 2:
            return []
        best = means.idxmax()
        others = {label: self.difference(best, label, metric) for label in means.index if label != best}
        return [best, *(label for label, change in others.items() if change is not None and change.verdict == "no difference seen")]


def _text(places: tuple[int, int] | None) -> str:
    if places is None:
        return ""
    return str(places[0]) if places[0] == places[1] else f"{places[0]}-{places[1]}"
