"""Which measured views train: evenly spaced over the arc, whatever the angles and their order; held-out ones apart."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from balls import scanner
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.acquisition.measured import Measured, MeasuredParams, choose_views, measured_case
from benchmark.api import ConeBeamGeometry, parallel_distances
from benchmark.scan.directions import directions
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


# -- directions ----------------------------------------------------------------------------------------------------------------------


def chosen(geometry, views, seed=0, **changes):
    """Directions [deg] of training and held-out views."""
    scan = Measured("scan", geometry, lambda index: np.zeros(geometry.detector_shape, np.float32), **changes)
    train, held = scan.choose(MeasuredParams(views=views, heldout=8, data_seed=seed, size=8))
    return train, held


def near(geometry, train, held, turn=360.0):
    """Smallest angle [deg] between a training and a held-out direction."""
    degrees = np.rad2deg(geometry.angles)
    apart = np.mod(degrees[list(train)][:, None] - degrees[list(held)][None], turn)
    return float(np.minimum(apart, turn - apart).min())


ORBITS = {
    "both ends": np.linspace(0, 360, 61),
    "both ends, other way": np.linspace(360, 0, 121),
    "two turns": np.arange(120) * 6.0,
    "two turns, rounded": np.round(np.linspace(0, 720, 101), 1),
    "FIPS": np.linspace(0, 720, 75).astype(int).astype(float),
    "negative": np.linspace(-180, 180, 73),
}


@pytest.mark.parametrize("name", ORBITS)
@pytest.mark.parametrize("views", [10, 25])
def test_no_held_out_view_repeats_a_direction_that_trains(name, views):
    geometry = scanner(angles=np.deg2rad(ORBITS[name]))
    for seed in range(4):
        train, held = chosen(geometry, views, seed)
        assert len(held) == 8 and near(geometry, train, held) > 0.5
        assert len(set(directions(geometry)[list(train)])) == views  # nor does a training view repeat another


def test_all_views_of_two_turns_leave_none_to_hold_out():
    geometry = scanner(angles=np.deg2rad(np.arange(40) * 18.0))
    assert chosen(geometry, 20)[1] == () and len(chosen(geometry, 40)[0]) == 40


@pytest.mark.parametrize(("views", "left"), [(105, 14), (119, 0), (90, 24)])
def test_nearly_all_views_of_two_turns_leave_whole_directions_to_hold_out(views, left):
    geometry = scanner(angles=np.deg2rad(np.arange(120) * 6.0))
    train, held = choose_views(MeasuredParams(views=views, heldout=24), 120, geometry)
    assert len(train) == views and len(held) == left
    assert not set(directions(geometry)[list(train)]) & set(directions(geometry)[list(held)])


def test_a_parallel_beam_sees_the_same_from_the_other_side():
    distances = parallel_distances((8, 8), (30.0, 30.0))
    beam = dict(source_to_origin=distances[0], source_to_detector=distances[1], detector_shape=(8, 8), detector_pitch=(30.0, 30.0))
    geometry = scanner(angles=np.deg2rad(np.arange(60) * 6.0), **beam)
    train, held = chosen(geometry, 10)
    assert near(geometry, train, held, 180) > 1
    np.testing.assert_allclose(np.rad2deg(geometry.angles[list(train)]), np.arange(10) * 18)
    assert len(set(directions(scanner(angles=geometry.angles)))) == 60  # a cone beam does not


def test_turns_of_a_helix_are_no_repetition():
    angles = np.arange(60) * np.deg2rad(12)
    geometry = scanner(angles=angles, source_height=np.linspace(-30, 30, 60))
    assert len(set(directions(geometry))) == 60
    table = dict(detector_shape=geometry.detector_shape, volume_shape=geometry.volume_shape, volume_spacing=geometry.volume_spacing)
    assert len(set(directions(ConeBeamGeometry.from_vectors(geometry.vectors(), **table)))) == 60
    flat = scanner(angles=angles, axis_shift=np.random.default_rng(0).normal(0, 0.01, 60))  # calibrated, all but equal
    assert len(set(directions(flat))) == 30
    assert len(set(directions(ConeBeamGeometry.from_vectors(flat.vectors(), **table)))) == 30


def test_the_owners_held_out_views_that_repeat_a_training_direction_are_left_out_and_named():
    geometry = scanner(angles=np.deg2rad(np.linspace(0, 360, 61)), size=8)
    scan = Measured("scan", geometry, lambda index: np.zeros(geometry.detector_shape, np.float32), heldout=(7, 22, 37, 60))
    case = measured_case(scan, MeasuredParams(views=10, size=8))
    assert case.training_views[0] == 0 and case.heldout_views == (7, 22, 37)
    assert case.notes == ("1 of 4 held-out views repeat the direction of a training view (60): left out of the scores.",)
    published = measured_case(dataclasses.replace(scan, protocol=True), MeasuredParams(views=10, size=8))
    assert published.heldout_views == (7, 22, 37, 60) and "they stay, as published" in published.notes[0]


def test_held_out_views_of_two_turns_are_shared_by_all_numbers_of_training_views():
    geometry = scanner(angles=np.deg2rad(np.arange(480) * 1.5))
    assert len({chosen(geometry, views)[1] for views in (10, 50, 100)}) == 1
