"""Statistics of several runs: means with intervals, paired differences between methods, and ranks by significant differences.

Within one case seeds are the random part: one seed is one number, without interval, significant difference or rank. Over several cases
the cases are the random part, with their seeds inside (`mean_over_cases`).
Values in and out are plain numbers and frozen dataclasses; nothing here knows records, tables or files.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np

K = TypeVar("K", bound=Hashable)
LEVEL = 0.95
RESAMPLES = 10_000
SEED = 20_250_101  # of the bootstrap: the same numbers give the same interval


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean and its 95% interval [low, high]; both None for a single value. `count` is the number of values behind it."""

    mean: float
    low: float | None
    high: float | None
    count: int

    @property
    def half(self) -> float | None:
        """Half-width of the interval."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2

    @property
    def excludes_zero(self) -> bool:
        """True if a difference is statistically significant at this level."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclasses.dataclass(frozen=True)
class Difference(Interval):
    """The mean of paired differences over `cases` cases and their seeds; `count` is the number of pairs."""

    cases: int = 1

    def __neg__(self) -> Difference:
        """Return the difference with its sign reversed."""
        low, high = (None if bound is None else -bound for bound in (self.high, self.low))
        return dataclasses.replace(self, mean=-self.mean, low=low, high=high)

    @property
    def verdict(self) -> str:
        """Verdict: 'higher', 'lower', 'no difference seen' or, for a single pair, 'one pair'."""
        if self.low is None or self.high is None:
            return "one pair"
        return "higher" if self.low > 0 else "lower" if self.high < 0 else "no difference seen"


def mean_interval(values: Sequence[float]) -> Interval | None:
    """Return the mean over seeds with Student's t interval; None without values.

    The interval is that of independent, roughly normal values: mean +- t(n - 1) s / sqrt(n).
    """
    numbers = np.asarray(values, dtype=np.float64)
    if not len(numbers):
        return None
    mean = float(numbers.mean())
    if len(numbers) == 1:
        return Interval(mean, None, None, 1)
    half = _half_width(numbers)
    return Interval(mean, mean - half, mean + half, len(numbers))


def paired_difference(differences: Mapping[K, Sequence[float]]) -> Difference | None:
    """Return the mean difference over cases, each with one difference per seed; None without any.

    Every case counts the same. The interval is the wider of two: a bootstrap that draws cases, then seeds within each (Davison and
    Hinkley, Bootstrap Methods and their Application, 1997, doi 10.1017/CBO9780511802843, section 3.8), and Student's t over the seeds
    within the cases (over the cases, if each has one seed). The bootstrap alone is too narrow for a handful of seeds
    (Hesterberg, The American Statistician 69 (2015) 371-386, doi 10.1080/00031305.2015.1089789).
    """
    groups = _groups(differences)
    return _wider_interval(groups, _half_width_over_seeds) if sum(map(len, groups)) > 1 else _without_interval(groups)


def _half_width_over_seeds(groups: Sequence[np.ndarray]) -> float:
    repeated = [group for group in groups if len(group) > 1]
    if not repeated:
        return _half_width_over_cases(groups)
    freedom = sum(len(group) - 1 for group in repeated)
    pooled = sum(float(((group - group.mean()) ** 2).sum()) for group in repeated) / freedom  # also for cases of a single seed
    return _t_quantile(freedom) * math.sqrt(sum(pooled / len(group) for group in groups)) / len(groups)


def mean_over_cases(values: Mapping[K, Sequence[float]]) -> Difference | None:
    """Return the mean over cases of the mean over seeds, with its 95% interval over cases like these; None without any.

    `values` are a score, or paired differences of one, by case and seed; every case counts the same, whatever its seeds. The interval is
    the wider of the bootstrap of `paired_difference` and Student's t over the means of the cases, which holds what seeds add. A single
    case has no interval.
    """
    groups = _groups(values)
    return _wider_interval(groups, _half_width_over_cases) if len(groups) > 1 else _without_interval(groups)


def _half_width_over_cases(groups: Sequence[np.ndarray]) -> float:
    return _half_width([group.mean() for group in groups])


def _groups(values: Mapping[K, Sequence[float]]) -> list[np.ndarray]:
    return [np.asarray(group, dtype=np.float64) for group in values.values() if len(group)]


def _wider_interval(groups: Sequence[np.ndarray], half_width: Callable[[Sequence[np.ndarray]], float]) -> Difference:
    """Return the mean over cases with the wider of the bootstrap's interval and mean +- `half_width(groups)`."""
    mean, half = _mean(groups), half_width(groups)
    low, high = np.quantile(_bootstrap_means(groups), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Difference(mean, min(mean - half, float(low)), max(mean + half, float(high)), sum(map(len, groups)), len(groups))


def _without_interval(groups: Sequence[np.ndarray]) -> Difference | None:
    return Difference(_mean(groups), None, None, len(groups[0]), 1) if groups else None


def _mean(groups: Sequence[np.ndarray]) -> float:
    return float(np.mean([group.mean() for group in groups]))


def _half_width(numbers: Sequence[float] | np.ndarray) -> float:
    """Return the half-width of Student's t interval of independent values, at least two."""
    return _t_quantile(len(numbers) - 1) * float(np.std(numbers, ddof=1)) / math.sqrt(len(numbers))


def _bootstrap_means(groups: Sequence[np.ndarray]) -> np.ndarray:
    """Return means over cases of means over seeds, both drawn with replacement, [RESAMPLES]."""
    return _bootstrap_weights(tuple(map(len, groups))) @ np.concatenate(groups)


@functools.lru_cache(maxsize=4)  # the pairs of one table share theirs
def _bootstrap_weights(sizes: tuple[int, ...]) -> np.ndarray:
    """Return the weight of each value in each draw, [RESAMPLES, value], for cases with these numbers of seeds.

    A case drawn m times has m independent draws of its k seeds: a multinomial of m k.
    """
    rng = np.random.default_rng(SEED)
    times = rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), RESAMPLES)
    parts = [rng.multinomial(times[:, case] * size, np.full(size, 1 / size)) / size for case, size in enumerate(sizes)]
    return np.concatenate(parts, axis=1) / len(sizes)


@functools.cache
def _t_quantile(freedom: int) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + LEVEL) / 2, freedom))


def rank_ranges(names: Sequence[str], difference: Callable[[str, str], Interval | None]) -> dict[str, tuple[int, int] | None]:
    """Return the ranks that each name can hold: (1, 1) is better than all others, (2, 3) shares two places with another.

    `difference(a, b)` is the interval of a - b, higher being better. A name that is not distinguishable from any other has
    no rank (None), nor has a name without any comparison.
    """
    found: dict[str, tuple[int, int] | None] = {}
    for name in names:
        intervals = [difference(name, other) for other in names if other != name]
        behind = sum(interval is not None and interval.excludes_zero and interval.mean < 0 for interval in intervals)
        ahead = sum(interval is not None and interval.excludes_zero and interval.mean > 0 for interval in intervals)
        found[name] = (1 + behind, len(names) - ahead) if behind or ahead else None
    return found
