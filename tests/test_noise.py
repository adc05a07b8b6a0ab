"""Noise: right mean and spread, seeded, and finite at any dose."""

from __future__ import annotations

import dataclasses

import balls
import numpy as np
import pytest
from balls import ball_scan
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.acquisition.measured import Measured, MeasuredParams, measured_case
from benchmark.acquisition.noise import FLOOR, add_noise
from benchmark.errors import InputError
from benchmark.scan.noise_level import noise_level, scan_noise


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@settings(max_examples=200, deadline=None)
@given(
    photons=st.floats(1e-6, 1e12),
    electronic=st.floats(0, 1e6),
    low=st.floats(-5, 800),
    span=st.floats(0, 1000),
    seed=st.integers(0, 2**32 - 1),
)
def test_never_nan_or_infinite(photons, electronic, low, span, seed):
    projections = np.linspace(low, low + span, 30, dtype=np.float32).reshape(2, 3, 5)
    noisy = add_noise(projections, photons, electronic, rng(seed))
    assert noisy.shape == projections.shape and noisy.dtype == np.float32
    assert np.isfinite(noisy).all()
    assert noisy.max() <= np.float32(np.log(photons / FLOOR)) + 1e-4


@pytest.mark.parametrize(("p", "photons", "electronic"), [(0.5, 1e5, 0.0), (2.0, 1e5, 0.0), (3.0, 1e5, 60.0), (0.0, 1e4, 50.0)])
def test_mean_and_spread(p, photons, electronic):
    """var(p) = (N + sigma^2) / N^2 to first order, with N the expected count."""
    noisy = add_noise(np.full(200_000, p), photons, electronic, rng(3)).astype(np.float64)
    count = photons * np.exp(-p)
    spread = np.sqrt(count + electronic**2) / count
    assert noisy.mean() == pytest.approx(p + spread**2 / 2, abs=5 * spread / np.sqrt(noisy.size))  # the second-order bias of -log
    assert noisy.std() == pytest.approx(spread, rel=0.02)


def test_noise_falls_with_the_dose():
    spreads = [add_noise(np.full(20_000, 1.0), photons, 0.0, rng()).std() for photons in (1e3, 1e5, 1e7)]
    np.testing.assert_allclose(np.array(spreads[:-1]) / spreads[1:], 10, rtol=0.05)


def test_seeded_and_nothing_is_drawn_elsewhere():
    p = np.full((3, 4, 5), 1.0, dtype=np.float32)
    np.testing.assert_array_equal(add_noise(p, 1e3, 5.0, rng(1)), add_noise(p, 1e3, 5.0, rng(1)))
    assert not np.array_equal(add_noise(p, 1e3, 5.0, rng(1)), add_noise(p, 1e3, 5.0, rng(2)))
    assert (p == 1).all()


def test_dead_pixels_count_half_a_photon():
    noisy = add_noise(np.full(10, 500.0), 1e4, 0.0, rng())
    np.testing.assert_allclose(noisy, np.log(2e4), rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((0.0, 1.0), "photons"),
        ((np.inf, 1.0), "photons"),
        ((1e19, 0.0), "photons"),
        ((1e3, -1.0), "electronic"),
        ((1e3, np.nan), "electronic"),
    ],
)
def test_impossible_beams_are_refused(arguments, name):
    with pytest.raises(InputError, match=f"^{name}: expected"):
        add_noise(np.zeros(3), *arguments, rng())


# -- how noisy views are, from the views alone ----------------------------------------------------------------------------


def ball_views(views=4, pixels=64):
    """Line integrals of a ball that fills most of the view: smooth inside, with an edge."""
    axis = np.linspace(-1, 1, pixels)
    chord = 4 * np.sqrt(np.maximum(0.64 - axis[:, None] ** 2 - axis**2, 0))
    return np.repeat(chord[None], views, 0).astype(np.float32)


@pytest.mark.parametrize("sigma", [0.01, 0.1])
def test_the_level_is_the_standard_deviation_of_even_noise(sigma):
    noisy = ball_views() + sigma * rng().standard_normal((4, 64, 64))
    assert noise_level(noisy) == pytest.approx(sigma, rel=0.15)
    assert noise_level(3 * noisy) == pytest.approx(3 * noise_level(noisy))
    assert noise_level(noisy + 5) == pytest.approx(noise_level(noisy), rel=1e-6)


def test_views_without_noise_have_hardly_any():
    assert noise_level(ball_views()) < 0.002  # of 3.2


def test_the_level_follows_the_dose():
    clean = ball_views()
    levels = [noise_level(add_noise(clean, photons, 0.0, rng())) for photons in (1e3, 1e4, 1e5)]
    assert levels[0] > 2.5 * levels[1] > 6 * levels[2] > 0


def test_a_scan_may_know_better_than_its_pixels():
    """Structure as fine as the pixels counts as noise, unless finer pixels told the two apart."""
    scan, _ = ball_scan(noise=0.05)
    assert scan_noise(scan) == noise_level(scan.projections) == pytest.approx(0.05, rel=0.1)
    assert scan_noise(dataclasses.replace(scan, noise=0.01)) == 0.01
    assert scan_noise(dataclasses.replace(scan, noise=7.0)) == scan_noise(scan)  # no more than there is
    assert dataclasses.replace(scan, noise=0.01).digest != scan.digest
    for wrong in (-0.1, np.nan, np.inf):
        with pytest.raises(InputError, match="scan.noise: expected a standard deviation, 0 or more"):
            dataclasses.replace(scan, noise=wrong)


def test_means_of_pixels_know_the_noise_of_the_pixels():
    """Measured views are averaged: a texture of four pixels is no noise in them, and looks like it in their means."""
    geometry = balls.scanner(views=40, detector_shape=(96, 96), detector_pitch=(5.0, 5.0))
    texture = np.kron(rng().standard_normal((40, 24, 24)), np.ones((4, 4)))
    views = (balls.chords(geometry) + 0.1 * texture + 0.02 * rng().standard_normal(texture.shape)).astype(np.float32)
    measured = Measured("textured", geometry, views.__getitem__)
    case = measured_case(measured, MeasuredParams(size=24, views=20))
    assert case.scan.projections.shape == (20, 24, 24)
    assert noise_level(case.scan.projections) > 0.08
    assert scan_noise(case.scan) == case.scan.noise == pytest.approx(0.02 / 4, rel=0.15)
    assert measured_case(measured, MeasuredParams(size=24, views=20, bin=1)).scan.noise is None
    told = dataclasses.replace(measured, noise=0.04)
    assert [measured_case(told, MeasuredParams(size=24, views=20, bin=n)).scan.noise for n in (1, 4)] == [0.04, 0.01]


@pytest.mark.parametrize("shape", [(3, 1, 9), (3, 9, 1), (1, 1, 1)])
def test_a_line_of_pixels_tells_nothing(shape):
    assert noise_level(rng().standard_normal(shape)) == 0
