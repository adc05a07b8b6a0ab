"""Views as pinhole cameras: the rays of K and pose are those of the geometry, for every orbit and detector, and the way back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmark.api import ConeBeamGeometry, parallel_distances, view_rays
from benchmark.errors import InputError

BOX: dict[str, Any] = {"volume_shape": (8, 10, 12), "volume_spacing": (3.0, 2.0, 1.0), "volume_offset": (1.0, -2.0, 3.0)}
SHAPE = (7, 10)
VIEWS = 5
EACH = np.linspace(-1, 1, VIEWS)


def scanner(**changes: Any) -> ConeBeamGeometry:
    values: dict[str, Any] = {"source_to_origin": 300.0, "source_to_detector": 700.0, "detector_shape": SHAPE, "detector_pitch": (2.0, 1.5)}
    return ConeBeamGeometry(**{**values, **BOX, "angles": np.arange(VIEWS) * 1.1, **changes})


def oblique(mirrored: bool) -> ConeBeamGeometry:
    """Detectors anywhere in space, whose pixels are parallelograms of another size in each view."""
    random = np.random.default_rng(3)
    vectors = scanner(detector_offset=(3.0, 5.0)).vectors()
    vectors[:, :2] += random.normal(size=(VIEWS, 2, 3)) * 10
    vectors[:, 2:] = vectors[:, 2:] * random.uniform(0.7, 1.4, (VIEWS, 2, 1)) + random.normal(size=(VIEWS, 2, 3)) * 0.2
    if mirrored:
        vectors[:, 2] *= -1
    return ConeBeamGeometry.from_vectors(vectors, detector_shape=SHAPE, **BOX)


def parallel() -> ConeBeamGeometry:
    far, detector = parallel_distances(SHAPE, (2.0, 1.5))
    return scanner(source_to_origin=far, source_to_detector=detector, detector_offset=(3.0, -2.0))


GEOMETRIES = {
    "circle": scanner(),
    "offsets": scanner(detector_offset=(4.0, -7.0), axis_shift=1.5),
    "helix": scanner(source_height=EACH * 20),
    "turned": scanner(detector_roll=0.1 * EACH, detector_pitch_angle=0.07, detector_yaw=-0.2, detector_offset=(1.0, 2.0)),
    "oblique": oblique(False),
    "mirrored": oblique(True),
    "parallel": parallel(),
}


def directions(geometry: ConeBeamGeometry) -> np.ndarray:
    """Unit vectors [view, row, column, 3] from the formula in the docstring of `vectors`."""
    source, centre, u, v = geometry.vectors().transpose(1, 0, 2)[:, :, None, None]
    rows, columns = geometry.detector_shape
    i, j = np.arange(columns) - (columns - 1) / 2, np.arange(rows) - (rows - 1) / 2
    towards = centre - source + i[:, None] * u + j[:, None, None] * v
    return towards / np.linalg.norm(towards, axis=-1, keepdims=True)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_pixels_of_k_and_pose_see_along_the_rays_of_the_geometry(name: str) -> None:
    geometry = GEOMETRIES[name]
    intrinsics, poses = geometry.pinholes()
    rotation, source = poses[:, :3, :3], poses[:, :3, 3]
    assert intrinsics.shape == (VIEWS, 3, 3) and poses.shape == (VIEWS, 4, 4)
    np.testing.assert_allclose(np.einsum("vij,vik->vjk", rotation, rotation), np.tile(np.eye(3), (VIEWS, 1, 1)), atol=1e-12)
    assert (np.linalg.det(rotation) > 0).all() and (poses[:, 3] == [0, 0, 0, 1]).all() and (source == geometry.vectors()[:, 0]).all()
    rows, columns = SHAPE
    x, y = np.meshgrid(np.arange(columns), np.arange(rows))  # of an image with its top row first
    pixels = np.stack([x, y, np.ones_like(x)], -1).astype(float)
    seen = np.einsum("vij,vjk,yxk->vyxi", rotation, np.linalg.inv(intrinsics), pixels)
    seen /= np.linalg.norm(seen, axis=-1, keepdims=True)
    np.testing.assert_allclose(seen[:, ::-1], directions(geometry), atol=1e-11)
    rays = view_rays(geometry)
    np.testing.assert_allclose(seen[:, ::-1].reshape(-1, 3), rays.directions.numpy(), atol=1e-6)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_points_of_the_world_are_seen_where_the_detector_is_hit(name: str) -> None:
    geometry = GEOMETRIES[name]
    intrinsics, poses = geometry.pinholes()
    source = poses[:, :3, 3]
    points = source[:, None] + directions(geometry)[:, [0, 6, 3], [0, 9, 4]] * np.array([50.0, 300.0, 120.0])[:, None]
    inside = np.einsum("vji,vnj->vni", poses[:, :3, :3], points - source[:, None])
    assert (inside[..., 2] > 0).all()
    pixel = np.einsum("vij,vnj->vni", intrinsics, inside) / inside[..., 2:]
    tolerance = 1e-4 if name == "parallel" else 1e-8
    np.testing.assert_allclose(pixel[..., :2], np.tile([[0.0, 6.0], [9.0, 0.0], [4.0, 3.0]], (VIEWS, 1, 1)), atol=tolerance)


def test_a_circle_by_hand() -> None:
    intrinsics, poses = scanner(detector_offset=(4.0, -6.0), angles=[0.0]).pinholes()
    fx, fy = 700 / 1.5, 700 / 2.0
    # The foot of the source is 6 mm = 4 columns right of the middle column 4.5, and 4 mm = 2 rows below the middle row 3.
    np.testing.assert_allclose(intrinsics[0], np.array([[fx, 0, 4.5 + 4], [0, fy, 3 + 2], [0, 0, 1]]), atol=1e-12)
    np.testing.assert_allclose(poses[0], [[0, 0, -1, 300], [1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]], atol=1e-12)


def test_signs_of_k_and_skew() -> None:
    upright, skewed, mirrored = (GEOMETRIES[name].pinholes()[0] for name in ("turned", "oblique", "mirrored"))
    assert (upright[:, [0, 1], [0, 1]] > 0).all() and np.abs(upright[:, 0, 1]).max() < 1e-9
    assert np.abs(skewed[:, 0, 1]).min() > 1 and (skewed[:, 0, 0] > 0).all() and (mirrored[:, 0, 0] < 0).all()


@pytest.mark.parametrize("name", GEOMETRIES)
def test_the_way_back(name: str) -> None:
    geometry = GEOMETRIES[name]
    intrinsics, poses = geometry.pinholes()
    pixel = np.linalg.norm(geometry.vectors()[:, 2], axis=1)  # [view] width [mm]
    far = pixel * np.abs(intrinsics[:, 0, 0])
    same = ConeBeamGeometry.from_pinholes(intrinsics, poses, detector_shape=SHAPE, distance=far, **BOX)
    scale = np.abs(geometry.vectors()).max()
    np.testing.assert_allclose(same.vectors(), geometry.vectors(), atol=1e-12 * scale)
    anywhere = ConeBeamGeometry.from_pinholes(intrinsics, poses, detector_shape=SHAPE, **BOX)
    np.testing.assert_allclose(directions(anywhere), directions(geometry), atol=1e-11)
    if geometry.view_vectors is None:
        by_pixels = ConeBeamGeometry.from_pinholes(intrinsics, poses, detector_shape=SHAPE, detector_pitch=(2.0, 1.5), **BOX)
        np.testing.assert_allclose(by_pixels.vectors(), geometry.vectors(), atol=1e-12 * scale)
        assert by_pixels.detector_pitch == pytest.approx((2.0, 1.5))


def altered(intrinsics: np.ndarray, poses: np.ndarray, what: str) -> tuple[Any, Any]:
    match what:
        case "opengl":
            poses[:, :3, 1:3] *= -1
        case "world to camera":
            poses = np.linalg.inv(poses)
        case "reflected":
            poses[2, :3, 0] *= -1
        case "scaled":
            poses[2, :3, :3] *= 2
        case "nan":
            poses[1, 0, 3] = np.nan
        case "rows":
            poses = poses[:, :3]
        case "one k":
            intrinsics = intrinsics[0]
        case "transposed k":
            intrinsics = intrinsics.transpose(0, 2, 1)
        case "flat k":
            intrinsics[3, 1, 1] = 0
    return intrinsics, poses


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("opengl", "poses: view .*in front of the camera.*OpenGL or NeRF need columns 1 and 2 negated"),
        ("world to camera", "poses: view .*in front of the camera|a source outside the volume"),
        ("reflected", r"poses: view 2: expected \[\[R, s\]"),
        ("scaled", "poses: view 2: .*a rotation matrix"),
        ("nan", r"poses: expected finite numbers \[5, 4, 4\], one camera per view, found NaN or Inf"),
        ("rows", r"poses: expected finite numbers \[5, 4, 4\], one camera per view, found shape \(5, 3, 4\)"),
        ("one k", "intrinsics: expected finite numbers"),
        ("transposed k", r"intrinsics: view 0: expected \[\[fx, skew, cx\]"),
        ("flat k", "intrinsics: view 3"),
    ],
)
def test_what_is_no_camera_is_refused_by_view(what: str, text: str) -> None:
    intrinsics, poses = altered(*scanner().pinholes(), what)
    with pytest.raises(InputError, match=text):
        ConeBeamGeometry.from_pinholes(intrinsics, poses, detector_shape=SHAPE, **BOX)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"detector_pitch": (1.5, 1.5)}, r"detector_pitch: expected the pixels of the intrinsics, in view .: 1.333 times as high as wide"),
        ({"detector_pitch": (2.0, 1.5), "distance": 700.0}, "expected detector_pitch or distance, found both"),
        ({"distance": -1.0}, "distance: expected a positive number"),
        ({"distance": [700.0, 700.0]}, r"or one per view \(5\)"),
    ],
)
def test_a_size_that_does_not_fit_is_refused(given: dict[str, Any], text: str) -> None:
    intrinsics, poses = scanner().pinholes()
    with pytest.raises(InputError, match=text):
        ConeBeamGeometry.from_pinholes(intrinsics, poses, detector_shape=SHAPE, **given, **BOX)
