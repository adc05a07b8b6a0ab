"""Which measured views train: evenly spaced over the arc, whatever the angles and their order; held-out ones apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.scan.views import evenly_spaced, heldout_views, training_views

TURN = 2 * np.pi


@settings(max_examples=100, deadline=None)
@given(total=st.integers(1, 400), data=st.data(), turns=st.sampled_from([1.0, 0.5, 2.0, -1.0]), start=st.floats(-9, 9))
def test_equal_steps_give_equal_steps(total, data, turns, start):
    count = data.draw(st.integers(1, total))
    angles = start + np.arange(total) * turns * TURN / total
    assert training_views(total, count, angles) == evenly_spaced(total, count)


@settings(max_examples=100, deadline=None)
@given(total=st.integers(2, 200), data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_irregular_views_in_any_order_spread_over_the_arc(total, data, seed):
    count = data.draw(st.integers(1, total))
    rng = np.random.default_rng(seed)
    angles = rng.uniform(0, TURN, total)
    chosen = training_views(total, count, angles)
    assert len(set(chosen)) == count and all(0 <= index < total for index in chosen)
    if 4 * count <= total:  # no gap between chosen views is wider than two steps and the gaps there are
        gaps = np.diff(np.sort(np.append(angles, angles.min() + TURN)))
        ordered = np.sort(angles[list(chosen)])
        assert np.diff(np.append(ordered, ordered[0] + TURN)).max() <= TURN / count + 2 * gaps.max() + 1e-9


def test_a_last_view_that_repeats_the_first_is_not_taken_for_a_step():
    angles = np.deg2rad(np.arange(0, 361, 1.0))
    assert training_views(361, 4, angles) == (0, 90, 180, 270)
    assert training_views(361, 361, angles) == tuple(range(361))


def test_a_denser_part_gets_no_more_views():
    angles = np.deg2rad(np.r_[np.arange(0, 90, 1.0), np.arange(90, 360, 10.0)])
    chosen = np.rad2deg(angles[list(training_views(len(angles), 12, angles))])
    np.testing.assert_allclose(np.diff(chosen), 30, atol=5)


def test_heldout_views_are_fixed_and_apart_for_irregular_angles():
    angles = np.sort(np.random.default_rng(3).uniform(0, TURN, 300))
    chosen = {heldout_views(300, training_views(300, count, angles), 20, 0, angles) for count in (10, 50, 100)}
    assert len(chosen) == 1
    training = training_views(300, 290, angles)
    heldout = heldout_views(300, training, 10, 5, angles)
    assert len(heldout) == 10 and not set(heldout) & set(training)


def test_one_view():
    assert training_views(1, 1, np.zeros(1)) == (0,)
    with pytest.raises(ValueError, match="1 .. 1 views"):
        training_views(1, 2, np.zeros(1))
