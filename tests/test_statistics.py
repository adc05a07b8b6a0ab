"""Intervals, paired differences and ranks: hand-computed values, coverage, and what one seed may never claim."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.report.ranking import Ranking
from benchmark.report.statistics import Interval, mean_interval, paired_difference, rank_ranges
from benchmark.report.summary import seed_interval

numbers = st.lists(st.floats(-100, 100, allow_nan=False), min_size=2, max_size=6)


def test_mean_and_t_interval_by_hand():
    interval = mean_interval([30.0, 31.0, 32.0])
    assert interval.mean == 31.0 and interval.count == 3
    assert interval.half == pytest.approx(4.302653 * 1.0 / np.sqrt(3), rel=1e-6)  # t(2) at 97.5% is 4.302653, s = 1


def test_one_value_has_no_interval_and_none_has_no_mean():
    one = mean_interval([30.0])
    assert (one.mean, one.low, one.high, one.half, one.count) == (30.0, None, None, None, 1)
    assert not one.excludes_zero
    assert mean_interval([]) is None and paired_difference({}) is None and paired_difference({"a": []}) is None


def test_one_pair_is_never_a_real_difference():
    change = paired_difference({"chest": [5.0]})
    assert change.mean == 5.0 and not change.excludes_zero and change.verdict == "one pair"


def test_two_seeds_are_hardly_enough_and_many_are():
    assert paired_difference({"chest": [0.5, 1.5]}).verdict == "no difference seen"  # t(1) = 12.7
    assert paired_difference({"chest": [0.9, 1.0, 1.1, 1.0, 0.95]}).verdict == "higher"
    assert paired_difference({"chest": [-0.9, -1.0, -1.1, -1.0, -0.95]}).verdict == "lower"


def test_methods_without_randomness_differ_exactly():
    change = paired_difference({"chest": [0.25, 0.25, 0.25]})
    assert (change.low, change.mean, change.high) == (0.25, 0.25, 0.25) and change.verdict == "higher"
    assert paired_difference({"chest": [0.0, 0.0]}).verdict == "no difference seen"


def test_cases_that_disagree_are_no_general_difference():
    seeds = np.random.default_rng(0).normal(0, 0.01, (4, 5))
    agreeing = {f"case {i}": (1 + seeds[i]).tolist() for i in range(4)}
    torn = {f"case {i}": ((-1) ** i + 0.2 + seeds[i]).tolist() for i in range(4)}
    assert paired_difference(agreeing).verdict == "higher"
    assert paired_difference(torn).verdict == "no difference seen"
    assert (paired_difference(torn).cases, paired_difference(torn).count) == (4, 20)


def test_every_case_counts_the_same_however_many_seeds_it_has():
    assert paired_difference({"a": [1.0] * 9, "b": [3.0]}).mean == 2.0


@given(st.dictionaries(st.integers(0, 3), numbers, min_size=1))
@settings(max_examples=25, deadline=None)
def test_laws_of_paired_differences(groups):
    change = paired_difference(groups)
    assert change.low <= change.mean + 1e-9 and change.mean <= change.high + 1e-9
    again = paired_difference(groups)
    assert again == change  # the bootstrap is seeded
    mirrored = paired_difference({case: [-value for value in values] for case, values in groups.items()})
    assert (mirrored.low, mirrored.high) == pytest.approx((-change.high, -change.low), abs=1.0 + 0.1 * abs(change.high - change.low))


def test_a_true_difference_of_zero_is_called_real_in_about_five_percent():
    rng = np.random.default_rng(1)
    wrong = sum(paired_difference({"a": rng.normal(size=4).tolist()}).excludes_zero for _ in range(300))
    assert wrong <= 0.09 * 300


def test_ranks_only_where_separable():
    means = {"a": 3.0, "b": 2.0, "c": 1.95, "d": 0.0}

    def difference(first, second):
        change = means[first] - means[second]
        return Interval(change, change - 0.5, change + 0.5, 3)

    assert rank_ranges(list(means), difference) == {"a": (1, 1), "b": (2, 3), "c": (2, 3), "d": (4, 4)}
    single = lambda first, second: Interval(means[first] - means[second], None, None, 1)  # noqa: E731
    assert set(rank_ranges(list(means), single).values()) == {None}


def runs(scores: dict[str, dict[int, float]], case: str = "chest") -> pd.DataFrame:
    return pd.DataFrame(
        [{"label": label, "case": case, "seed": seed, "psnr": value} for label, seeds in scores.items() for seed, value in seeds.items()]
    )


def test_pairs_take_away_what_a_seed_does_to_all():
    """Seeds that are hard for everybody (another noise, say) hide nothing: the differences are what counts."""
    hard = {0: 0.0, 1: -5.0, 2: 4.0, 3: 1.0}
    ranking = Ranking(runs({"a": {s: 31 + h for s, h in hard.items()}, "b": {s: 30.5 + 0.9999 * h for s, h in hard.items()}}))
    assert ranking.ranks("psnr") == {"a": "1", "b": "2"} and ranking.leaders("psnr") == ["a"]


def test_only_common_seeds_are_paired_and_one_seed_has_no_rank():
    ranking = Ranking(runs({"a": {0: 31.0, 1: 32.0}, "b": {1: 30.0, 2: 10.0}}))
    assert ranking.difference("a", "b", "psnr").mean == 2.0 and ranking.difference("a", "b", "psnr").count == 1
    assert ranking.difference("a", "nobody", "psnr") is None
    alone = Ranking(runs({"a": {0: 31.0}, "b": {0: 30.0}}))
    assert alone.ranks("psnr") == {"a": "", "b": ""} and alone.leaders("psnr") == ["a"]


def test_what_has_one_seed_neither_leads_nor_blurs_the_ranks():
    """An imported volume, or a method that was run once, cannot be compared with what has three seeds."""
    several = {"a": {0: 31.0, 1: 31.2, 2: 31.1}, "b": {0: 30.0, 1: 30.1, 2: 30.2}}
    for once in ({0: 12.0}, {0: 99.0}, {7: 12.0}):
        ranking = Ranking(runs({**several, "once": once}))
        assert ranking.ranks("psnr") == {"a": "1", "b": "2", "once": ""} and ranking.leaders("psnr") == ["a"]
    assert Ranking(runs({"a": several["a"], "once": {0: 99.0}})).leaders("psnr") == []
    apart = Ranking(runs({"a": several["a"], "b": {0: 31.1, 1: 31.1, 2: 31.1}, "c": {5: 40.0, 6: 41.0}}))
    assert sorted(apart.leaders("psnr")) == ["a", "b", "c"]  # no pairs with the others: not distinguishable from them


def test_what_leads_is_better_by_pairs_and_not_by_means_over_other_cases():
    scatter = {seed: 0.01 * seed for seed in range(5)}
    easy = {"a": {s: 30 + x for s, x in scatter.items()}, "b": {s: 31 - x for s, x in scatter.items()}}
    table = pd.concat([runs(easy), runs({"b": {s: 20 + x for s, x in scatter.items()}}, "hard")])
    ranking = Ranking(table)
    assert ranking.ranks("psnr") == {"a": "2", "b": "1"} and ranking.leaders("psnr") == ["b"]


def test_less_than_is_shown_is_no_difference():
    """Methods without randomness differ exactly, which is not to say noticeably."""
    for gap, ranks, ahead in ((1e-6, ["", ""], ["a", "b"]), (0.0049, ["", ""], ["a", "b"]), (0.0051, ["1", "2"], ["a"])):
        ranking = Ranking(runs({"a": dict.fromkeys(range(3), 30.0 + gap), "b": dict.fromkeys(range(3), 30.0)}))
        assert list(ranking.ranks("psnr").values()) == ranks and ranking.leaders("psnr") == ahead
    assert ranking.leaders("psnr", 1) == ["a", "b"] and ranking.ranks("psnr", 1) == {"a": "", "b": ""}


def test_nobody_leads_where_each_is_beaten_by_another():
    cases = {"x": ("a", "b"), "y": ("b", "c"), "z": ("c", "a")}  # better, worse; the third does not have the case
    high, low = dict.fromkeys(range(3), 31.0), dict.fromkeys(range(3), 30.0)
    table = pd.concat([runs({better: high, worse: low}, case) for case, (better, worse) in cases.items()])
    assert Ranking(table).leaders("psnr") == []


def test_with_one_seed_the_numbers_decide_among_those_with_the_same_runs():
    one = pd.concat([runs({"a": {0: 30.0}, "b": {0: 31.0}, "c": {0: 29.0}}), runs({"b": {0: 20.0}, "c": {0: 21.0}}, "hard")])
    assert Ranking(one).competitors("psnr") == ["b", "c"] and Ranking(one).leaders("psnr") == ["b"]
    alike = {"a": {0: 30.0}, "b": {0: 31.0}}
    assert Ranking(runs(alike)).competitors("psnr") == ["b", "a"] and Ranking(runs(alike)).leaders("psnr") == ["b"]
    assert Ranking(runs({**alike, "c": {1: 40.0}})).competitors("psnr") == ["b", "a"]
    assert Ranking(runs({"a": {0: 30.0}})).leaders("psnr") == []  # nobody to be better than


def test_the_interval_is_over_seeds_that_have_every_case():
    table = pd.concat([runs({"a": {0: 30.0, 1: 32.0, 2: 99.0}}), runs({"a": {0: 20.0, 1: 22.0}}, "abdomen")])
    interval = seed_interval(table, "psnr")
    assert (interval.mean, interval.count) == (26.0, 2)
