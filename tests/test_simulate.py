"""Simulated data against closed forms and laws: exact ray lengths through voxels, and ellipsoids."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.acquisition import ellipsoids as ellipsoids_module
from benchmark.acquisition.ellipsoids import Ellipsoids
from benchmark.acquisition.simulated import cube_orbit
from benchmark.acquisition.voxels import Voxels
from benchmark.errors import InputError
from benchmark.scan.geometry import ConeBeamGeometry

RNG = np.random.default_rng(5)
VALUES = RNG.random((5, 6, 7)).astype(np.float32)
SPACING = (3.0, 2.5, 2.0)  # (z, y, x) [mm]


def geometry(**changes) -> ConeBeamGeometry:
    """A small scanner that sees a box of 15 x 15 x 14 mm; angles with no symmetry."""
    values = dict(
        source_to_origin=60.0,
        source_to_detector=95.0,
        detector_shape=(9, 12),
        detector_pitch=(2.9, 2.7),
        volume_shape=(5, 6, 7),
        volume_spacing=SPACING,
        angles=np.array([0.1, 1.3, 2.9, 4.4]),
    )
    return ConeBeamGeometry(**{**values, **changes})


def pixel_rays(scanner: ConeBeamGeometry, sub_rays: int):
    """(view, row, column, source, target) of every ray, in plain loops."""
    shifts = (np.arange(sub_rays) + 0.5) / sub_rays - 0.5
    for view, (source, centre, u, v) in enumerate(scanner.vectors()):
        for row in range(scanner.detector_shape[0]):
            for column in range(scanner.detector_shape[1]):
                for j in shifts:
                    for i in shifts:
                        along_v, along_u = row - (scanner.detector_shape[0] - 1) / 2 + j, column - (scanner.detector_shape[1] - 1) / 2 + i
                        yield view, row, column, source, centre + along_u * u + along_v * v


def siddon(values: np.ndarray, spacing: tuple[float, ...], source: np.ndarray, target: np.ndarray) -> float:
    """The plain twin of the kernel: cut the ray at every face, add up pieces by their midpoints. x, y, z order inside."""
    direction = target - source
    steps, count = np.array(spacing[::-1]), np.array(values.shape[::-1])
    places = [0.0, 1.0]
    for axis in range(3):
        if direction[axis]:
            faces = (np.arange(count[axis] + 1) - count[axis] / 2) * steps[axis]
            places += list((faces - source[axis]) / direction[axis])
    cuts = np.unique(np.clip(places, 0, 1))
    middles = source + ((cuts[1:] + cuts[:-1]) / 2)[:, None] * direction
    index = np.floor(middles / steps + count / 2).astype(int)
    inside = ((index >= 0) & (index < count)).all(1)
    x, y, z = index[inside].T
    return float((values[z, y, x] * np.diff(cuts)[inside]).sum() * np.linalg.norm(direction))


@pytest.mark.parametrize("sub_rays", [1, 3])
def test_the_kernel_agrees_with_its_plain_twin(sub_rays):
    scanner = geometry(detector_offset=(1.0, -2.0), axis_shift=0.7, detector_roll=0.1, detector_yaw=0.2)
    expected = np.zeros(scanner.projection_shape)
    for view, row, column, source, target in pixel_rays(scanner, sub_rays):
        expected[view, row, column] += siddon(VALUES, SPACING, source, target) / sub_rays**2
    np.testing.assert_allclose(Voxels(VALUES, SPACING).project(scanner, sub_rays), expected, rtol=2e-6, atol=1e-6)


def test_rays_along_the_axes_and_on_faces_count_each_voxel_once():
    # One pixel, the central ray along -x at y = z = 0: between voxels in y and z where their number is even.
    ray = dict(detector_shape=(1, 1), angles=np.array([0.0, np.pi / 2, np.pi]))
    values = np.ones((4, 4, 4), dtype=np.float32)
    box = geometry(volume_shape=(4, 4, 4), volume_spacing=(2.0, 3.0, 5.0), **ray)
    along = Voxels(values, (2.0, 3.0, 5.0)).project(box, 1).ravel()
    np.testing.assert_allclose(along, [20.0, 12.0, 20.0], rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    spacing=st.tuples(*[st.floats(0.3, 3.0)] * 3),
    angle=st.floats(-10, 10),
    offset=st.tuples(*[st.floats(-8, 8)] * 2),
)
def test_a_homogeneous_box_gives_chords(spacing, angle, offset):
    scanner = geometry(
        volume_spacing=spacing, angles=np.array([angle]), detector_offset=offset, detector_shape=(3, 3), detector_pitch=(1.0, 1.0)
    )
    got = Voxels(np.ones((5, 6, 7), dtype=np.float32), spacing).project(scanner, 1)[0]
    source, centre, u, v = scanner.vectors()[0]
    for row in range(3):
        for column in range(3):
            direction = centre + (column - 1) * u + (row - 1) * v - source
            with np.errstate(divide="ignore", over="ignore"):  # nearly parallel to a face: never, or at infinity
                cuts = (scanner.volume_bounds - source) / direction
            length = max(0.0, cuts.max(0).min() - cuts.min(0).max()) * np.linalg.norm(direction)
            assert got[row, column] == pytest.approx(length, rel=1e-5, abs=1e-5)


def test_linear_in_attenuation_and_homogeneous_in_length():
    scanner, other = geometry(), RNG.random(VALUES.shape).astype(np.float32)
    one, two = Voxels(VALUES, SPACING).project(scanner), Voxels(other, SPACING).project(scanner)
    np.testing.assert_allclose(Voxels(2 * VALUES - 3 * other, SPACING).project(scanner), 2 * one - 3 * two, atol=1e-5)
    twice = {
        name: tuple(2 * n for n in getattr(scanner, name)) if isinstance(getattr(scanner, name), tuple) else 2 * getattr(scanner, name)
        for name in ("source_to_origin", "source_to_detector", "detector_pitch", "volume_spacing")
    }
    larger = dataclasses.replace(scanner, **twice)
    np.testing.assert_allclose(Voxels(VALUES, tuple(2 * s for s in SPACING)).project(larger), 2 * one, rtol=1e-5)


def test_turning_the_object_is_turning_the_scanner():
    cube = RNG.random((4, 6, 6)).astype(np.float32)
    scanner = geometry(volume_shape=(4, 6, 6), volume_spacing=(2.0, 2.0, 2.0))
    turned = np.rot90(cube, 1, axes=(2, 1))  # x -> y: counter-clockwise seen from +z
    got = Voxels(turned, (2.0, 2.0, 2.0)).project(dataclasses.replace(scanner, angles=scanner.angles + np.pi / 2))
    np.testing.assert_allclose(got, Voxels(cube, (2.0, 2.0, 2.0)).project(scanner), rtol=1e-5, atol=1e-6)


def test_finer_voxels_of_the_same_object_change_nothing():
    finer = VALUES.repeat(2, 0).repeat(3, 1).repeat(2, 2)
    got = Voxels(finer, (1.5, 2.5 / 3, 1.0)).project(geometry())
    np.testing.assert_allclose(got, Voxels(VALUES, SPACING).project(geometry()), rtol=1e-5, atol=1e-6)


def test_what_lies_outside_the_reconstruction_box_is_air():
    big = Voxels(VALUES, SPACING)
    small = geometry(volume_shape=(3, 4, 5))  # the inner 3 x 4 x 5 voxels
    np.testing.assert_allclose(big.project(small), Voxels(VALUES[1:4, 1:5, 1:6], SPACING).project(small), rtol=1e-5, atol=1e-6)
    half = geometry(volume_spacing=(3.0, 2.5, 1.0))  # a face in the middle of a voxel
    cut = VALUES.repeat(4, 2)[:, :, 7:-7]
    np.testing.assert_allclose(big.project(half), Voxels(cut, (3.0, 2.5, 0.5)).project(half), rtol=1e-5, atol=1e-6)


def test_a_position_seen_where_it_is():
    """One bright voxel at +x +y +z is seen by the source on +x at larger u (+y) and larger v (+z)."""
    values = np.zeros((5, 5, 5), dtype=np.float32)
    values[4, 4, 4] = 1
    scanner = geometry(volume_shape=(5, 5, 5), volume_spacing=(2.0, 2.0, 2.0), angles=np.array([0.0]), detector_shape=(21, 21))
    image = Voxels(values, (2.0, 2.0, 2.0)).project(scanner)[0]
    row, column = np.unravel_index(image.argmax(), image.shape)
    expected = 4.0 * 95 / (60 - 4)  # [mm] on the detector, a little off for the voxel's depth
    assert (row - 10) * 2.9 == pytest.approx(expected, abs=2.9) and (column - 10) * 2.7 == pytest.approx(expected, abs=2.7)


def test_averages_conserve_mass_and_keep_what_is_on_the_same_grid():
    voxels = Voxels(VALUES, SPACING)
    np.testing.assert_allclose(voxels.averaged(geometry()), VALUES, rtol=1e-6)
    coarse = geometry(volume_shape=(4, 4, 4), volume_spacing=(5.0, 4.5, 6.1))  # larger than the object
    mean = voxels.averaged(coarse)
    assert mean.dtype == np.float32
    assert mean.sum() * np.prod(coarse.volume_spacing) == pytest.approx(VALUES.sum() * np.prod(SPACING), rel=1e-5)
    half = voxels.averaged(geometry(volume_shape=(5, 3, 7), volume_spacing=(3.0, 5.0, 2.0)))
    np.testing.assert_allclose(half, VALUES.reshape(5, 3, 2, 7).mean(2), rtol=1e-6)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.0, 0.0, 1.0), (1.0, np.nan, 1.0)])
def test_voxels_without_a_size_are_refused(spacing):
    with pytest.raises(InputError, match="voxels.spacing: expected three positive lengths"):
        Voxels(VALUES, spacing)


@pytest.mark.parametrize("values", [np.zeros((2, 2)), np.zeros((0, 2, 2)), np.full((2, 2, 2), np.inf)])
def test_what_is_no_volume_is_refused(values):
    with pytest.raises(InputError, match="voxels: expected a finite volume"):
        Voxels(values, SPACING)


@pytest.mark.parametrize("thing", [Voxels(VALUES, SPACING), Ellipsoids(np.zeros((1, 3)), np.ones((1, 3)), np.ones(1))])
def test_a_pixel_needs_a_ray(thing):
    with pytest.raises(InputError, match="sub_rays: expected at least 1"):
        thing.project(geometry(), 0)


# -- ellipsoids -----------------------------------------------------------------------------------------------------------

BALL = Ellipsoids(np.array([[1.0, -2.0, 0.5]]), np.full((1, 3), 4.0), np.array([0.03]))
TILTED = Ellipsoids(
    centres=np.array([[1.0, -2.0, 0.5], [0.0, 1.0, 0.0]]),
    semi_axes=np.array([[5.0, 2.0, 3.0], [1.0, 2.0, 4.0]]),
    attenuation=np.array([0.03, -0.01]),
    turns=np.array([0.7, 0.0]),
)


def test_the_chord_of_a_ball():
    scanner = geometry()
    got = BALL.project(scanner)
    for view, row, column, source, target in pixel_rays(scanner, 1):
        direction = (target - source) / np.linalg.norm(target - source)
        distance = np.linalg.norm(np.cross(BALL.centres[0] - source, direction))
        assert got[view, row, column] == pytest.approx(0.03 * 2 * np.sqrt(max(0, 16 - distance**2)), abs=1e-6)


def test_sub_rays_are_averaged():
    fine = dataclasses.replace(geometry(), detector_shape=(27, 36), detector_pitch=(2.9 / 3, 0.9))
    mean = TILTED.project(fine).reshape(4, 9, 3, 12, 3).mean((2, 4))
    np.testing.assert_allclose(TILTED.project(geometry(), 3), mean, rtol=1e-5, atol=1e-7)


def test_turning_ellipsoids_is_turning_the_scanner():
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    turned = Ellipsoids(TILTED.centres @ quarter.T, TILTED.semi_axes, TILTED.attenuation, TILTED.turns + np.pi / 2)
    scanner = geometry()
    got = turned.project(dataclasses.replace(scanner, angles=scanner.angles + np.pi / 2))
    np.testing.assert_allclose(got, TILTED.project(scanner), rtol=1e-5, atol=1e-7)


def test_voxel_means_have_the_mass_of_the_ellipsoids():
    scanner = geometry(volume_shape=(16, 16, 16), volume_spacing=(1.0, 1.0, 1.0))
    mass = (TILTED.attenuation * 4 / 3 * np.pi * TILTED.semi_axes.prod(1)).sum()
    assert TILTED.averaged(scanner).sum() == pytest.approx(mass, rel=2e-3)


def test_voxel_means_are_means_of_samples(monkeypatch):
    scanner = geometry(volume_shape=(7, 8, 6), volume_spacing=(1.7, 1.5, 1.9))
    got = TILTED.averaged(scanner, supersample=3)
    z, y, x = (scanner.with_volume((21, 24, 18)).voxel_centres(axis) for axis in range(3))
    points = np.stack(np.meshgrid(x, y, z, indexing="ij"), -1)  # [x, y, z, 3]
    fine = np.zeros(points.shape[:3])
    for centre, axes, value, turn in zip(TILTED.centres, TILTED.semi_axes, TILTED.attenuation, TILTED.turns, strict=True):
        cos, sin = np.cos(turn), np.sin(turn)
        along = (points - centre) @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])  # coordinates along the ellipsoid's axes
        fine += value * (((along / axes) ** 2).sum(-1) < 1)
    np.testing.assert_allclose(got, fine.transpose(2, 1, 0).reshape(7, 3, 8, 3, 6, 3).mean((1, 3, 5)), atol=1e-8)
    monkeypatch.setattr(ellipsoids_module, "_POINTS_AT_ONCE", 50)  # in many small pieces: the same
    np.testing.assert_array_equal(TILTED.averaged(scanner, supersample=3), got)


def test_voxels_and_ellipsoids_tell_the_same_story():
    """Two codes that share nothing: fine voxels of an ellipsoid project to its closed form."""
    scanner = cube_orbit(16.0, 16, 24, np.array([0.3, 2.0]))
    fine = TILTED.averaged(scanner.with_volume((96, 96, 96)))
    got, exact = Voxels(fine, (16 / 96,) * 3).project(scanner, 2), TILTED.project(scanner, 2)
    assert np.sqrt(((got - exact) ** 2).mean()) < 2e-3 * exact.max()


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"centres": np.zeros((2, 3))}, "centres"),
        ({"semi_axes": np.array([[1.0, 0.0, 1.0]])}, "semi_axes"),
        ({"attenuation": np.array([np.nan])}, "attenuation"),
        ({"turns": np.zeros(3)}, "turns"),
    ],
)
def test_ellipsoids_that_are_none_are_refused(changes, name):
    values = {"centres": np.zeros((1, 3)), "semi_axes": np.ones((1, 3)), "attenuation": np.ones(1), **changes}
    with pytest.raises(InputError, match=f"ellipsoids.{name}"):
        Ellipsoids(**values)
