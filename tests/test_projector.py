"""The projector on both of its paths: laws first, then a closed form and a plain-torch twin of Joseph's method."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from benchmark.datasets.ball import BallParams
from benchmark.datasets.ball import load as load_ball
from benchmark.errors import InputError
from benchmark.projection.marching import clip
from benchmark.projection.projector import Projector
from benchmark.projection.rays import view_rays
from benchmark.scan.geometry import ConeBeamGeometry

PATHS = ("separable", "rays")
LAWS = settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])


def number(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_nan=False)


@st.composite
def geometries(draw: st.DrawFn, turned: bool = False) -> ConeBeamGeometry:
    """Small scanners with everything off centre; `turned` ones have a rolled, pitched and yawed detector as well."""
    views = draw(st.integers(1, 4))
    values: dict[str, Any] = dict(
        source_to_origin=draw(number(80, 200)),
        source_to_detector=draw(number(220, 400)),
        detector_shape=(draw(st.integers(1, 20)), draw(st.integers(1, 20))),
        detector_pitch=(draw(number(1, 6)), draw(number(1, 6))),
        volume_shape=tuple(draw(st.integers(1, 20)) for _ in range(3)),
        volume_spacing=tuple(draw(number(0.5, 3)) for _ in range(3)),
        angles=np.array([draw(number(-7, 7)) for _ in range(views)]),
        detector_offset=(draw(number(-15, 15)), draw(number(-15, 15))),
        volume_offset=tuple(draw(number(-5, 5)) for _ in range(3)),
        axis_shift=draw(number(-5, 5)),
        source_height=np.array([draw(number(-10, 10)) for _ in range(views)]),
    )
    if turned:
        for name in ("detector_roll", "detector_pitch_angle", "detector_yaw"):
            values[name] = draw(number(-0.4, 0.4))
    return ConeBeamGeometry(**values)


def scanner(**changes: Any) -> ConeBeamGeometry:
    values: dict[str, Any] = dict(
        source_to_origin=300.0,
        source_to_detector=450.0,
        detector_shape=(18, 22),
        detector_pitch=(4.0, 5.0),
        volume_shape=(12, 14, 17),
        volume_spacing=(3.0, 2.5, 2.0),
        angles=np.linspace(0, 2 * np.pi, 5, endpoint=False) + 0.1,
        detector_offset=(3.0, -7.0),
        volume_offset=(1.0, -2.0, 3.0),
    )
    return ConeBeamGeometry(**{**values, **changes})


def noise(shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def product(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.double() * b.double()).sum())  # summed in double precision


def norm(a: torch.Tensor) -> float:
    return float(a.double().norm())


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return norm(found.double() - expected.double()) / max(norm(expected), 1e-30)


def joseph_twin(geometry: ConeBeamGeometry, volume: torch.Tensor) -> torch.Tensor:
    """Joseph's method from its description: planes of the dominant axis, bilinear in each, times the length between planes."""
    spacing = torch.tensor(geometry.volume_spacing[::-1], dtype=torch.float64)
    first = torch.tensor([geometry.voxel_centres(axis)[0] for axis in (2, 1, 0)])
    rows, columns = (torch.arange(n, dtype=torch.float64) - (n - 1) / 2 for n in geometry.detector_shape)
    padded = torch.nn.functional.pad(volume.double().permute(2, 1, 0), (2,) * 6)  # [x, y, z]
    out = []
    for source, centre, u, v in torch.tensor(geometry.vectors()):
        direction = (centre - source + rows[:, None, None] * v + columns[:, None] * u).reshape(-1, 3)
        origin, slope = (source - first) / spacing, direction / spacing
        dominant = slope.abs().argmax(1)
        sums = torch.zeros(len(slope), dtype=torch.float64)
        for axis in range(3):
            chosen = torch.nonzero(dominant == axis)[:, 0]
            along = slope[chosen, axis, None]
            k = torch.arange(padded.shape[axis] - 4, dtype=torch.float64)
            at = origin + ((k - origin[axis]) / along)[..., None] * slope[chosen, None]  # [ray, plane, 3]
            at[..., axis] = k
            at = torch.minimum(at.clamp(min=-1), torch.tensor(padded.shape) - 4.0)
            low = at.floor()
            fraction, low, value = at - low, low.long() + 2, torch.zeros(())
            for corner in range(8):
                bits = torch.tensor([corner & 1, corner >> 1 & 1, corner >> 2])
                weight = torch.where(bits.bool(), fraction, 1 - fraction).prod(-1)
                value = value + weight * padded[tuple((low + bits).unbind(-1))]
            sums = sums.index_add(0, chosen, value.sum(1) * direction[chosen].norm(dim=1) / along[:, 0].abs())
        out.append(sums.view(geometry.detector_shape))
    return torch.stack(out)


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


# -- laws ---------------------------------------------------------------------------------------------------------------


def check_adjoint(projector: Projector, device: str) -> None:
    geometry = projector.geometry
    x, y = noise(geometry.volume_shape, 1), noise(geometry.projection_shape, 2)
    ax, aty = projector.forward(x.to(device)).cpu(), projector.adjoint(y.to(device)).cpu()
    scale = max(norm(ax) * norm(y), norm(x) * norm(aty), 1e-30)
    assert abs(product(ax, y) - product(x, aty)) <= 1e-5 * scale


@pytest.mark.parametrize("path", PATHS)
@LAWS
@given(geometry=geometries())
def test_adjoint_of_upright_detectors(path: str, device: str, geometry: ConeBeamGeometry) -> None:
    check_adjoint(Projector(geometry, path), device)


@LAWS
@given(geometry=geometries(turned=True))
def test_adjoint_of_turned_detectors(device: str, geometry: ConeBeamGeometry) -> None:
    check_adjoint(Projector(geometry), device)


@pytest.mark.parametrize("path", PATHS)
@LAWS
@given(geometry=geometries(), a=number(-3, 3))
def test_linear(path: str, geometry: ConeBeamGeometry, a: float) -> None:
    projector = Projector(geometry, path)
    x, y = noise(geometry.volume_shape, 1), noise(geometry.volume_shape, 2)
    p, q = projector.forward(x), projector.forward(y)
    torch.testing.assert_close(projector.forward(a * x + y), a * p + q, rtol=1e-4, atol=1e-4)
    assert not projector.forward(torch.zeros_like(x)).any()
    r = noise(geometry.projection_shape, 3)
    torch.testing.assert_close(projector.adjoint(a * p + r), a * projector.adjoint(p) + projector.adjoint(r), rtol=1e-3, atol=1e-2)


@LAWS
@given(geometry=geometries())
def test_the_paths_agree(geometry: ConeBeamGeometry) -> None:
    separable, rays = Projector(geometry), Projector(geometry, "rays")
    assume(separable.path == "separable")
    x, y = noise(geometry.volume_shape, 1), noise(geometry.projection_shape, 2)
    torch.testing.assert_close(separable.forward(x), rays.forward(x), rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(separable.adjoint(y), rays.adjoint(y), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("path", PATHS)
def test_twice_the_lengths_give_twice_the_integrals(path: str) -> None:
    geometry = scanner(axis_shift=2.0, source_height=5.0)
    lengths = ("source_to_origin", "source_to_detector", "detector_pitch", "volume_spacing", "detector_offset", "volume_offset",
               "axis_shift", "source_height")  # fmt: skip
    double = dataclasses.replace(geometry, **{name: np.multiply(getattr(geometry, name), 2).tolist() for name in lengths})
    volume = noise(geometry.volume_shape)
    torch.testing.assert_close(Projector(double, path).forward(volume), 2 * Projector(geometry, path).forward(volume), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("path", PATHS)
def test_a_quarter_turn_of_the_scanner_is_one_of_the_volume_backwards(path: str) -> None:
    geometry = scanner(volume_offset=(1.0, 0.0, 0.0), axis_shift=1.5)
    turned = dataclasses.replace(geometry, angles=geometry.angles + np.pi / 2)
    volume = noise(geometry.volume_shape)
    clockwise = torch.from_numpy(np.rot90(volume.numpy(), axes=(1, 2)).copy())  # from y towards x
    z, y, x = geometry.volume_spacing
    swapped = dataclasses.replace(geometry, volume_shape=clockwise.shape, volume_spacing=(z, x, y))  # type: ignore[arg-type]
    found, expected = Projector(turned, path).forward(volume), Projector(swapped, path).forward(clockwise)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)
    other = Projector(swapped, path).forward(clockwise.flip(1, 2))  # the wrong direction
    assert relative_error(found, other) > 0.5


@pytest.mark.parametrize("path", PATHS)
def test_a_subset_has_the_bits_of_the_whole(path: str) -> None:
    projector = Projector(scanner(source_height=np.arange(5.0)), path)
    volume = noise(projector.geometry.volume_shape)
    assert torch.equal(projector.subset([4, 1]).forward(volume), projector.forward(volume)[[4, 1]])


@pytest.mark.parametrize("path", PATHS)
def test_threads_do_not_change_a_bit(path: str, threads: None) -> None:
    geometry = scanner(volume_shape=(20, 33, 29))
    projector, results = Projector(geometry, path), []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        results.append((projector.forward(noise(geometry.volume_shape)), projector.adjoint(noise(geometry.projection_shape))))
    for forward, adjoint in results[1:]:
        assert torch.equal(forward, results[0][0]) and torch.equal(adjoint, results[0][1])


# -- values -------------------------------------------------------------------------------------------------------------


def projected_ball(path: str, size: int, centre: tuple[float, float, float]) -> tuple[torch.Tensor, torch.Tensor]:
    """Projections of a ball's voxel means, and its exact chords."""
    case = load_ball(BallParams(size=size, views=5, heldout=0, detector=40, side=200.0, radius=50.0, centre=centre))
    return Projector(case.scan.geometry, path).forward(torch.from_numpy(case.truth)), torch.tensor(case.scan.projections)


@pytest.mark.parametrize("path", PATHS)
def test_projections_of_a_ball_match_its_chords(path: str) -> None:
    coarse, exact = projected_ball(path, 24, (30.0, -15.0, 20.0))
    found, _ = projected_ball(path, 48, (30.0, -15.0, 20.0))
    assert abs(float(found.double().sum() / exact.double().sum()) - 1) < 0.002
    assert relative_error(found, exact) < 0.6 * relative_error(coarse, exact) < 0.05  # half the voxels, half the error
    inner = exact > 0.6 * exact.max()  # away from the ball's edge
    torch.testing.assert_close(found[inner], exact[inner], rtol=0.02, atol=0)
    _, mirrored = projected_ball(path, 24, (-15.0, 30.0, 20.0))
    assert relative_error(found, mirrored) > 0.2  # the bounds above can fail


@pytest.mark.parametrize("path", PATHS)
def test_a_unit_voxel_has_the_length_of_its_spacing(path: str, device: str) -> None:
    centred = dict(detector_shape=(1, 1), detector_offset=(0, 0), volume_offset=(0, 0, 0), volume_shape=(3, 3, 3))
    geometry = scanner(**centred, angles=[0, np.pi / 2])
    volume = torch.zeros(3, 3, 3)
    volume[1, 1, 1] = 1
    found = Projector(geometry, path).forward(volume.to(device)).flatten()
    torch.testing.assert_close(found.cpu(), torch.tensor([2.0, 2.5]))  # along x, along y [mm]


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("separable", {"axis_shift": 3.0, "source_height": np.arange(5.0)}),
        ("rays", {"axis_shift": 3.0, "source_height": np.arange(5.0)}),
        ("rays", {"detector_roll": 0.3, "detector_pitch_angle": -0.2, "detector_yaw": 0.1}),
        ("rays", {"source_to_origin": 40.0, "source_to_detector": 60.0}),  # some rays are steeper than 45 degrees
    ],
)
def test_plain_torch_twin(path: str, changes: dict[str, Any], device: str) -> None:
    geometry = scanner(**changes)
    ours, theirs = (noise(geometry.volume_shape).requires_grad_() for _ in range(2))
    projections, twin = Projector(geometry, path).forward(ours.to(device)).cpu(), joseph_twin(geometry, theirs)
    torch.testing.assert_close(projections.double(), twin, rtol=1e-4, atol=1e-3)
    weight = noise(geometry.projection_shape, 5)
    (projections * weight).sum().backward()
    (twin * weight).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(Projector(geometry, path).adjoint(weight.to(device)).cpu(), theirs.grad, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("path", PATHS)
def test_rays_that_miss_are_exactly_zero(path: str, device: str) -> None:
    geometry = scanner(detector_shape=(50, 60), detector_pitch=(2.0, 2.0))
    found = Projector(geometry, path).forward(torch.ones(geometry.volume_shape, device=device)).flatten().cpu()
    half = np.array(geometry.volume_spacing[::-1]) / 2  # interpolation fades to zero half a voxel outside the faces
    spans = clip(view_rays(geometry), geometry.volume_bounds + np.stack([-half, half]))
    misses = spans[:, 1] <= spans[:, 0]
    assert 0.1 < misses.float().mean() < 0.9
    assert not found[misses].any()
    assert (found >= 0).all() and (found > 0).float().mean() > 0.1


# -- gradients ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
def test_each_is_the_gradient_of_the_other_to_any_order(path: str, device: str) -> None:
    projector = Projector(scanner(), path)
    x, w = noise(projector.geometry.volume_shape, 1).to(device).requires_grad_(), noise(projector.geometry.volume_shape, 2).to(device)
    y = noise(projector.geometry.projection_shape, 3).to(device).requires_grad_()
    bound = {"rtol": 0, "atol": 0} if device == "cpu" else {"rtol": 1e-5, "atol": 1e-4}  # on a GPU sums have no fixed order

    def same(found: torch.Tensor, expected: torch.Tensor) -> None:
        torch.testing.assert_close(found.detach().cpu(), expected.detach().cpu(), **bound)

    (to_x,) = torch.autograd.grad((projector.forward(x) * y).sum(), x, create_graph=True)
    same(to_x, projector.adjoint(y))
    (to_y,) = torch.autograd.grad((to_x * w).sum(), y)
    same(to_y, projector.forward(w))
    (to_y,) = torch.autograd.grad((projector.adjoint(y) * x).sum(), y, create_graph=True)
    same(to_y, projector.forward(x))
    (to_x,) = torch.autograd.grad((to_y * y.detach()).sum(), x)
    same(to_x, projector.adjoint(y))


def test_an_expanded_gradient_is_understood() -> None:
    projector = Projector(scanner())
    x = noise(projector.geometry.volume_shape).requires_grad_()
    projector.forward(x).sum().backward()  # autograd hands back one number with strides 0
    torch.testing.assert_close(x.grad, projector.adjoint(torch.ones(projector.geometry.projection_shape)))


# -- choice of path, mistakes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({}, "separable"),
        ({"axis_shift": 2.0, "source_height": np.arange(5.0), "detector_yaw": 0.2}, "separable"),  # rows stay parallel to z
        ({"detector_roll": 0.01}, "rays"),
        ({"detector_pitch_angle": 0.01}, "rays"),
        ({"detector_roll": np.array([0, 0, 0.01, 0, 0])}, "rays"),
        ({"detector_pitch": (60.0, 5.0)}, "rays"),  # a cone steeper than 45 degrees
    ],
)
def test_the_path_follows_from_the_geometry(changes: dict[str, Any], path: str) -> None:
    assert Projector(scanner(**changes)).path == path


def test_a_path_that_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="projector.path: .* 'separable' for detector rows parallel to z, found 'separable'"):
        Projector(scanner(detector_roll=0.1), "separable")
    with pytest.raises(InputError, match="projector.path: .* found 'siddon'"):
        Projector(scanner(), "siddon")


@pytest.mark.parametrize("path", PATHS)
def test_wrong_tensors_are_refused_by_name(path: str) -> None:
    projector = Projector(scanner(), path)
    expected = r"projector: volume: expected float32 \(12, 14, 17\) on the CPU or a CUDA device"
    with pytest.raises(InputError, match=expected + r", found torch.float32 \(17, 14, 12\)"):
        projector.forward(torch.zeros(17, 14, 12))
    with pytest.raises(InputError, match=r"projector: volume: .* found torch.float64 \(12, 14, 17\)"):
        projector.forward(torch.zeros(12, 14, 17, dtype=torch.float64))
    with pytest.raises(InputError, match=r"projector: projections: expected float32 \(5, 18, 22\) on the CPU .*, found .*\(5, 22, 18\)"):
        projector.adjoint(torch.zeros(5, 22, 18))
    with pytest.raises(InputError, match=r"projector: volume: .* on meta"):
        projector.forward(torch.zeros(12, 14, 17, device="meta"))
