"""Significance of differences over cases: p-values, Holm's correction for many pairs, compact letters, mean ranks.

A difference is tested with the paired Student's t over the means of the cases; the tests by ranks stand beside it. Values in and out are
plain numbers; nothing here knows records, tables or files.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Iterable, Sequence

import numpy as np

LEAST_CASES = 3  # two cases have one degree of freedom: that they agree says hardly anything
ALPHA = 0.05


def paired_t(differences: Sequence[float]) -> float | None:
    """Return the two-sided p of a mean difference of zero over cases (Student's t, one difference a case); None below three cases.

    Cases are taken for independent draws, the differences for roughly normal.
    """
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < LEAST_CASES:
        return None
    mean, deviation = float(values.mean()), float(values.std(ddof=1))
    if deviation <= 1e-12 * abs(mean):  # all the same, but for rounding
        return 0.0 if mean else 1.0
    from scipy.stats import t

    return float(2 * t.sf(abs(mean) / deviation * math.sqrt(len(values)), len(values) - 1))


def signed_rank(differences: Sequence[float]) -> float | None:
    """Return the exact two-sided p of Wilcoxon's signed-rank test over cases, zeros left out; None below three cases.

    Exact also with ties: every choice of signs is as likely as any other (Wilcoxon, Biometrics Bulletin 1 (1945) 80-83,
    doi 10.2307/3001968).
    """
    if len(differences) < LEAST_CASES:
        return None
    from scipy.stats import rankdata

    values = np.asarray(differences, dtype=np.float64)
    values = values[values != 0]
    ranks = np.rint(2 * rankdata(abs(values))).astype(int)  # twice the rank: whole numbers also for ties
    chances = np.ones(1)  # of each sum of the positive ranks
    for rank in ranks:
        chances = (np.append(chances, np.zeros(rank)) + np.append(np.zeros(rank), chances)) / 2
    found = int(ranks[values > 0].sum())
    return float(min(1.0, 2 * min(chances[: found + 1].sum(), chances[found:].sum())))


def friedman(scores: np.ndarray) -> float | None:
    """Return the p of Friedman's test that all methods are alike, from scores [case, method]; None below three cases or methods.

    Ranks within each case, ties shared; chi squared with methods - 1 degrees of freedom (Friedman, J. Am. Stat. Assoc. 32 (1937) 675-701,
    doi 10.1080/01621459.1937.10503522).
    """
    cases, methods = scores.shape
    if cases < LEAST_CASES or methods < 3:
        return None
    from scipy.stats import chi2

    ranks = case_ranks(scores)
    spread = float(((ranks - (methods + 1) / 2) ** 2).sum()) / (cases * (methods - 1))
    if spread == 0:
        return 1.0
    statistic = cases * float(((ranks.mean(axis=0) - (methods + 1) / 2) ** 2).sum()) / spread
    return float(chi2.sf(statistic, methods - 1))


def case_ranks(scores: np.ndarray) -> np.ndarray:
    """Return the rank of each method within each case, [case, method]: 1 is the highest score; equal scores share a mean rank."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(-scores, axis=1), dtype=np.float64)


def holm(chances: Sequence[float]) -> list[float]:
    """Return p-values corrected for their number, in the same order (Holm, Scand. J. Statist. 6 (1979) 65-70, jstor 4615733).

    Of m values the smallest is multiplied by m, the next by m - 1, ...; none falls below one before it, nor rises above 1.
    """
    corrected, before = [0.0] * len(chances), 0.0
    for place, index in enumerate(np.argsort(chances, kind="stable")):
        before = max(before, min(1.0, (len(chances) - place) * chances[index]))
        corrected[index] = before
    return corrected


def compact_letters(names: Sequence[str], different: Callable[[str, str], bool]) -> dict[str, str]:
    """Return letters by name: two names share a letter exactly if they are not `different`. `a` begins with the first name.

    Insert and absorb (Piepho, J. Comput. Graph. Stat. 13 (2004) 456-466, doi 10.1198/1061860043515): each difference splits the groups that
    hold both names, and groups within others go.
    """
    groups = alike(names, different)
    marks = [*string.ascii_lowercase, *string.ascii_uppercase]
    marks += [f"({number})" for number in range(len(marks) + 1, len(groups) + 1)]
    return {name: "".join(mark for mark, group in zip(marks, groups, strict=False) if name in group) for name in names}


def alike(names: Sequence[str], different: Callable[[str, str], bool]) -> list[list[str]]:
    """Return the largest groups of names without a difference among them, those of the first names first."""
    groups: set[frozenset[str]] = {frozenset(names)} if names else set()
    for place, first in enumerate(names):
        for second in names[place + 1 :]:
            if different(first, second):
                split = {group - {one} for group in groups if {first, second} <= group for one in (first, second)}
                groups = _largest({group for group in groups if not {first, second} <= group} | split)
    places = {name: place for place, name in enumerate(names)}
    return sorted((sorted(group, key=places.__getitem__) for group in groups), key=lambda group: [places[name] for name in group])


def _largest(groups: Iterable[frozenset[str]]) -> set[frozenset[str]]:
    groups = set(groups)
    return {group for group in groups if not any(group < other for other in groups)}
