"""Line integrals beside the volume's box."""

from __future__ import annotations

import numpy as np
import pytest
from balls import chords, scanner

from benchmark.scan.box import beside_box, beside_box_note


@pytest.mark.parametrize("photons", [None, 300, 1e4])
@pytest.mark.parametrize(
    "changes", [{}, {"detector_offset": (10.0, -40.0)}, {"axis_shift": 15.0}, {"source_height": np.linspace(-9, 9, 20)}]
)
def test_a_body_inside_the_box_is_no_news(changes, photons):
    geometry = scanner(**changes)
    projections = chords(geometry)
    if photons:
        counts = np.random.default_rng(0).poisson(photons * np.exp(-projections))
        projections = -np.log(np.maximum(counts, 1) / photons)
    assert beside_box_note(projections, geometry) == []


def test_the_share_beside_the_box_grows_as_the_box_shrinks():
    shares = []
    for edge in (192, 100, 60, 30):
        geometry = scanner(volume_spacing=(edge / 24,) * 3)
        shares.append(beside_box(chords(geometry), geometry))
        whole = chords(geometry)
        assert shares[-1] <= 1 and whole.any()
    assert shares[0] == 0 and shares == sorted(shares) and shares[-1] > 0.5
    assert "miss the volume's box (30 x 30 x 30, z y x)" in beside_box_note(whole, geometry)[0]
    assert "volume.extent" in beside_box_note(whole, geometry)[0]


def test_a_box_beside_the_body_is_said_too():
    geometry = scanner(volume_spacing=(4.0,) * 3, volume_offset=(0.0, 60.0, 0.0))
    assert beside_box(chords(geometry), geometry) > 0.2


@pytest.mark.parametrize("shape", [(1, 36), (36, 1), (1, 1)])
def test_detectors_of_one_row_or_column(shape):
    geometry = scanner(detector_shape=shape)
    assert beside_box(chords(geometry), geometry) == 0
    assert beside_box(0 * chords(geometry), geometry) == 0


def test_a_limb_cut_off_on_one_side_is_said():
    geometry = scanner(views=40, volume_spacing=(8.0, 8.0, 5.0), volume_offset=(0.0, 0.0, -4.0))  # the ball ends at 70, the box at 56
    share = beside_box(chords(geometry), geometry)
    assert 0 < share < 0.01 and f"{share:.2%} of the measured" in beside_box_note(chords(geometry), geometry)[0]
