"""The geometry by hand: 3-4-5 triangles, derived values, other geometries from one, identity and mistakes."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import numpy as np
import pytest

from benchmark.errors import InputError
from benchmark.scan.geometry import ConeBeamGeometry

ANGLE = float(np.arctan2(4, 3))  # cos 0.6, sin 0.8
TURN = float(np.arctan2(3, 4))  # cos 0.8, sin 0.6


def scanner(**changes: Any) -> ConeBeamGeometry:
    """Source at (3, 4, 0), detector centre at (-3, -4, 0), u = (-0.8, 0.6, 0) for the one view there is."""
    values: dict[str, Any] = dict(
        source_to_origin=5.0,
        source_to_detector=10.0,
        detector_shape=(3, 5),
        detector_pitch=(2.0, 1.0),
        volume_shape=(4, 3, 2),
        volume_spacing=(0.5, 1.0, 2.0),
        angles=[ANGLE],
    )
    return ConeBeamGeometry(**{**values, **changes})


def pixel_centres(geometry: ConeBeamGeometry) -> np.ndarray:
    """[view, v, u, 3] from the formula in the docstring of `vectors`."""
    _, centre, u, v = geometry.vectors().transpose(1, 0, 2)[:, :, None, None]
    rows, columns = geometry.detector_shape
    i, j = np.arange(columns) - (columns - 1) / 2, np.arange(rows) - (rows - 1) / 2
    return centre + i[:, None] * u + j[:, None, None] * v


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


# -- positions by hand --------------------------------------------------------------------------------------------------


def test_positions_on_a_3_4_5_triangle() -> None:
    geometry = scanner()
    close(geometry.vectors(), [[[3, 4, 0], [-3, -4, 0], [-0.8, 0.6, 0], [0, 0, 2]]])
    pixels = pixel_centres(geometry)[0]
    close(pixels[1, 2], [-3, -4, 0])
    close(pixels[0, 0], [-3 + 1.6, -4 - 1.2, -2])  # row 0 lowest, column 0 at -u
    close(pixels[2, 4], [-3 - 1.6, -4 + 1.2, 2])


@pytest.mark.parametrize(
    ("angle", "source", "u"),
    [(0, (5, 0, 0), (0, 1, 0)), (90, (0, 5, 0), (-1, 0, 0)), (180, (-5, 0, 0), (0, -1, 0)), (270, (0, -5, 0), (1, 0, 0))],
)
def test_quarter_turns(angle: float, source: tuple[float, ...], u: tuple[float, ...]) -> None:
    found = scanner(angles=[np.deg2rad(angle)]).vectors()[0]
    close(found[0], source)
    close(found[1], -np.array(source))
    close(found[2], u)


@pytest.mark.parametrize(
    ("changes", "source", "centre"),
    [
        ({"detector_offset": (7.0, 5.0)}, (3, 4, 0), (-3 - 4, -4 + 3, 7)),  # the detector alone, v then u
        ({"axis_shift": 5.0}, (3 - 4, 4 + 3, 0), (-3 - 4, -4 + 3, 0)),  # both along u
        ({"source_height": 2.0}, (3, 4, 2), (-3, -4, 2)),  # both along z
        ({"source_height": [2.0], "axis_shift": [5.0]}, (-1, 7, 2), (-7, -1, 2)),
        ({"volume_offset": (0.1, 0.2, 0.3)}, (3, 4, 0), (-3, -4, 0)),  # the volume moves, the scanner does not
        ({"detector_roll": TURN, "detector_pitch_angle": TURN, "detector_yaw": TURN}, (3, 4, 0), (-3, -4, 0)),  # turns keep the centre
    ],
)
def test_shifts(changes: dict[str, Any], source: tuple[float, ...], centre: tuple[float, ...]) -> None:
    vectors = scanner(**changes).vectors()[0]
    close(vectors[0], source)
    close(vectors[1], centre)


@pytest.mark.parametrize(
    ("name", "u", "v"),
    [
        ("detector_roll", (0, 0.8, -0.6), (0, 1.2, 1.6)),  # about the central ray (-1, 0, 0)
        ("detector_pitch_angle", (0, 1, 0), (1.2, 0, 1.6)),  # about u
        ("detector_yaw", (-0.6, 0.8, 0), (0, 0, 2)),  # about v
    ],
)
def test_turned_detectors(name: str, u: tuple[float, ...], v: tuple[float, ...]) -> None:
    vectors = scanner(angles=[0.0], **{name: TURN}).vectors()[0]
    close(vectors[2], u)
    close(vectors[3], v)


def test_values_per_view_go_to_their_views() -> None:
    geometry = scanner(angles=[0.0, 0.0, ANGLE], source_height=[0.0, 1.0, 2.0], detector_roll=[0.0, TURN, 0.0], axis_shift=[0, 0, 5])
    vectors = geometry.vectors()
    close(vectors[:, 0, 2], [0, 1, 2])
    close(vectors[:, 2], [[0, 1, 0], [0, 0.8, -0.6], [-0.8, 0.6, 0]])
    close(vectors[2, 0], [-1, 7, 2])


# -- derived values -----------------------------------------------------------------------------------------------------


def test_the_volume() -> None:
    geometry = scanner(volume_offset=(10.0, 0.5, -0.25))
    assert geometry.volume_extent == (2.0, 3.0, 4.0)
    close(geometry.volume_bounds, [[-2.25, -1, 9], [1.75, 2, 11]])  # x y z
    close(geometry.voxel_centres(0), [9.25, 9.75, 10.25, 10.75])
    close(geometry.voxel_centres(1), [-0.5, 0.5, 1.5])
    close(geometry.voxel_centres(2), [-1.25, 0.75])
    assert geometry.magnification == 2 and geometry.views == 1 and geometry.projection_shape == (1, 3, 5)


def test_fan_angle() -> None:
    geometry = scanner(source_to_origin=4.0, source_to_detector=8.0, detector_shape=(3, 12))  # half of it 6 wide, 8 away
    close(geometry.fan_angle, 2 * TURN)
    aside = dataclasses.replace(geometry, detector_offset=(0.0, 6.0))
    close(aside.fan_angle, np.arctan2(12, 8))


@pytest.mark.parametrize(
    ("degrees", "arc"),
    [
        (range(0, 360, 45), 360),
        (range(0, 720, 45), 360),  # two turns
        (range(0, 181, 45), 225),
        (range(-90, 90, 10), 180),
        ((350, 0, 10), 30),
        ((30,), 0),
        ((30, 390), 0),
    ],
)
def test_arc(degrees: Any, arc: float) -> None:
    close(scanner(angles=np.deg2rad(list(degrees))).arc, np.deg2rad(arc))


def test_circular_orbits() -> None:
    angles = [0.0, 1.0]
    for changes in ({}, {"axis_shift": [1.0, 2.0]}, {"source_height": [3.0, 3.0]}, {"detector_offset": (1, 2)}, {"detector_roll": 0.0}):
        assert scanner(angles=angles, **changes).is_circular, changes
    for changes in ({"source_height": [0.0, 1.0]}, {"detector_roll": [0.0, 0.1]}, {"detector_yaw": 0.1}, {"detector_pitch_angle": 0.1}):
        assert not scanner(angles=angles, **changes).is_circular, changes


# -- other geometries from one ------------------------------------------------------------------------------------------


def test_subset_takes_the_values_per_view_along() -> None:
    geometry = scanner(angles=[0.0, 1.0, 2.0], source_height=[5.0, 6.0, 7.0], axis_shift=0.5, detector_roll=[0.0, 0.1, 0.2])
    found = geometry.subset([2, 0])
    close(found.vectors(), geometry.vectors()[[2, 0]])
    assert found.views == 2 and found.axis_shift == 0.5


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("shape", [(8, 12), (9, 13), (11, 7)])
@pytest.mark.parametrize("turns", [{}, {"detector_yaw": 0.0, "source_height": [1.0, 2.0], "axis_shift": 3.0}])
def test_a_bin_lies_at_the_mean_of_its_pixels(shape: tuple[int, int], factor: int, turns: dict[str, Any]) -> None:
    geometry = scanner(detector_shape=shape, detector_offset=(0.7, -0.3), angles=[ANGLE, 2.0], **turns)
    rows, columns = shape[0] // factor, shape[1] // factor
    kept = pixel_centres(geometry)[:, : rows * factor, : columns * factor]
    means = kept.reshape(2, rows, factor, columns, factor, 3).mean((2, 4))
    found = geometry.binned(factor)
    assert found.detector_shape == (rows, columns) and found.detector_pitch == (2.0 * factor, 1.0 * factor)
    close(pixel_centres(found), means)


def test_bins_of_a_turned_detector_that_divides() -> None:
    geometry = scanner(detector_shape=(4, 6), detector_roll=0.3, detector_pitch_angle=-0.2, detector_yaw=0.1)
    close(pixel_centres(geometry.binned(2)), pixel_centres(geometry).reshape(1, 2, 2, 3, 2, 3).mean((2, 4)))


def test_bins_of_one_pixel_change_nothing() -> None:
    assert scanner().binned(1) == scanner()


def test_another_grid_over_the_same_box() -> None:
    geometry = scanner(volume_offset=(0.1, 0.2, 0.3))
    fine = geometry.with_volume((8, 9, 10))
    close(fine.volume_bounds, geometry.volume_bounds)
    assert fine.volume_shape == (8, 9, 10)
    close(fine.vectors(), geometry.vectors())
    assert geometry.with_volume((2, 2, 2), (0.1, 0.2, 0.3)).volume_extent == (0.2, 0.4, 0.6)


# -- identity -----------------------------------------------------------------------------------------------------------


def test_to_json_and_back() -> None:
    geometry = scanner(angles=[0.1, 0.2], source_height=[1.0, 2.0], detector_offset=(1 / 3, 2), axis_shift=np.float32(0.5))
    again = ConeBeamGeometry.from_dict(json.loads(json.dumps(geometry.to_dict())))
    assert again == geometry and again.digest == geometry.digest and hash(again) == hash(geometry)
    close(again.vectors(), geometry.vectors())


def test_every_number_counts_in_the_digest() -> None:
    geometry = scanner()
    other: dict[str, Any] = {
        "source_to_origin": 5.5,
        "source_to_detector": 11.0,
        "detector_shape": (3, 6),
        "detector_pitch": (2.0, 1.1),
        "volume_shape": (4, 3, 3),
        "volume_spacing": (0.5, 1.0, 2.1),
        "angles": [ANGLE + 1e-12],
        "detector_offset": (0.0, 0.1),
        "volume_offset": (0.0, 0.1, 0.0),
        **dict.fromkeys(("axis_shift", "source_height", "detector_roll", "detector_pitch_angle", "detector_yaw"), 0.1),
        "view_vectors": geometry.vectors() + 0.1,
    }
    assert set(other) == {field.name for field in dataclasses.fields(geometry)}
    changed = [dataclasses.replace(geometry, **{name: value}) for name, value in other.items()]
    assert len({geometry.digest, *(g.digest for g in changed)}) == len(other) + 1
    assert all(g != geometry for g in changed) and geometry != "a geometry"


def test_values_are_frozen_and_apart_from_the_callers_arrays() -> None:
    angles, heights = np.array([0.0, 1.0]), np.array([2.0, 3.0])
    geometry = scanner(angles=angles, source_height=heights)
    angles[0] = heights[0] = 9.0  # still the caller's to change
    assert geometry.angles[0] == 0 and geometry.source_height[0] == 2  # type: ignore[index]
    for values in (geometry.angles, geometry.source_height):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 1.0  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        geometry.source_to_origin = 1.0  # type: ignore[misc]


# -- any orbit --------------------------------------------------------------------------------------------------------------


def test_a_table_of_vectors_is_the_orbit_it_was_made_from() -> None:
    source = scanner(angles=[0.1, 0.9, 2.0], detector_roll=[0.1, 0.2, 0.3], source_height=[1.0, 2.0, 4.0], detector_offset=(0.5, -0.7))
    grid = {name: getattr(source, name) for name in ("detector_shape", "volume_shape", "volume_spacing", "volume_offset")}
    table = ConeBeamGeometry.from_vectors(source.vectors(), **grid)
    close(table.vectors(), source.vectors())
    close(table.subset([2, 0]).vectors(), source.subset([2, 0]).vectors())
    close(table.binned(2).vectors(), source.binned(2).vectors())
    assert not table.is_circular and table.digest != source.digest
    assert "view_vectors" not in source.to_dict()  # geometries without a table keep their digests
    again = ConeBeamGeometry.from_dict(json.loads(json.dumps(table.to_dict())))
    assert again == table


@pytest.mark.parametrize(
    ("vectors", "found"),
    [
        (np.zeros((2, 4, 3)), "a source outside the detector plane"),
        (np.zeros((2, 3, 4)), "finite numbers"),
        (np.full((1, 4, 3), np.nan), "finite numbers"),
        (np.zeros((0, 4, 3)), "finite numbers"),
        (5.0, "finite numbers"),
        ("text", "expected numbers, found 'text'"),
    ],
)
def test_vectors_that_are_no_orbit(vectors: Any, found: str) -> None:
    with pytest.raises(InputError, match=f"geometry.view_vectors: .*{found}"):
        ConeBeamGeometry.from_vectors(vectors, detector_shape=(4, 4), volume_shape=(4, 4, 4), volume_spacing=(1, 1, 1))


@pytest.mark.parametrize("value", ["far", None, [1, "two"], [[1], [2, 3]], {"a": 1}, 10**400, 1j])
@pytest.mark.parametrize(
    "name",
    ["source_to_origin", "detector_shape", "detector_pitch", "volume_shape", "volume_spacing", "angles", "detector_offset", "axis_shift"],
)
def test_what_is_no_number_is_an_input_error(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"geometry.{name}"):
        scanner(**{name: value})


# -- mistakes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"angles": []}, "geometry.angles: expected at least one view, shape [view], found shape (0,)"),
        ({"angles": [[0.0, 1.0]]}, "geometry.angles: expected at least one view, shape [view], found shape (1, 2)"),
        ({"angles": [0.0, np.nan]}, "geometry.angles: expected finite angles in rad, found NaN or Inf"),
        ({"detector_shape": (3, 0)}, "geometry.detector_shape: expected 2 positive whole numbers, found (3, 0)"),
        ({"detector_shape": (3, 2.5)}, "geometry.detector_shape: expected 2 positive whole numbers"),
        ({"detector_shape": (3, 4, 5)}, "geometry.detector_shape: expected 2 positive whole numbers"),
        ({"volume_shape": (4, 3)}, "geometry.volume_shape: expected 3 positive whole numbers, found (4, 3)"),
        ({"volume_shape": (4, 3, -2)}, "geometry.volume_shape: expected 3 positive whole numbers"),
        ({"detector_pitch": (1.0, 0.0)}, "geometry.detector_pitch: expected 2 positive numbers, found (1.0, 0.0)"),
        ({"volume_spacing": (1.0, -1.0, 1.0)}, "geometry.volume_spacing: expected 3 positive numbers"),
        ({"volume_spacing": (1.0, 1e-300, 1.0)}, "geometry.volume_spacing: expected lengths from 1e-12 to 1e+12 mm"),
        ({"detector_pitch": (1.0, 1e308)}, "geometry.detector_pitch: expected lengths from 1e-12 to 1e+12 mm, found (1.0, 1e+308)"),
        ({"volume_spacing": 1.0}, "geometry.volume_spacing: expected 3 positive numbers, found 1.0"),
        ({"detector_offset": (np.inf, 0.0)}, "geometry.detector_offset: expected 2 finite numbers"),
        ({"volume_offset": (0.0, 0.0)}, "geometry.volume_offset: expected 3 finite numbers, found (0.0, 0.0)"),
        ({"source_to_origin": -5.0}, "geometry.source_to_origin: expected 1 positive number, found [-5.0]"),
        ({"source_to_detector": np.nan}, "geometry.source_to_detector: expected 1 positive number, found [nan]"),
        (
            {"source_to_detector": 5.0},
            "geometry.source_to_detector: expected more than source_to_origin = 5 mm (the detector is behind the axis), found 5 mm. "
            "Check that the two distances are not swapped and that both are in mm.",
        ),
        *(({name: [0.0, 1.0]}, f"geometry.{name}: expected a finite number or one per view (1), found shape (2,)") for name in
          ("axis_shift", "source_height", "detector_roll", "detector_pitch_angle", "detector_yaw")),
        ({"source_height": np.inf}, "geometry.source_height: expected a finite number or one per view (1), found NaN or Inf"),
        ({"detector_roll": np.zeros((1, 1))}, "geometry.detector_roll: expected a finite number or one per view (1), found shape (1, 1)"),
        (
            {"volume_spacing": (0.5, 2.0, 4.0)},  # half its edges 3 and 4: the corner is where the source is
            "geometry.source_to_origin: expected a source outside the volume (whose corner is 5 mm from the axis), found 5 mm. "
            "Check the length units of the volume spacing and of the distances.",
        ),
    ],
)  # fmt: skip
def test_impossible_scanners_are_refused_by_field(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=re.escape(text)):
        scanner(**changes)


@pytest.mark.parametrize(
    ("indices", "text"),
    [
        ([], "views: expected at least one view, found none"),
        ([0, 3], "views: expected indices 0 .. 2, found 0 .. 3"),
        ([-1], "views: expected indices 0 .. 2, found -1 .. -1"),
    ],
)
def test_impossible_subsets_are_refused(indices: list[int], text: str) -> None:
    with pytest.raises(InputError, match=re.escape(text)):
        scanner(angles=[0.0, 1.0, 2.0]).subset(indices)


def test_bins_larger_than_the_detector_are_refused() -> None:
    with pytest.raises(InputError, match=re.escape("geometry.detector_shape: expected 2 positive whole numbers, found (0, 1)")):
        scanner().binned(4)


@pytest.mark.parametrize(("offset", "name"), [((0.0, 100.0), "u"), ((0.0, -100.0), "u"), ((100.0, 0.0), "v"), ((-100.0, 0.0), "v")])
def test_a_detector_that_misses_the_volume(offset: tuple[float, float], name: str) -> None:
    text = f"geometry.detector_offset: expected a detector that sees the volume, found view 0 misses it along {name}. Check detector_offset"
    with pytest.raises(InputError, match=text):
        scanner(detector_offset=offset).check_sees_volume()


def test_the_first_view_that_misses_is_named() -> None:
    with pytest.raises(InputError, match="view 2 misses it along v"):
        scanner(angles=[0.0, 1.0, 2.0, 3.0], source_height=[0.0, 0.5, 50.0, 50.0]).check_sees_volume()


def test_seeing_a_part_of_the_volume_is_enough() -> None:
    for changes in ({}, {"detector_offset": (0.0, 5.0)}, {"detector_shape": (1, 1)}, {"detector_yaw": 0.3}, {"volume_offset": (3.0, 0, 0)}):
        scanner(**changes).check_sees_volume()
