"""p-values, Holm's correction, letters and mean ranks: against scipy, published examples, and by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmark.report.significance import alike, case_ranks, compact_letters, friedman, holm, paired_t, signed_rank

NAMES = "abcdefg"


@pytest.mark.parametrize("count", [3, 5, 8, 20])
def test_p_values_are_those_of_scipy(count):
    rng = np.random.default_rng(count)
    first, second = rng.normal(1, 2, count), rng.normal(0, 1, count)
    assert paired_t(first - second) == pytest.approx(stats.ttest_rel(first, second).pvalue, rel=1e-10)
    exact = stats.wilcoxon(first, second, method="exact").pvalue
    assert signed_rank(first - second) == pytest.approx(exact, rel=1e-10)
    scores = rng.normal(size=(count, 4)) + np.arange(4)
    assert friedman(scores) == pytest.approx(stats.friedmanchisquare(*scores.T).pvalue, rel=1e-10)
    tied = np.round(scores)
    assert friedman(tied) == pytest.approx(stats.friedmanchisquare(*tied.T).pvalue, rel=1e-10)


def test_signed_ranks_by_hand():
    """Of the 8 choices of signs of the ranks 1, 2, 3 one is as far up as all positive, and one as far down."""
    assert signed_rank([1.0, 2.0, 3.0]) == 2 / 8
    assert signed_rank([-1.0, 2.0, 3.0]) == 4 / 8  # sums of positive ranks of 5 or more: 5 and 6
    assert signed_rank([1.0, 1.0, -1.0]) == 1.0  # ranks 2, 2, 2: four or more is 4 of 8
    assert signed_rank([0.0, 0.0, 0.0]) == 1.0 and signed_rank([0.0, 1.0, 2.0]) == 2 / 4  # zeros go


def test_two_cases_are_never_tested_and_equal_differences_are():
    assert paired_t([1.0, 1.0001]) is None and signed_rank([1.0, 2.0]) is None
    assert friedman(np.ones((2, 5))) is None and friedman(np.ones((5, 2))) is None and friedman(np.ones((5, 3))) == 1.0
    assert paired_t([0.0, 0.0, 0.0]) == 1.0 and paired_t([0.5, 0.5, 0.5]) == 0.0


def test_holm_by_hand():
    """Holm's steps for 0.01, 0.04, 0.03 and 0.005: 4 x 0.005, 3 x 0.01, 2 x 0.03, then no less than that."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0] and holm([0.02]) == [0.02] and holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(max_examples=50, deadline=None)
def test_holm_is_between_none_and_bonferroni_and_keeps_the_order(chances):
    corrected = holm(chances)
    assert all(p <= q <= min(1.0, len(chances) * p) + 1e-12 for p, q in zip(chances, corrected, strict=True))
    assert sorted(range(len(chances)), key=chances.__getitem__) == sorted(range(len(chances)), key=lambda i: (corrected[i], chances[i], i))


def letters(names: str, *pairs: str) -> dict[str, str]:
    different = {frozenset(pair) for pair in pairs}
    return compact_letters(list(names), lambda first, second: frozenset((first, second)) in different)


def test_letters_by_hand():
    assert letters("abc") == {"a": "a", "b": "a", "c": "a"}
    assert letters("abc", "ac") == {"a": "a", "b": "ab", "c": "b"}
    assert letters("abc", "ab", "ac", "bc") == {"a": "a", "b": "b", "c": "c"}
    # Piepho 2004 inserts a column for each of these and absorbs what lies in others: abc, bcd are left, then e alone
    assert letters("abcde", "ad", "ae", "be", "ce", "de") == {"a": "a", "b": "ab", "c": "ab", "d": "b", "e": "c"}
    # not a row: c differs from nobody, a from b only
    assert letters("abc", "ab") == {"a": "a", "b": "b", "c": "ab"}
    assert letters("") == {} and letters("a") == {"a": "a"}


@given(st.sets(st.sampled_from(list(itertools.combinations(NAMES, 2)))))
@settings(max_examples=100, deadline=None)
def test_methods_share_a_letter_exactly_if_they_do_not_differ(pairs):
    found = letters(NAMES, *map("".join, pairs))
    for first, second in itertools.combinations(NAMES, 2):
        assert bool(set(found[first]) & set(found[second])) == ((first, second) not in pairs)
    groups = [set(group) for group in alike(list(NAMES), lambda a, b: (a, b) in pairs or (b, a) in pairs)]
    assert not any(one < other for one, other in itertools.permutations(groups, 2))  # none is superfluous


def test_equal_scores_share_a_rank():
    assert case_ranks(np.array([[30.0, 31.0, 30.0, 29.0], [1.0, 1.0, 1.0, 1.0]])).tolist() == [[2.5, 1.0, 2.5, 4.0], [2.5] * 4]
