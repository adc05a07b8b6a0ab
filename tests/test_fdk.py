"""FDK: values of a ball from closed-form data, redundancy weights, filters."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

import numpy as np
import pytest
import torch
from balls import MU, ball_scan, chords, distances, scanner

from benchmark.api import InputError, Run, filtered_backprojection, parallel_distances
from benchmark.methods.fdk import FdkParams
from benchmark.methods.fdk.reconstruct import reconstruct, why_not
from benchmark.projection.filters import FilterName, filter_rows, ramp_response
from benchmark.reconstruction.fdk import backproject, cosine_weights
from benchmark.reconstruction.redundancy import measured_arcs, parker_weights, redundancy, shared_weights
from benchmark.scan.views import evenly_spaced

FILTERS = get_args(FilterName)


def middle(geometry: Any, volume: np.ndarray) -> np.ndarray:
    """What the ball's inside is worth near the orbit's plane, where a circular orbit is complete, in units of the ball."""
    z = geometry.voxel_centres(0)[:, None, None] + 0 * volume
    return volume[(distances(geometry) < 35) & (np.abs(z) < 8)] / MU


@pytest.mark.parametrize("name", FILTERS)
def test_value_inside_a_ball(name: FilterName) -> None:
    geometry = scanner(views=360, size=32)
    volume, info = filtered_backprojection(chords(geometry), geometry, filter=name)
    assert info == {"redundancy": "full"}
    assert np.abs(middle(geometry, volume).mean() - 1) < 0.002
    assert np.abs(middle(geometry, volume) - 1).max() < 0.01
    assert abs(volume[distances(geometry) > 75].mean()) < 0.01 * MU


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        (dict(arc=220, views=220), "parker"),
        (dict(arc=-220, views=220), "parker"),
        (dict(arc=300, views=300), "parker"),
        (dict(arc=200, views=200), "less than a short scan"),
        (dict(axis_shift=20.0), "displaced"),
        (dict(axis_shift=20.0, detector_offset=(0.0, -28.0)), "full"),
        (dict(axis_shift=20.0, detector_offset=(0.0, -28.0), arc=240, views=240), "parker"),
        (dict(detector_offset=(10.0, -15.0)), "displaced"),
        (dict(detector_shape=(48, 34), detector_offset=(0.0, 100.0)), "displaced"),
        (dict(volume_offset=(10.0, 5.0, -8.0)), "full"),
        (dict(angles=np.random.default_rng(0).permutation(np.deg2rad(np.arange(361)))), "full"),
        (dict(angles=np.sort(np.random.default_rng(1).uniform(0, 2 * np.pi, 500))), "full"),
        (dict(angles=np.deg2rad(np.delete(np.arange(360.0), 100))), "full"),
        (dict(angles=np.arange(360) * np.deg2rad(137.507764)), "full"),
        (dict(angles=np.deg2rad(np.r_[0:70, 110:190, 230:310])), "gaps"),
        (dict(angles=np.deg2rad(np.r_[0:305]), detector_shape=(48, 34), detector_offset=(0.0, 60.0)), "displaced with gaps"),
    ],
)
def test_every_kind_of_circular_scan_has_the_same_scale(changes: dict[str, Any], kind: str) -> None:
    geometry = scanner(**{"views": 360, "size": 32, **changes})
    volume, info = filtered_backprojection(chords(geometry), geometry)
    assert info["redundancy"] == kind
    assert abs(middle(geometry, volume).mean() - 1) < 0.01
    assert middle(geometry, volume).std() < 0.015


def test_too_short_an_arc_is_said_with_the_numbers() -> None:
    geometry = scanner(views=120, arc=120)
    _, info = filtered_backprojection(chords(geometry), geometry)
    assert "cover 120.0 degrees" in info["note"] and "pi + fan" in info["note"]


def test_steps_of_irregular_views() -> None:
    np.testing.assert_allclose(measured_arcs(np.deg2rad([0, 90, 180, 270])).steps, np.pi / 2)
    arcs = measured_arcs(np.deg2rad([10, 0, 20, 40]))  # an arc: gaps 10, 10, 20, and half a median step beyond its ends
    np.testing.assert_allclose(np.rad2deg(arcs.steps), [10, 10, 15, 15])
    np.testing.assert_allclose(np.rad2deg(arcs.position), [15, 5, 25, 45])
    np.testing.assert_allclose(np.rad2deg(arcs.lengths), [50])
    arcs = measured_arcs(np.deg2rad([0, 90, 180, 270, 360]))  # the first view twice
    np.testing.assert_allclose(arcs.steps.sum(), 2 * np.pi)
    two = measured_arcs(np.deg2rad(np.r_[0:100, 180:280]))
    np.testing.assert_allclose(np.rad2deg(two.starts), [0, 180], atol=1e-9)
    np.testing.assert_allclose(np.rad2deg(two.lengths), [100, 100])
    assert two.missing == pytest.approx(np.deg2rad(160)) and two.covered(np.deg2rad([50, 150, 240, 300])).tolist() == [1, 0, 1, 0]


HALF_FAN: dict[str, Any] = dict(detector_shape=(48, 34), detector_offset=(0.0, 60.0), size=24)


@pytest.mark.parametrize("detector", [{"size": 24}, HALF_FAN], ids=["centred", "displaced"])
@pytest.mark.parametrize(
    ("degrees", "loss"),
    [
        (np.delete(np.arange(0.0, 360, 2), 90), 0.3),
        (np.arange(2.0, 360, 2), 0.3),  # the first one lost
        (np.linspace(0, 359, 180), 0.3),
        (np.arange(0.0, 362, 2), 0.3),  # the first one twice
        (np.arange(180) * 4.0 + np.random.default_rng(0).normal(0, 1e-4, 180), 0.3),  # two turns, rounded
        (np.arange(0.0, 360, 2) + np.random.default_rng(0).uniform(-0.6, 0.6, 180), 0.3),
        (np.random.default_rng(0).uniform(0, 360, 180), 0.5),
        (np.arange(180) * 137.507764, 0.3),
        (np.arange(0.0, 342, 2), 1.0),
    ],
)  # fmt: skip
def test_an_almost_complete_turn_is_as_good_as_a_complete_one(degrees: np.ndarray, loss: float, detector: dict[str, Any]) -> None:
    errors = []
    for chosen in (np.arange(0.0, 360, 2), degrees):
        geometry = scanner(angles=np.deg2rad(chosen), **detector)
        volume, info = filtered_backprojection(chords(geometry), geometry)
        errors.append(float(np.square(volume - MU * (distances(geometry) < 50)).mean()))
    assert 10 * np.log10(errors[1] / errors[0]) < loss, info


def test_views_chosen_unevenly_count_by_their_share_of_the_turn() -> None:
    for count in (40, 50):  # of 60: gaps of 6 and 12 degrees
        angles = np.deg2rad(6.0) * np.array(evenly_spaced(60, count))
        found = redundancy(scanner(angles=angles))
        assert found.kind == "full" and found.note == ""
        np.testing.assert_allclose(found.weights.sum(0), np.pi)
        assert set(np.rad2deg(2 * found.weights[:, 0]).round(6)) <= {6.0, 9.0, 12.0}


def test_a_gap_is_said_with_its_place() -> None:
    whole = np.arange(0.0, 360, 2)
    bridged = redundancy(scanner(angles=np.deg2rad(np.delete(whole, np.s_[50:60]))))
    assert bridged.kind == "full" and bridged.note == (
        "No view was taken over 20 degrees (beyond the view at 98 degrees): the views beside it stand for it."
    )
    gaps = redundancy(scanner(angles=np.deg2rad(np.r_[0:100, 150:270])))
    assert gaps.kind == "gaps" and "over 90 degrees (beyond the view at 269 degrees): lines measured from the other side" in gaps.note
    opposite = redundancy(scanner(angles=np.deg2rad(np.r_[0:90, 180:270])))  # a quarter from two sides
    assert int(opposite.note.split("%")[0].split()[-1]) in range(35, 50)
    assert "; 3% of all lines" in redundancy(scanner(angles=np.deg2rad(np.r_[0:70, 110:190, 230:310]))).note
    assert redundancy(scanner(angles=np.deg2rad(np.delete(whole, 50)))).note == ""


def test_half_a_turn_of_a_parallel_beam_is_complete() -> None:
    origin, distance = parallel_distances((48, 48), (6.0, 6.0))
    beam: dict[str, Any] = dict(source_to_origin=origin, source_to_detector=distance, detector_shape=(48, 48), detector_pitch=(6.0, 6.0))
    thirds = np.r_[0:60:2, 240:300:2, 120:180:2]  # one third from the other side
    for degrees in (np.arange(0, 180, 2), thirds):
        geometry = scanner(angles=np.deg2rad(degrees), size=24, **beam)
        volume, info = filtered_backprojection(chords(geometry), geometry)
        assert abs(middle(geometry, volume).mean() - 1) < 0.01 and middle(geometry, volume).std() < 0.02, info
    assert redundancy(scanner(angles=np.deg2rad(np.arange(0, 180, 2)), **beam)).note == ""


def short_weights(position: np.ndarray, gamma: np.ndarray, arc: float) -> np.ndarray:
    one = dataclasses.replace(measured_arcs(np.zeros(1)), position=position, starts=np.zeros(1), lengths=np.array([arc]))
    return shared_weights(one, gamma, np.full(gamma.shape, 0.5))


@pytest.mark.parametrize(
    ("weigh", "arc"), [(parker_weights, 220.0), (parker_weights, 300.0), (short_weights, 200.0), (short_weights, 150.0)]
)
def test_a_line_and_its_second_measurement_share_one_weight(weigh: Any, arc: float) -> None:
    beta, arc = np.linspace(0.01, np.deg2rad(arc) - 0.01, 60), np.deg2rad(arc)
    for gamma in np.deg2rad([-15.0, -4.0, 0.0, 9.0, 15.0]):
        again = np.mod(beta + np.pi - 2 * gamma, 2 * np.pi)
        second = np.where(again <= arc, weigh(again, np.array([-gamma]), arc)[:, 0], 0.0)
        np.testing.assert_allclose(weigh(beta, np.array([gamma]), arc)[:, 0] + second, 1, atol=1e-3)


def test_the_weights_of_a_full_circle_add_up_to_half_a_turn() -> None:
    np.testing.assert_allclose(redundancy(scanner(views=17)).weights.sum(0), np.pi)


@pytest.mark.parametrize("name", FILTERS)
def test_ramp(name: FilterName) -> None:
    response = ramp_response(name, 4096, pitch=2.0)
    f = np.fft.rfftfreq(4096, d=2.0)
    assert 0 <= response[0] < 1e-3 * response.max()  # the band-limited kernel keeps a little of the mean
    np.testing.assert_allclose(response[8:200], f[8:200], rtol=0.06)  # every window is 1 at low frequencies
    assert ramp_response(name, 4096, pitch=2.0, cutoff=0.5)[1030:].max() == 0


def test_filtering_is_a_convolution_without_wrap_around() -> None:
    impulse = torch.zeros(1, 1, 9)
    impulse[..., 0] = 1.0
    n = np.arange(9)
    expected = np.where(n == 0, 0.25, np.where(n % 2 == 1, -1 / (np.pi * np.maximum(n, 1)) ** 2, 0.0))
    np.testing.assert_allclose(filter_rows(impulse, "ram-lak", 1.0)[0, 0].numpy(), expected, atol=1e-7)


def test_backprojection_against_a_plain_loop(device: str) -> None:
    geometry = scanner(views=3, size=8, detector_offset=(5.0, -7.0), axis_shift=4.0, volume_shape=(5, 6, 8))
    filtered = np.random.default_rng(0).random((3, geometry.detector_shape[1], geometry.detector_shape[0])).astype(np.float32)
    z, y, x = np.meshgrid(*(geometry.voxel_centres(axis) for axis in range(3)), indexing="ij")
    expected = np.zeros(geometry.volume_shape)
    for (source, centre, u, v), view in zip(geometry.vectors(), filtered, strict=True):
        normal = np.cross(u, v) / np.linalg.norm(np.cross(u, v))
        towards = np.stack([x, y, z], -1) - source
        scale = (centre - source) @ normal / (towards @ normal)
        hit = towards * scale[..., None] + source - centre
        padded = np.pad(view, 1)
        i = hit @ u / (u @ u) + (view.shape[0] - 1) / 2 + 1
        j = hit @ v / (v @ v) + (view.shape[1] - 1) / 2 + 1
        i, j = np.clip(i, 0, padded.shape[0] - 1.001), np.clip(j, 0, padded.shape[1] - 1.001)
        a, b = i.astype(int), j.astype(int)
        wi, wj = i - a, j - b
        value = (1 - wi) * ((1 - wj) * padded[a, b] + wj * padded[a, b + 1])
        value += wi * ((1 - wj) * padded[a + 1, b] + wj * padded[a + 1, b + 1])
        expected += value * (scale / geometry.magnification) ** 2
    found = backproject(torch.from_numpy(filtered).to(device), geometry).cpu()
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5)


def test_the_weight_of_the_central_ray_is_one() -> None:
    geometry = scanner(detector_shape=(5, 7), detector_pitch=(30.0, 30.0))
    weights = cosine_weights(geometry)
    assert weights[0, 2, 3] == 1 and weights.max() == 1
    assert weights[0, 2, 6] == pytest.approx(700 / np.hypot(700, 90))


def test_method_and_its_clip() -> None:
    scan, _ = ball_scan(views=12)
    clipped, plain = (reconstruct(scan, FdkParams(nonnegative=flag), Run()) for flag in (True, False))
    assert plain.volume.min() < 0
    np.testing.assert_array_equal(clipped.volume, np.maximum(plain.volume, 0))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [(dict(source_height=np.arange(20.0)), "moves along the axis"), (dict(detector_yaw=0.1), "detector is turned")],
)
def test_other_orbits_are_skipped_with_the_reason(changes: dict[str, Any], reason: str) -> None:
    scan, _ = ball_scan(**changes)
    assert reason in str(why_not(scan, FdkParams()))
    with pytest.raises(InputError, match=f"geometry: expected a circular orbit.*{reason}"):
        filtered_backprojection(scan.projections, scan.geometry)


def test_circular_orbits_are_not_skipped() -> None:
    assert why_not(ball_scan()[0], FdkParams()) is None


def test_an_unknown_filter_is_named() -> None:
    with pytest.raises(InputError, match="Did you mean 'hann'"):
        ramp_response("han", 8, 1.0)  # type: ignore[arg-type]


def test_projections_of_another_precision_give_the_same_volume() -> None:
    """numpy makes float64 of most things; the kernel takes float32 only."""
    geometry = scanner(views=30, size=12)
    projections = chords(geometry)
    expected, _ = filtered_backprojection(projections, geometry)
    np.testing.assert_array_equal(filtered_backprojection(projections.astype(np.float64), geometry)[0], expected)
