"""Leaderboard: every method over all cases of a results folder, one table for each number of views, size and noise. Numbers only.

Case: what was measured or made, once, however often it is looked at. Size, views, noise and settings split the leaderboard only if
some case has two values of them.
Ranked: methods with a finished run, and no failed one, of every case; the highest mean first, by volume PSNR (held-out PSNR where
not all cases have a truth). A method with a missing case has no mean; one that was fitted to other scans has no rank; both stand below.
Compared: by paired differences over cases. A seedless method (`deterministic`) counts for every seed of the others.
Tuning cases, on which methods were set, count in no ranking and have tables of their own.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmark.records.record import RunRecord
from benchmark.records.titles import case_names, case_settings, view_count
from benchmark.report.board import Board
from benchmark.report.columns import COLUMNS, RANKED
from benchmark.report.ranking import ORDERED_BY
from benchmark.report.significance import ALPHA, case_ranks, compact_letters, friedman, holm, paired_t, signed_rank
from benchmark.report.statistics import mean_over_cases
from benchmark.report.summary import budget_words, labelled

if TYPE_CHECKING:
    from benchmark.records.store import Results

DECIMALS = {column.name: column.decimals for column in COLUMNS}
COSTS = ("seconds", "peak_memory_mb", "gpu_peak_memory_mb")
FACTORS = ("asked_size", "noise", "settings", "asked_views")  # in the order of the tables
PLACE = ("block", "views", "size", "noise", "settings")
SCORED = tuple(f"{name}{end}" for name in RANKED for end in ("", "_low", "_high", "_cases", "_leads"))
COLUMNS_OF_BOARD = (
    *PLACE, "method", "tags", "pretrained", "ranked", "cases", "planned", "missing", "seeds", "ordered_by", *SCORED,
    "mean_rank", "baseline", "wins", "ties", "losses", "letters", *COSTS, "friedman_p", "budget",
)  # fmt: skip
COLUMNS_OF_PAIRS = (
    *PLACE, "metric", "first", "second", "difference", "low", "high", "cases", "wins", "ties", "losses", "p", "p_holm", "p_wilcoxon",
    "significant",
)  # fmt: skip

Values = dict[str, dict[int, float]]  # by case and seed


def leaderboard(results: Results) -> pd.DataFrame:
    """Return one row per table and method, in order: the content of tables/leaderboard.csv.

    Place: `block` ('ranking', or 'tuning' for the cases that methods were set on), `views`, `size`, `noise`, `settings`, as texts.
    Method: `method` (label), `tags`, `pretrained`, `ranked`, `cases` (with a finished run of every seed that was begun) of `planned`,
    `missing` (which, and why), `seeds`, `budget`.
    Scores: `ordered_by`; of each of the four ranked metrics the mean over cases of the mean over seeds, its 95% interval `*_low`, `*_high`,
    the number of `*_cases` behind it and `*_leads` (bold). Empty for a method with a missing case.
    Comparison: `mean_rank` over cases (1 is best), `wins`, `ties` and `losses` in cases against `baseline`, `letters` (methods that share one do
    not differ significantly), `friedman_p` of the whole table.
    Cost: means of `seconds`, `peak_memory_mb` and `gpu_peak_memory_mb` over cases.
    """
    return _joined([board.rows for board in boards(results)], COLUMNS_OF_BOARD)


def pairs(results: Results) -> pd.DataFrame:
    """Return one row per table, metric and pair of ranked methods: the content of tables/pairs.csv.

    `difference` is the mean over cases of first - second with its 95% interval, `p` that of the paired Student's t over cases, `p_holm`
    the same corrected for all pairs of the table and metric, `p_wilcoxon` that of the exact signed-rank test; empty below three cases.
    `wins`, `ties` and `losses` count cases. A difference of less than half of the last shown digit is never `significant`.
    """
    return _joined([board.pairs for board in boards(results)], COLUMNS_OF_PAIRS)


def boards(results: Results) -> list[Board]:
    """Return every table of the leaderboard; none for a folder with a single case."""
    return boards_of(cased(results.records), results.suite.tuning, results.suite.baseline)


def cased(records: Iterable[RunRecord]) -> pd.DataFrame:
    """Return the labelled frame of runs with columns that tell cases apart: `of_case`, `settings`, `asked_size`, `asked_views`, `source`."""
    records = list(records)
    names = case_names(records)
    settings = case_settings(records, names)
    return (
        labelled(records)
        .assign(
            of_case=[names[record.run_id] for record in records],
            settings=[settings[record.run_id] for record in records],
            asked_size=[record.spec.dataset_params.get("size") or 0 for record in records],
            asked_views=[view_count(record.spec) or record.views for record in records],
            source=[record.spec.dataset for record in records],
        )
        .copy()
    )  # in one piece: quicker to cut


def boards_of(table: pd.DataFrame, tuning: Sequence[str] = (), baseline: str = "") -> list[Board]:
    """Return every table of the leaderboard of a frame from `cased`; none if it has a single case.

    `tuning` names datasets or cases that do not count, `baseline` the method (or label) that wins are counted against.
    """
    if table["of_case"].nunique() < 2:
        return []
    tuned = table[["source", "case", "of_case"]].isin(list(tuning)).any(axis=1)
    table = table.assign(**{f"level_{name}": _levels(table, name) for name in FACTORS})
    found = []
    for _, part in table.groupby([f"level_{name}" for name in FACTORS], sort=True):
        for block, runs in (("ranking", part[~tuned[part.index]]), ("tuning", part[tuned[part.index]])):
            if len(runs):
                found.append(_Table(runs, block, baseline).board())
    return found


def _levels(table: pd.DataFrame, name: str) -> pd.Series:
    """Return the table that each run belongs to by one factor: one for all, unless a case has two values of it.

    Then every value has a table; but values that only one case has, at most one each, share one: `all` views, or native sizes.
    """
    values = table.groupby("of_case")[name].agg(lambda column: frozenset(column))
    same = table[name] if name.startswith("asked") else table[name].astype(str)
    if values.map(len).max() < 2:
        return pd.Series("" if same.dtype == object else 0, index=table.index)
    if name.startswith("asked"):
        shared = frozenset.intersection(*values)
        own = values.map(lambda found: found - shared)
        if own.map(len).max() == 1 and own.map(len).sum() > 1:
            least = min(min(found) for found in own if found)
            return same.where(same.isin(shared), least)
    return same


@dataclasses.dataclass(frozen=True)
class _Pair:
    """Two methods compared over cases: first - second."""

    first: str
    second: str
    mean: float
    low: float | None
    high: float | None
    cases: int
    counts: tuple[int, int, int]  # wins, ties, losses of the first
    p: float | None
    rank_p: float | None
    holm_p: float | None = None


class _Table:
    """The numbers of one board, from its runs."""

    def __init__(self, runs: pd.DataFrame, block: str, baseline: str) -> None:
        self.runs, self.block, self.asked = runs, block, baseline
        good = runs[runs["status"] == "ok"]
        self.good = good if len(good) else runs  # a grid that was never made has no size
        own = good[good["pretrained"] == ""]
        self.parts: dict[str, pd.DataFrame] = {str(label): part for label, part in runs.groupby("label", sort=False)}
        self.labels = list(self.parts)
        self.fitted = {label: next(filter(None, part["pretrained"]), "") for label, part in self.parts.items()}
        self.seedless = {label for label, part in self.parts.items() if part["deterministic"].all()}
        known = set(own["of_case"]) if len(own) else set(good["of_case"])
        self.cases = sorted(known)
        self.unfinished = sorted(set(runs["of_case"]) - known)
        self.outcomes: dict[tuple[str, str], list[tuple[int, str]]] = {}  # (seed, status) by label and case
        for label, case, seed, status in zip(runs["label"], runs["of_case"], runs["seed"], runs["status"], strict=True):
            self.outcomes.setdefault((label, case), []).append((seed, status))
        self.values: dict[str, dict[str, Values]] = {name: _by_case(good, name) for name in RANKED}
        self.applies = {name: [case for case in self.cases if any(case in values for values in self._own(name))] for name in RANKED}
        self.metric = max(ORDERED_BY, key=lambda name: len(self.applies[name]))  # the first of those that the most cases have
        self.missing = {label: self._missing(label) for label in self.labels}
        self.ranked = sorted(
            (
                label
                for label in self.labels
                if not self.missing[label] and not self.fitted[label] and self._mean(label, self.metric) is not None
            ),
            key=lambda label: (-(self._mean(label, self.metric) or 0.0), label),
        )
        if block == "tuning":
            self.ranked = []
        self.pairs = {name: _corrected(self._pairs(name)) for name in RANKED}
        self.significant = {name: _significant(self.pairs[name], name) for name in RANKED}
        self.letters = self._letters()
        scores = self._scores()
        ranks = case_ranks(np.round(scores, DECIMALS[self.metric])).mean(axis=0) if self.ranked else []
        self.mean_ranks = dict(zip(self.ranked, map(float, ranks), strict=True))
        self.friedman_p = friedman(scores)

    def _own(self, metric: str) -> list[Values]:
        return [values for label, values in self.values[metric].items() if not self.fitted[label]]

    def _missing(self, label: str) -> dict[str, str]:
        """Return why a method lacks a case, by case."""
        found = {}
        for case in self.cases:
            outcomes = self.outcomes.get((label, case), [])
            bad = [status for _, status in outcomes if status != "ok"]
            if not outcomes:
                found[case] = "not run"
            elif bad:
                count = f"{len(bad)} of {len(outcomes)} seeds " if len(bad) < len(outcomes) else ""
                found[case] = count + "/".join(dict.fromkeys(bad))
            elif case in self.applies[self.metric] and len(self._seeds(label, case, self.metric)) < len(dict(outcomes)):
                found[case] = "no score"
        return found

    def _seeds(self, label: str, case: str, metric: str) -> dict[int, float]:
        return self.values[metric].get(label, {}).get(case, {})

    def _chosen(self, label: str, metric: str) -> dict[str, list[float]] | None:
        """Return the values of a metric by case; None if the method lacks one."""
        values = self.values[metric].get(label, {})
        cases = self.applies[metric]
        return (
            None
            if self.missing[label] or not cases or not set(cases) <= set(values)
            else {case: list(values[case].values()) for case in cases}
        )

    def _mean(self, label: str, metric: str) -> float | None:
        values = self._chosen(label, metric)
        return None if values is None else float(np.mean([np.mean(seeds) for seeds in values.values()]))

    def board(self) -> Board:
        """Return the board; without rows if there is nothing to compare over."""
        alone = self.block == "ranking" and len(self.cases) < 2
        place = {"block": self.block, "views": _span(self.good["views"]), "size": _span(self.good["size"])}
        place |= {name: _shared(self.good[name], name) for name in ("noise", "settings")}
        baseline, chosen = ("", "") if alone or self.block == "tuning" else self._baseline()
        rows, compared = [], []
        if not alone:
            compared = [place | row for name in RANKED for row in _pair_rows(name, self.pairs[name])]
            rows = [place | self._row(label, baseline) for label in self._order()]
        return Board(
            **place, cases=tuple(self.cases), unfinished=tuple(self.unfinished), ordered_by=self.metric, baseline=baseline, chosen=chosen,
            rows=_frame(rows, COLUMNS_OF_BOARD), pairs=_frame(compared, COLUMNS_OF_PAIRS),
        )  # fmt: skip

    def _order(self) -> list[str]:
        others = [label for label in self.labels if label not in self.ranked]
        key = lambda label: (bool(self.fitted[label]), len(self.missing[label]), -(self._mean(label, self.metric) or 0.0), label)  # noqa: E731
        return [*self.ranked, *sorted(others, key=key)]

    def _row(self, label: str, baseline: str) -> dict[str, Any]:
        part, ranked = self.parts[label], label in self.ranked
        seeds = [int(count) for count in part[part["status"] == "ok"].groupby("of_case")["seed"].nunique()]
        row: dict[str, Any] = {
            "method": label,
            "tags": next(filter(None, part["tags"]), ""),
            "pretrained": self.fitted[label],
            "ranked": ranked,
            "cases": len(self.cases) - len(self.missing[label]),
            "planned": len(self.cases),
            "missing": ", ".join(f"{case} ({why})" for case, why in self.missing[label].items()),
            "seeds": _span(pd.Series(seeds, dtype=float)),
            "ordered_by": self.metric,
            "baseline": baseline,
            "letters": self.letters.get(label, ""),
            "friedman_p": self.friedman_p,
            "budget": budget_words(part.iloc[0]),
            **self._costs(part, label),
        }
        for name in RANKED:
            row |= self._score(label, name)
        if ranked:
            row["mean_rank"] = self.mean_ranks[label]
            against = next((pair for pair in self.pairs[self.metric] if {pair.first, pair.second} == {label, baseline}), None)
            if against is not None:
                counts = against.counts if against.first == label else against.counts[::-1]
                row |= dict(zip(("wins", "ties", "losses"), counts, strict=True))
        return row

    def _score(self, label: str, metric: str) -> dict[str, Any]:
        values = self._chosen(label, metric)
        interval = None if values is None else mean_over_cases(values)
        if interval is None:
            return {metric: np.nan, f"{metric}_cases": 0, f"{metric}_leads": False}
        beaten = {pair.second if pair.mean > 0 else pair.first for pair in self.significant[metric]}
        counts = {f"{metric}_cases": interval.cases, f"{metric}_leads": bool(beaten) and label in self.ranked and label not in beaten}
        bounds = {f"{metric}_low": interval.low, f"{metric}_high": interval.high} if self.block == "ranking" else {}
        return {metric: interval.mean, **bounds, **counts}

    def _costs(self, part: pd.DataFrame, label: str) -> dict[str, float]:
        """Return means over cases of means over seeds; none for a method with a missing case."""
        cases = part[part["of_case"].isin(self.cases)].groupby("of_case")[list(COSTS)].mean()
        return {name: np.nan if self.missing[label] else cases[name].mean(skipna=False) for name in COSTS}

    # -- comparison ----------------------------------------------------------------------------------------------------------

    def _pairs(self, metric: str) -> list[_Pair]:
        """Return every pair of ranked methods that have a metric in all its cases, with differences by case."""
        labels = [label for label in self.ranked if self._chosen(label, metric) is not None]
        return [self._pair(first, second, metric) for first, second in itertools.combinations(labels, 2)]

    def _pair(self, first: str, second: str, metric: str) -> _Pair:
        changes = {case: self._changes(first, second, case, metric) for case in self.applies[metric]}
        interval = mean_over_cases(changes)
        assert interval is not None
        means = np.round([np.mean(values) for values in changes.values()], 9)  # equal sizes stay equal
        shown = [tuple(round(float(np.mean(list(self._seeds(label, case, metric).values()))), DECIMALS[metric]) for label in (first, second))
                 for case in changes]  # fmt: skip
        counts = (sum(a > b for a, b in shown), sum(a == b for a, b in shown), sum(a < b for a, b in shown))
        ends = (interval.mean, interval.low, interval.high, interval.cases)
        return _Pair(first, second, *ends, counts, paired_t(means), signed_rank(means))

    def _changes(self, first: str, second: str, case: str, metric: str) -> list[float]:
        """Return the differences of a case by seed; a single one, of the means, if the methods ran with different seeds."""
        a, b = self._seeds(first, case, metric), self._seeds(second, case, metric)
        if len(a) == 1 and first in self.seedless:
            return [next(iter(a.values())) - value for value in b.values()]
        if len(b) == 1 and second in self.seedless:
            return [value - next(iter(b.values())) for value in a.values()]
        if a.keys() == b.keys():
            return [a[seed] - b[seed] for seed in a]
        return [float(np.mean(list(a.values())) - np.mean(list(b.values())))]

    def _letters(self) -> dict[str, str]:
        """Return the letters by label; none where no test is possible."""
        if not any(pair.p is not None for pair in self.pairs[self.metric]):
            return {}
        different = {(pair.first, pair.second) for pair in self.significant[self.metric]}
        return compact_letters(self.ranked, lambda first, second: (first, second) in different)

    def _scores(self) -> np.ndarray:
        """Return the score that orders, [case, ranked method]."""
        means = [
            [float(np.mean(list(self._seeds(label, case, self.metric).values()))) for label in self.ranked]
            for case in self.applies[self.metric]
        ]
        return np.array(means).reshape(len(self.applies[self.metric]), len(self.ranked))

    def _baseline(self) -> tuple[str, str]:
        """Return the label that wins are counted against, and why it is that one; '' if there is none."""
        if self.asked:
            of_method = self.runs[(self.runs["method"] == self.asked) | (self.runs["label"] == self.asked)]
            labels = sorted(set(of_method["label"]), key=lambda label: (label != self.asked, label))
            if not labels:
                return "", f"The baseline {self.asked} did not run here: no wins are counted."
            chosen = next((label for label in labels if label in self.ranked), "")
            return chosen, "" if chosen else f"The baseline {self.asked} is not ranked: no wins are counted."
        work = self.good.assign(work=self.good["projections"] + self.good["backprojections"]).groupby("label")["work"].mean().dropna()
        classical = {label for label in self.ranked if "classical" in self._tags(label)}
        candidates = [label for label in self.ranked if label in work.index and (label in classical or not classical)]
        if len(self.ranked) < 2 or not candidates:
            return "", ""
        kind = "classical method" if classical else "method"
        chosen = min(candidates, key=lambda label: (round(float(work[label]), 6), label))
        return chosen, f"Baseline: {chosen}, by default the ranked {kind} that projects least."

    def _tags(self, label: str) -> list[str]:
        return next(filter(None, self.parts[label]["tags"]), "").split(", ")


def _by_case(good: pd.DataFrame, metric: str) -> dict[str, Values]:
    """Return the finite values of a metric by label, case and seed."""
    found: dict[str, Values] = {}
    known = good[np.isfinite(good[metric].astype(float))]
    for (label, case, seed), value in known.groupby(["label", "of_case", "seed"])[metric].mean().items():
        found.setdefault(label, {}).setdefault(case, {})[seed] = float(value)
    return found


def _corrected(found: list[_Pair]) -> list[_Pair]:
    """Return the pairs of one table and metric with Holm's correction; without any where no test is possible."""
    chances = [pair.p for pair in found if pair.p is not None]
    if len(chances) < len(found):  # all or none: the pairs have the same cases
        return found
    return [dataclasses.replace(pair, holm_p=p) for pair, p in zip(found, holm(chances), strict=True)]


def _significant(found: list[_Pair], metric: str) -> list[_Pair]:
    """Return the pairs that differ significantly, by at least half of the last shown digit."""
    least = 0.5 * 10.0 ** -DECIMALS[metric]
    return [pair for pair in found if pair.holm_p is not None and pair.holm_p < ALPHA and abs(pair.mean) >= least]


def _pair_rows(metric: str, found: list[_Pair]) -> list[dict[str, Any]]:
    significant = _significant(found, metric)
    return [
        {
            "metric": metric,
            **{name: getattr(pair, name) for name in ("first", "second", "low", "high", "cases", "p")},
            "difference": pair.mean,
            **dict(zip(("wins", "ties", "losses"), pair.counts, strict=True)),
            "p_holm": pair.holm_p,
            "p_wilcoxon": pair.rank_p,
            "significant": pair in significant,
        }
        for pair in found
    ]


def _span(values: pd.Series) -> str:
    """Return '10', or '10 to 75' for values that differ."""
    known = values.dropna()
    if known.empty:
        return ""
    low, high = int(known.min()), int(known.max())
    return str(low) if low == high else f"{low} to {high}"


def _shared(values: pd.Series, name: str) -> str:
    texts = sorted(set(values))
    return texts[0] if len(texts) == 1 else f"{name} differ{'s' * (name == 'noise')} between cases"


def _frame(rows: list[dict[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(columns))
    counts = {"cases", "planned", "wins", "ties", "losses", *(f"{name}_cases" for name in RANKED)}
    numbers = {*COSTS, "mean_rank", "friedman_p", "difference", "low", "high", "p", "p_holm", "p_wilcoxon"}
    numbers |= {f"{name}{end}" for name in RANKED for end in ("", "_low", "_high")}
    for name in columns:
        if name in counts or name in numbers:
            table[name] = pd.to_numeric(table[name]).astype("Int64" if name in counts else float)
    return table


def _joined(tables: list[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    full = [table for table in tables if len(table)]
    return pd.concat(full, ignore_index=True) if full else pd.DataFrame(columns=list(columns))
