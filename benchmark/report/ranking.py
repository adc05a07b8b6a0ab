"""Rule that orders, ranks and sets methods in bold. Console, Markdown, LaTeX, csv and page only show its result.

Order: the highest mean volume PSNR first (held-out PSNR where there is no truth), then methods without a result; pretrained methods last.
Competitors: methods with several seeds; if fewer than two have several, the largest set that shares the same cases and seeds. A method
that is `deterministic` runs once, and its value counts for every seed of the others. Pretrained methods never compete: they know more
than the scan.
Rank: the places that a method can hold, such as '1' or '2-3', by paired differences over cases and seeds. Methods are ranked only where the
difference is statistically significant; blank: not distinguishable from any other method.
Bold: with several seeds, no other competitor is significantly better; with one, the best number as shown. A lone method is never bold.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Hashable, Sequence

import pandas as pd

from benchmark.report.columns import DECIMALS, Column, shown
from benchmark.report.statistics import Difference, paired_difference, rank_ranges

GROUP = ["dataset", "size", "noise"]  # runs of one table and one figure; methods are compared within one number of views of a group
ORDERED_BY = ("volume_psnr", "projection_psnr")  # the second if there is no truth


class Ranking:
    """Ranking of the methods (`label`) of one dataset, size, noise and number of views, from a frame of their finished runs.

    Numbers count as shown, with `decimals`: a smaller difference counts as none.
    """

    def __init__(self, good: pd.DataFrame) -> None:
        self.good = good
        self.labels = list(dict.fromkeys(good["label"]))
        self.deterministic = {label for label, part in good.groupby("label") if "deterministic" in part and part["deterministic"].all()}
        seeds = good.groupby(["label", "case"])["seed"].nunique().groupby("label").max()
        several = [label for label in self.labels if seeds[label] > 1]  # a single seed allows no comparison
        self.repeated = [label for label in self.labels if label in several or (several and label in self.deterministic)]

    @functools.cache  # noqa: B019 (lives as long as one table)
    def difference(self, first: str, second: str, metric: str) -> Difference | None:
        """Return first - second over the cases and seeds that both have; None if there are none."""
        if first > second:  # each pair is drawn once
            change = self.difference(second, first, metric)
            return None if change is None else -change
        table = self._scores(metric)
        if first not in table or second not in table:
            return None
        changes = (table[first] - table[second]).dropna()
        cases: dict[Hashable, list[float]] = {case: part.tolist() for case, part in changes.groupby(level="case")}
        return paired_difference(cases)

    @functools.cache  # noqa: B019
    def _scores(self, metric: str) -> pd.DataFrame:
        """Return a metric by (case, seed) and label; the one value of a deterministic method at every seed."""
        table = self.good.pivot_table(index=["case", "seed"], columns="label", values=metric)
        for label in self.deterministic & set(table.columns):
            table[label] = table[label].fillna(table[label].groupby(level="case").transform("mean"))
        return table

    def significant(self, first: str, second: str, metric: str, decimals: int) -> Difference | None:
        """Return first - second if it is significant and at least half of the last shown decimal; else None."""
        change = self.difference(first, second, metric)
        return change if change is not None and change.excludes_zero and abs(change.mean) >= 0.5 * 10.0**-decimals else None

    def ranks(self, metric: str, decimals: int = 2) -> dict[str, str]:
        """Return '1', '2-3' or '' by label; all '' with one seed."""
        ranges = rank_ranges(self.repeated, lambda a, b: self.significant(a, b, metric, decimals))
        return {label: _text(ranges.get(label)) for label in self.labels}

    def competitors(self, metric: str) -> list[str]:
        """Return the labels compared by a metric, the highest mean first."""
        known = self.good.dropna(subset=[metric])
        means = known.groupby("label")[metric].mean().sort_values(ascending=False)
        repeated = [label for label in means.index if label in self.repeated]
        if len(repeated) > 1:
            return repeated
        runs = {label: self._runs(label, part) for label, part in known.groupby("label")}
        counts = Counter(runs.values())
        most = max(counts, key=lambda shared: (len(shared), counts[shared]), default=None)
        return [label for label in means.index if runs[label] == most]

    def _runs(self, label: Hashable, part: pd.DataFrame) -> frozenset[tuple[str, int]]:
        """Return the cases and seeds of a method; of a deterministic one all seeds of its cases."""
        seeds = self.good[self.good["case"].isin(set(part["case"]))] if label in self.deterministic else part
        return frozenset(zip(seeds["case"], seeds["seed"], strict=True))

    def leaders(self, metric: str, decimals: int = 2, better: int = 1) -> list[str]:
        """Return the labels set in bold in the column of a metric; `better` is -1 if lower numbers are the better ones."""
        names = self.competitors(metric)
        if len(names) < 2:
            return []
        if set(names) <= set(self.repeated):
            return [name for name in names[::better] if not self._beaten(name, names[::better], metric, decimals, better)]
        means = self.good.groupby("label")[metric].mean()
        numbers = {name: better * float(shown(means[name], decimals)) for name in names}
        return [name for name in names if numbers[name] == max(numbers.values())]

    def _beaten(self, name: str, names: list[str], metric: str, decimals: int, better: int) -> bool:
        gaps = (self.significant(other, name, metric, decimals) for other in names if other != name)  # the likely ones first
        return any(gap is not None and better * gap.mean > 0 for gap in gaps)


def _text(places: tuple[int, int] | None) -> str:
    if places is None:
        return ""
    return str(places[0]) if places[0] == places[1] else f"{places[0]}-{places[1]}"


def ranked(summary: pd.DataFrame, table: pd.DataFrame, columns: Sequence[Column]) -> pd.DataFrame:
    """Put a summary in order and add `rank`, `competes` (by the column that orders) and, for each of `columns` by which a method can be
    better, `*_leads`.

    `table` is the frame of all runs, with `label`; the summary has one row per GROUP, `views` and `method`.
    """
    ranks: dict[Hashable, str] = {}
    competitors: set[Hashable] = set()
    leaders: set[Hashable] = set()
    columns = [column for column in columns if column.better]
    for key, runs in table[(table["status"] == "ok") & (table["pretrained"] == "")].groupby([*GROUP, "views"], dropna=False):
        ranking = Ranking(runs)
        first = next((name for name in ORDERED_BY if runs[name].notna().any()), ORDERED_BY[-1])
        ranks.update({(*key, label): rank for label, rank in ranking.ranks(first, DECIMALS[first]).items()})
        competitors.update((*key, label) for label in ranking.competitors(first))
        for column in columns:
            leaders.update((*key, label, column.name) for label in ranking.leaders(column.name, column.decimals, column.better))
    rows = list(summary[[*GROUP, "views", "method"]].itertuples(index=False, name=None))
    leads = {f"{column.name}_leads": [(*row, column.name) in leaders for row in rows] for column in columns}
    known = summary.assign(rank=[ranks.get(row, "") for row in rows], competes=[row in competitors for row in rows], **leads)
    return ordered(known, [*GROUP, "views"])


def ordered(summary: pd.DataFrame, within: list[str]) -> pd.DataFrame:
    """Return the rows of a summary in the order of the rule, within each value of the columns `within`."""
    keyed = summary.assign(last=summary["pretrained"] != "")
    keys = [*within, "last", *ORDERED_BY, "method"]
    rising = [name not in ORDERED_BY for name in keys]
    return keyed.sort_values(keys, ascending=rising, kind="stable").drop(columns="last").reset_index(drop=True)


def method_order(part: pd.DataFrame) -> list[str]:
    """Return the methods of a summary's section in the order of the rule, by their means over the numbers of views."""
    means = part.groupby("method", as_index=False).agg({"pretrained": "first", **dict.fromkeys(ORDERED_BY, "mean")})
    return ordered(means, [])["method"].tolist()


def leads(row: pd.Series, column: Column) -> bool:
    """Return True if a number of a summary is set in bold."""
    return bool(row.get(f"{column.name}_leads", False))
