"""Pairs of methods compared over cases by one metric, and corrected for the number of pairs."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np

from benchmark.report.case_scores import CaseScores
from benchmark.report.columns import COMPARED, DECIMALS
from benchmark.report.significance import ALPHA, compact_letters, holm, paired_t, signed_rank
from benchmark.report.statistics import Difference, mean_over_cases

BETTER = {column.name: column.better for column in COMPARED}  # 1: the higher number, -1: the lower
COLUMNS_OF_PAIRS = (
    "metric", "first", "second", "difference", "low", "high", "cases", "wins", "ties", "losses", "p", "p_holm", "p_wilcoxon", "significant",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two methods compared over cases by one metric."""

    metric: str
    first: str
    second: str
    change: Difference  # first - second
    counts: tuple[int, int, int]  # cases that the first wins, ties and loses, by the numbers as shown
    p: float | None  # paired Student's t over cases
    rank_p: float | None  # signed ranks
    holm_p: float | None = None

    @property
    def significant(self) -> bool:
        """True for a difference that is significant, and at least half of the last shown digit."""
        return self.holm_p is not None and self.holm_p < ALPHA and abs(self.change.mean) >= 0.5 * 10.0 ** -DECIMALS[self.metric]

    @property
    def worse(self) -> str:
        """The method with the worse mean."""
        return self.second if BETTER[self.metric] * self.change.mean > 0 else self.first

    def counts_of(self, name: str) -> tuple[int, int, int]:
        """Return wins, ties and losses of one of the two."""
        return self.counts if name == self.first else (self.counts[2], self.counts[1], self.counts[0])

    def row(self) -> dict[str, Any]:
        """Return the values of COLUMNS_OF_PAIRS."""
        change = self.change
        values = (self.metric, self.first, self.second, change.mean, change.low, change.high, change.cases, *self.counts)
        return dict(zip(COLUMNS_OF_PAIRS, (*values, self.p, self.holm_p, self.rank_p, self.significant), strict=True))


def all_pairs(scores: CaseScores, metric: str) -> list[Pair]:
    """Return every pair of ranked methods that have a metric in all its cases, corrected by Holm where a test is possible."""
    labels = [label for label in scores.ranked if scores.complete(label, metric) is not None]
    found = [_pair(scores, first, second, metric) for first, second in itertools.combinations(labels, 2)]
    chances = [pair.p for pair in found if pair.p is not None]
    if len(chances) < len(found):  # all or none: the pairs have the same cases
        return found
    return [dataclasses.replace(pair, holm_p=p) for pair, p in zip(found, holm(chances), strict=True)]


def letters(names: list[str], pairs: Iterable[Pair]) -> dict[str, str]:
    """Return compact letters by name; none where no test is possible."""
    pairs = list(pairs)
    different = {(pair.first, pair.second) for pair in pairs if pair.significant}
    tested = any(pair.holm_p is not None for pair in pairs)
    return compact_letters(names, lambda first, second: (first, second) in different) if tested else {}


def _pair(scores: CaseScores, first: str, second: str, metric: str) -> Pair:
    changes = {case: _changes(scores, first, second, metric, case) for case in scores.applies[metric]}
    change = mean_over_cases(changes)
    assert change is not None  # a metric that ranked methods have applies to a case
    means = [round(float(np.mean(values)), 9) for values in changes.values()]  # equal sizes stay equal
    a, b = (np.round(scores.means(label, metric), DECIMALS[metric]) for label in (first, second))
    gains = BETTER[metric] * (a - b)
    counts = (int((gains > 0).sum()), int((gains == 0).sum()), int((gains < 0).sum()))
    return Pair(metric, first, second, change, counts, paired_t(means), signed_rank(means))


def _changes(scores: CaseScores, first: str, second: str, metric: str, case: str) -> list[float]:
    """Return the differences of a case by seed; a single one, of the means, if the methods ran with different seeds."""
    a, b = scores.seeds(first, metric, case), scores.seeds(second, metric, case)
    if len(a) == 1 and first in scores.deterministic:
        a = dict.fromkeys(b, next(iter(a.values())))
    if len(b) == 1 and second in scores.deterministic:
        b = dict.fromkeys(a, next(iter(b.values())))
    if a.keys() == b.keys():
        return [a[seed] - b[seed] for seed in a]
    return [float(np.mean(list(a.values())) - np.mean(list(b.values())))]
