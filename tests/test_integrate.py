"""The field renderer: closed forms, scale and translation laws, and plain-torch twins of the kernels."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
import twins
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.errors import InputError
from benchmark.projection.compositing import composite_max, composite_rays_xray
from benchmark.projection.marching import clip, line_integral, march
from benchmark.projection.projector import Projector
from benchmark.projection.rays import Rays, view_rays
from benchmark.scan.geometry import ConeBeamGeometry

BOX = [[-20.0, -30.0, -10.0], [40.0, 30.0, 50.0]]  # x y z [mm]


def ones(positions: torch.Tensor) -> torch.Tensor:
    return torch.ones(len(positions), device=positions.device)


def random_rays(count: int, seed: int = 0, inside: bool = False, device: str = "cpu") -> Rays:
    """Rays from far away (or from inside the box) towards the neighbourhood of the box: most hit, some miss."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(count, 3, generator=generator) * 90 - torch.tensor([35.0, 45.0, 25.0])
    if inside:
        origin = torch.rand(count, 3, generator=generator) * 60 + torch.tensor(BOX[0])
    else:
        origin = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1) * 500
    return Rays(origin.to(device), (target - origin).to(device))


def gaussian(centre: torch.Tensor, sigma: float):
    return lambda positions: torch.exp(-((positions - centre.to(positions.device)) ** 2).sum(1) / (2 * sigma**2))


def small_geometry(**changes) -> ConeBeamGeometry:
    values = dict(
        source_to_origin=300.0,
        source_to_detector=450.0,
        detector_shape=(20, 24),
        detector_pitch=(5.0, 4.0),
        volume_shape=(24, 28, 32),
        volume_spacing=(2.0, 1.8, 1.5),
        angles=np.linspace(0, 2 * np.pi, 7, endpoint=False),
    )
    return ConeBeamGeometry(**{**values, **changes})


# -- rays ---------------------------------------------------------------------------------------------------------------


def test_view_rays_start_at_the_source_and_meet_pixel_centres():
    geometry = small_geometry(detector_offset=(3.0, -2.0), volume_offset=(1.0, 2.0, 3.0), detector_roll=0.1, detector_yaw=-0.2)
    rays = view_rays(geometry)
    assert len(rays) == np.prod(geometry.projection_shape)
    source, centre, u, v = geometry.vectors()[2]
    pixel = centre + (5 - 23 / 2) * u + (17 - 19 / 2) * v
    at = np.ravel_multi_index((2, 17, 5), geometry.projection_shape)
    np.testing.assert_allclose(rays.origins[at], source, atol=1e-4)
    np.testing.assert_allclose(rays.directions[at], (pixel - source) / np.linalg.norm(pixel - source), atol=1e-6)


def test_view_rays_of_views_and_of_pixels_are_parts_of_all_rays():
    geometry = small_geometry()
    everything = view_rays(geometry)
    view, v, u = torch.tensor([6, 0, 3]), torch.tensor([0, 19, 7]), torch.tensor([23, 0, 11])
    index = (view * 20 + v) * 24 + u
    for pixels in ((view, v, u), torch.stack([view, v, u], 1)):
        some = view_rays(geometry, pixels=pixels)
        torch.testing.assert_close(some.origins, everything[index].origins)
        torch.testing.assert_close(some.directions, everything[index].directions)
    two = view_rays(geometry, views=[4, 1])
    torch.testing.assert_close(two.directions[480:], everything.directions[480:960])
    halfway = view_rays(geometry, pixels=(torch.tensor([0]), torch.tensor([9.5]), torch.tensor([11.5])))
    torch.testing.assert_close(halfway.directions, torch.tensor([[-1.0, 0.0, 0.0]]))


def test_any_length_of_direction_gives_the_same_ray():
    short = Rays(torch.tensor([[100.0, 0, 0]]), torch.tensor([[-0.001, 0, 0]]))
    long = Rays(torch.tensor([[100.0, 0, 0]]), torch.tensor([[-700.0, 0, 0]]))
    for rays in (short, long):
        assert line_integral(ones, rays, BOX, samples=4).item() == pytest.approx(60.0, rel=1e-6)


@pytest.mark.parametrize(
    "origins, directions",
    [
        (torch.zeros(2, 3), torch.tensor([[1.0, 0, 0], [0, 0, 0]])),
        (torch.zeros(1, 3), torch.tensor([[1.0, math.nan, 0]])),
        (torch.full((1, 3), math.inf), torch.ones(1, 3)),
        (torch.zeros(2, 3), torch.ones(3, 3)),
        (torch.zeros(3), torch.ones(3)),
    ],
)
def test_bad_rays_are_refused(origins, directions):
    with pytest.raises(InputError, match="rays"):
        Rays(origins, directions)


@pytest.mark.parametrize("pixel, name", [((7, 0, 0), "view"), ((0, 20, 0), "v"), ((0, 0, -1), "u")])
def test_pixels_off_the_detector_are_refused(pixel, name):
    with pytest.raises(InputError, match=f"view_rays: {name}"):
        view_rays(small_geometry(), pixels=torch.tensor([pixel]))


# -- closed forms -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("how", [{"samples": 1}, {"samples": 37}, {"step": 1.7}])
def test_constant_field_gives_the_chord(inside, how, device):
    here, rays = random_rays(500, inside=inside), random_rays(500, inside=inside, device=device)
    near, far = twins.clip(here.origins, here.directions, torch.tensor(BOX))
    chord = (far - near).clamp(min=0).float()
    assert (chord > 0).sum() > 100
    assert inside or (chord == 0).sum() > 50
    for jitter in (None, torch.Generator().manual_seed(1)):
        found = line_integral(lambda x: 0.02 * ones(x), rays, BOX, jitter=jitter, **how).cpu()
        torch.testing.assert_close(found, 0.02 * chord, rtol=2e-6, atol=2e-6)
        assert (found[chord == 0] == 0).all()
    spans = clip(rays, BOX).cpu()
    torch.testing.assert_close(spans[:, 1] - spans[:, 0], chord, rtol=1e-4, atol=2e-4)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_rays_along_an_axis(axis, sign):
    origin = torch.tensor([[10.0, 0.0, 20.0]]).repeat(3, 1)
    origin[0, axis] -= sign * 200
    origin[2, (axis + 1) % 3] += 500  # beside the box
    direction = torch.zeros(3, 3)
    direction[:, axis] = sign
    found = line_integral(ones, Rays(origin, direction), BOX, step=0.5)
    torch.testing.assert_close(found, torch.tensor([60.0, 30.0, 0.0]))  # from outside, from the middle, a miss


def test_a_ray_does_not_look_behind_its_origin():
    rays = Rays(torch.tensor([[100.0, 0, 0]]), torch.tensor([[1.0, 0, 0]]))
    assert line_integral(ones, rays, BOX, samples=8).item() == 0


def test_rays_that_miss_have_no_samples_and_never_reach_the_field():
    rays = random_rays(400)
    near, far = twins.clip(rays.origins, rays.directions, torch.tensor(BOX))
    missed = far <= near
    samples = march(rays, BOX, samples=16)
    assert torch.equal(samples.rays[:, 1] == 0, missed)
    assert len(samples.positions) == 16 * int((~missed).sum())
    low, high = torch.tensor(BOX)
    assert (samples.positions >= low).all() and (samples.positions <= high).all()
    alone = line_integral(lambda x: torch.full((len(x),), torch.nan), rays[missed], BOX, samples=16)
    assert torch.equal(alone, torch.zeros(int(missed.sum())))


def test_gaussian_blob_has_its_closed_form():
    """Line integral of exp(-r^2 / 2 s^2): sqrt(2 pi) s exp(-d^2 / 2 s^2), d the distance of the line from the centre."""
    sigma, centre = 4.0, torch.tensor([10.0, 0.0, 20.0])
    target = centre + 3 * torch.randn(200, 3, generator=torch.Generator().manual_seed(3))
    rays = Rays(random_rays(200).origins, target - random_rays(200).origins)
    towards = (centre - rays.origins).double()
    distance = torch.linalg.cross(towards, rays.directions.double()).norm(dim=1)
    exact = math.sqrt(2 * math.pi) * sigma * torch.exp(-(distance**2) / (2 * sigma**2))
    fine = line_integral(gaussian(centre, sigma), rays, BOX, step=1.0)
    torch.testing.assert_close(fine.double(), exact, rtol=2e-4, atol=2e-4)
    # Midpoint samples of a smooth function that fades inside the box converge faster than any power of the step.
    coarse = line_integral(gaussian(centre, sigma), rays, BOX, step=12.0)
    assert (coarse - exact).abs().max() > 20 * (fine - exact).abs().max()


def test_ball_converges_to_its_chord():
    radius, centre = 12.0, torch.tensor([5.0, -4.0, 20.0])
    rays = view_rays(small_geometry(volume_offset=(20.0, -4.0, 5.0)))
    towards = (centre - rays.origins).double()
    distance = torch.linalg.cross(towards, rays.directions.double()).norm(dim=1)
    exact = 0.03 * 2 * (radius**2 - distance**2).clamp(min=0).sqrt()
    errors = []
    for step in (4.0, 1.0, 0.25):
        found = line_integral(lambda x: 0.03 * ((x - centre).norm(dim=1) < radius).float(), rays, BOX, step=step)
        errors.append(float((found - exact).pow(2).mean().sqrt()))
    assert errors[0] > 2.5 * errors[1] > 6 * errors[2]
    assert errors[2] < 0.03 * 0.25
    assert exact.max() > 0.5


def test_linear_field_is_exact_with_one_sample():
    """The midpoint rule integrates a linear field exactly: mu at the middle of the chord times the chord."""
    slope = torch.tensor([0.001, -0.002, 0.0005])
    rays = random_rays(100, inside=True)
    near, far = twins.clip(rays.origins, rays.directions, torch.tensor(BOX))
    middle = rays.origins.double() + (0.5 * (near + far))[:, None] * rays.directions
    exact = (far - near) * (1 + middle @ slope.double())
    torch.testing.assert_close(line_integral(lambda x: 1 + x @ slope, rays, BOX, samples=1).double(), exact, rtol=1e-5, atol=1e-4)


# -- laws ---------------------------------------------------------------------------------------------------------------


@settings(max_examples=20, deadline=None)
@given(scale=st.floats(0.01, 100), shift=st.tuples(*[st.floats(-50, 50)] * 3), seed=st.integers(0, 1000))
def test_scaling_and_moving_everything(scale, shift, seed):
    """All lengths times s: the sum times s, the maximum unchanged. Everything moved: nothing changes."""
    rays, bounds, offset = random_rays(50, seed), torch.tensor(BOX), torch.tensor(shift)
    field = gaussian(torch.tensor([10.0, 0.0, 20.0]), 15.0)
    other = Rays((rays.origins + offset) * scale, rays.directions)
    moved_box = (bounds + offset) * scale
    for mode, factor in (("sum", scale), ("max", 1.0)):
        here = line_integral(field, rays, bounds, samples=24, mode=mode)
        there = line_integral(lambda x: field(x / scale - offset), other, moved_box, samples=24, mode=mode)
        torch.testing.assert_close(there, factor * here, rtol=2e-3, atol=2e-3 * factor)


def test_no_field_no_integral_and_linearity():
    rays = random_rays(60)
    field, other = gaussian(torch.tensor([10.0, 0.0, 20.0]), 9.0), gaussian(torch.tensor([0.0, 5.0, 10.0]), 4.0)
    assert (line_integral(lambda x: 0 * ones(x), rays, BOX, samples=9) == 0).all()
    both = line_integral(lambda x: 2 * field(x) - 3 * other(x), rays, BOX, samples=64)
    parts = 2 * line_integral(field, rays, BOX, samples=64) - 3 * line_integral(other, rays, BOX, samples=64)
    torch.testing.assert_close(both, parts, rtol=1e-5, atol=1e-4)


def test_agrees_with_the_projector_on_a_voxel_grid():
    """March through the trilinear interpolation of a grid: Joseph's method differs by h^2, a quarter with half the voxel."""

    def difference(geometry: ConeBeamGeometry) -> float:
        z, y, x = (torch.from_numpy(geometry.voxel_centres(axis)).float() for axis in range(3))
        volume = 0.02 * torch.exp(-((z[:, None, None] / 8) ** 2 + ((y[:, None] - 3) / 7) ** 2 + ((x + 4) / 7) ** 2))
        low, high = torch.from_numpy(geometry.volume_bounds).float()

        def trilinear(positions: torch.Tensor) -> torch.Tensor:
            unit = ((positions - low) / (high - low) * 2 - 1)[None, None, None]
            return torch.nn.functional.grid_sample(volume[None, None], unit, align_corners=False, padding_mode="border").reshape(-1)

        expected = Projector(geometry).forward(volume).reshape(-1)
        assert expected.max() > 0.2
        found = line_integral(trilinear, view_rays(geometry), geometry.volume_bounds, step=0.4)
        return float((found - expected).abs().max() / expected.max())

    coarse = difference(small_geometry())
    fine = difference(small_geometry().with_volume((48, 56, 64)))
    assert coarse < 8e-3
    assert fine < 0.35 * coarse


# -- step, jitter, chunks, occupancy ------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [0.3, 7.0, 1000.0])
def test_step_is_the_longest_dt(step):
    rays = random_rays(100, inside=True)
    samples = march(rays, BOX, step=step)
    near, far = twins.clip(rays.origins, rays.directions, torch.tensor(BOX))
    assert samples.ts[:, 1].max() <= step * (1 + 1e-6)
    assert torch.equal(samples.rays[:, 1], torch.ceil((far - near) / step * (1 - 1e-9)).long())
    exactly = march(Rays(torch.tensor([[-100.0, 0, 0]]), torch.tensor([[1.0, 0, 0]])), BOX, step=0.6)
    assert exactly.rays[0, 1] == 100  # a chord of 60 mm


def test_jitter_is_stratified_and_a_function_of_the_generator():
    rays = random_rays(64, inside=True)
    one, same, other = (march(rays, BOX, samples=32, jitter=torch.Generator().manual_seed(seed)) for seed in (5, 5, 6))
    assert torch.equal(one.positions, same.positions) and torch.equal(one.ts, same.ts)
    assert not torch.equal(one.ts, other.ts)
    generator = torch.Generator().manual_seed(5)
    march(rays, BOX, samples=32, jitter=generator)
    assert not torch.equal(march(rays, BOX, samples=32, jitter=generator).ts, one.ts)
    numbers = [march(rays, BOX, samples=32, jitter=np.random.default_rng(seed)).ts for seed in (1, 1, 2)]
    assert torch.equal(numbers[0], numbers[1]) and not torch.equal(numbers[0], numbers[2])
    near = twins.clip(rays.origins, rays.directions, torch.tensor(BOX))[0]
    place = ((one.ts[:, 0].double().reshape(64, 32) - near[:, None]) / one.ts[:, 1].reshape(64, 32)) - torch.arange(32)
    assert place.min() > -1e-4 and place.max() < 1 + 1e-4


def test_jitter_is_uniform_and_uncorrelated():
    place = twins.jitter(123456789, 400, 400)  # the kernel's own numbers: test_march_matches_its_twin
    counts = torch.histc(place.float(), 50, 0, 1)
    expected = place.numel() / 50
    chi_squared = float(((counts - expected) ** 2 / expected).sum())
    assert 20 < chi_squared < 95  # 49 degrees of freedom: 1e-4 tails
    centred = place - 0.5
    for shifted in (centred.roll(1, 0), centred.roll(1, 1), centred.T):
        assert abs(float((centred * shifted).mean())) < 5 / 12 / math.sqrt(place.numel())


def test_jitter_is_unbiased_where_the_midpoint_is_not():
    rays = Rays(torch.tensor([[-100.0, 3.0, 20.0]]).repeat(20000, 1), torch.tensor([[1.0, 0.05, 0.02]]).repeat(20000, 1))

    def field(x: torch.Tensor) -> torch.Tensor:
        return torch.exp(-x[:, 0] / 8)

    exact = line_integral(field, rays[:1], BOX, samples=20000).item()
    jittered = line_integral(field, rays, BOX, samples=4, jitter=torch.Generator().manual_seed(0))
    error = abs(float(jittered.mean()) - exact)
    assert error < 4 * float(jittered.std()) / math.sqrt(20000)
    assert abs(line_integral(field, rays[:1], BOX, samples=4).item() - exact) > 4 * error


@pytest.mark.parametrize("how", [{"samples": 33}, {"step": 2.5}])
@pytest.mark.parametrize("mode", ["sum", "max"])
def test_chunks_do_not_change_anything(how, mode, device):
    rays = random_rays(300, device=device)
    seen = []

    def field(x: torch.Tensor) -> torch.Tensor:
        seen.append(len(x))
        return gaussian(torch.tensor([10.0, 0.0, 20.0]), 9.0)(x)

    whole = line_integral(field, rays, BOX, mode=mode, jitter=torch.Generator().manual_seed(2), **how)
    assert len(seen) == 1
    pieces = line_integral(field, rays, BOX, mode=mode, jitter=torch.Generator().manual_seed(2), chunk=100, **how)
    assert len(seen) > 20 and max(seen[1:]) <= 100 and sum(seen[1:]) == seen[0]
    torch.testing.assert_close(pieces.cpu(), whole.cpu(), rtol=1e-6, atol=1e-7)
    line_integral(field, rays[:20], BOX, mode=mode, chunk=1, **how)  # always at least one whole ray


def test_occupancy_leaves_out_empty_cells_only():
    rays, (low, high) = random_rays(200), torch.tensor(BOX)
    occupied = torch.zeros(5, 6, 4, dtype=torch.bool)
    occupied[1:4, 2:5, 1:3] = True

    def field(x: torch.Tensor) -> torch.Tensor:
        cell = ((x - low) / (high - low) * torch.tensor([4, 6, 5])).long()
        return occupied[cell[:, 2], cell[:, 1].clamp(max=5), cell[:, 0].clamp(max=3)].float() * (1 + 0.01 * x[:, 0])

    how = dict(step=0.7)
    full, sparse = march(rays, BOX, **how), march(rays, BOX, occupancy=occupied, **how)
    assert 0 < len(sparse.positions) < 0.5 * len(full.positions)
    everywhere = line_integral(field, rays, BOX, jitter=torch.Generator().manual_seed(4), **how)
    skipping = line_integral(field, rays, BOX, jitter=torch.Generator().manual_seed(4), occupancy=occupied, **how)
    torch.testing.assert_close(skipping, everywhere, rtol=1e-5, atol=2e-2)  # a sample on a cell's face may count to either side
    assert everywhere.max() > 10
    all_cells = march(rays, BOX, occupancy=torch.ones(3, 3, 3), jitter=torch.Generator().manual_seed(4), **how)
    jittered = march(rays, BOX, jitter=torch.Generator().manual_seed(4), **how)
    assert all(torch.equal(a, b) for a, b in zip(all_cells, jittered, strict=True))
    assert (line_integral(ones, rays, BOX, occupancy=torch.zeros(2, 2, 2), **how) == 0).all()


def test_no_rays_at_all(device):
    rays = Rays(torch.zeros(0, 3, device=device), torch.zeros(0, 3, device=device))
    assert line_integral(ones, rays, BOX, samples=3).shape == (0,)
    assert line_integral(ones, rays, BOX, step=1.0, mode="max").shape == (0,)


# -- twins --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [None, 7])
def test_march_matches_its_twin(seed, device):
    rays = random_rays(300)
    number = None if seed is None else int(torch.randint(1 << 31, (), generator=torch.Generator().manual_seed(seed)))
    jitter = None if seed is None else torch.Generator().manual_seed(seed)
    found = [part.cpu() for part in march(random_rays(300, device=device), BOX, samples=21, jitter=jitter)]
    positions, ts, table = twins.march(rays.origins, rays.directions, torch.tensor(BOX), 21, number)
    assert torch.equal(found[2], table)
    torch.testing.assert_close(found[0].double(), positions, rtol=0, atol=1e-4)
    torch.testing.assert_close(found[1].double(), ts, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize("how", [{"samples": 9}, {"step": 1.3}])
@pytest.mark.parametrize("jittered", [False, True])
def test_skipping_cells_is_the_same_on_any_device(how, jittered, device):
    cells = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(1)) > 0.5

    def marched(where: str) -> list[torch.Tensor]:
        jitter = torch.Generator().manual_seed(3) if jittered else None
        samples = march(random_rays(200, device=where), BOX, occupancy=cells.to(where), jitter=jitter, **how)
        return [part.cpu() for part in samples]

    (positions, ts, table), expected = marched(device), marched("cpu")
    assert torch.equal(table, expected[2]) and 500 < len(positions) == int(table[:, 1].sum())
    torch.testing.assert_close(positions, expected[0], rtol=0, atol=1e-4)
    torch.testing.assert_close(ts, expected[1], rtol=1e-6, atol=1e-4)


def packed(seed: int = 0, device: str = "cpu") -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Random samples of rays with 0 to 40 samples each."""
    generator = torch.Generator().manual_seed(seed)
    counts = torch.randint(0, 41, (70,), generator=generator)
    mu, ts = torch.randn(int(counts.sum()), generator=generator), torch.rand(int(counts.sum()), 2, generator=generator)
    return mu.to(device).requires_grad_(), ts.to(device), torch.stack([counts.cumsum(0) - counts, counts], 1).to(device)


def test_composites_match_their_twins_in_value_and_gradient(device):
    (mu, ts, table), (there, ts_there, table_there) = packed(), packed(device=device)
    weight = torch.randn(len(table), generator=torch.Generator().manual_seed(9))
    for ours, twin in (
        (composite_rays_xray(there, ts_there, table_there), twins.composite_sum(mu, ts, table)),
        (composite_max(there, table_there), twins.composite_max(mu, table)),
    ):
        torch.testing.assert_close(ours.cpu(), twin, rtol=1e-5, atol=1e-5)
        (gradient,), (expected,) = torch.autograd.grad(ours, there, weight.to(device)), torch.autograd.grad(twin, mu, weight)
        torch.testing.assert_close(gradient.cpu(), expected, rtol=1e-6, atol=0)


def test_gradient_of_the_sum_is_dt(device):
    mu, ts, table = packed(device=device)
    (gradient,) = torch.autograd.grad(composite_rays_xray(mu, ts, table).sum(), mu)
    assert torch.equal(gradient.cpu(), ts[:, 1].cpu())


def test_second_derivatives(device):
    """Both composites are (piecewise) linear in mu: differentiating the gradient with respect to its input gives them back."""
    mu, ts, table = packed(device=device)
    for composite in (lambda m: composite_rays_xray(m, ts, table), lambda m: composite_max(m, table)):
        values = torch.randn(len(table)).to(device).requires_grad_()
        (gradient,) = torch.autograd.grad(composite(mu), mu, values, create_graph=True)
        (back,) = torch.autograd.grad(gradient, values, mu.detach(), create_graph=True)
        torch.testing.assert_close(back.cpu(), composite(mu).cpu(), rtol=1e-5, atol=1e-5)


def test_gradients_reach_the_field():
    """d/d a of the integral of a f is the integral of f, through positions, chunks and composite."""
    rays, amplitude = random_rays(80), torch.tensor(0.7, requires_grad=True)
    field = gaussian(torch.tensor([10.0, 0.0, 20.0]), 9.0)
    weight = torch.rand(80, generator=torch.Generator().manual_seed(0))
    for chunk in (1 << 20, 200):
        found = line_integral(lambda x: amplitude * field(x)[:, None], rays, BOX, samples=50, chunk=chunk)
        (gradient,) = torch.autograd.grad(found, amplitude, weight)
        expected = (weight * line_integral(field, rays, BOX, samples=50)).sum()
        torch.testing.assert_close(gradient, expected)


def test_maximum_mode_finds_the_peak():
    centre = torch.tensor([10.0, 0.0, 20.0])
    rays = Rays(torch.tensor([[-90.0, 0.0, 20.0], [10.0, 200.0, 23.0]]), torch.tensor([[1.0, 0, 0], [0, -1.0, 0]]))
    peaks = line_integral(gaussian(centre, 6.0), rays, BOX, step=0.05, mode="max")
    torch.testing.assert_close(peaks, torch.tensor([1.0, math.exp(-9 / 72)]), rtol=1e-4, atol=0)
    doubled = line_integral(gaussian(centre, 6.0), rays, BOX, step=0.025, mode="max")
    torch.testing.assert_close(peaks, doubled, rtol=1e-4, atol=0)  # a maximum does not grow with the number of samples


def test_maximum_keeps_nan_and_takes_the_first_of_equals(device):
    table = torch.tensor([[0, 3], [3, 3], [6, 0]], device=device)
    mu = torch.tensor([1.0, torch.nan, 5.0, 2.0, 2.0, 1.0], device=device).requires_grad_()
    found = composite_max(mu, table)
    assert torch.isnan(found[0]) and found[1] == 2 and found[2] == 0
    (gradient,) = torch.autograd.grad(found[1], mu)
    assert gradient.tolist() == [0, 0, 0, 1, 0, 0]


def test_same_bits_for_any_number_of_threads():
    rays, before, results = random_rays(700), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            samples = march(rays, BOX, step=0.9, jitter=torch.Generator().manual_seed(0), occupancy=torch.rand(4, 4, 4).gt(-1))
            mu = torch.sin(samples.positions.sum(1).double()).float().requires_grad_()
            total, most = composite_rays_xray(mu, samples.ts, samples.rays), composite_max(mu, samples.rays)
            (gradient,) = torch.autograd.grad(total.sum() + most.sum(), mu)
            results.append((*samples, total.detach(), most.detach(), gradient))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


# -- mistakes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keywords, text",
    [
        ({}, "either samples"),
        ({"samples": 3, "step": 1.0}, "found both"),
        ({"samples": 0}, "1 or more"),
        ({"step": -1.0}, "positive length in mm"),
        ({"step": math.nan}, "positive length in mm"),
        ({"step": 1e-7}, "Is the step in mm"),
        ({"samples": 3, "mode": "mean"}, "'sum' or 'max'"),
        ({"samples": 3, "occupancy": torch.ones(3, 3)}, "cells"),
    ],
)
def test_wrong_arguments_say_what_to_do(keywords, text):
    with pytest.raises(InputError, match=text):
        line_integral(ones, random_rays(5, inside=True), BOX, **keywords)


@pytest.mark.parametrize("bounds", [[[0, 0, 0], [1, 1, 0]], [[0, 0, 0]], [[0, 0, math.nan], [1, 1, 1]]])
def test_a_box_without_volume_is_refused(bounds):
    with pytest.raises(InputError, match="bounds"):
        line_integral(ones, random_rays(5), bounds, samples=2)


def test_a_field_that_answers_in_another_shape_is_refused():
    with pytest.raises(InputError, match="mu of shape"):
        line_integral(lambda x: x, random_rays(5, inside=True), BOX, samples=2)


@pytest.mark.parametrize("table", [[[0, 4], [3, 2]], [[0, 4], [4, 3]], [[-1, 2], [4, 2]], [[0, -2], [0, 1]]])
def test_tables_that_are_not_packed_are_refused(table, device):
    with pytest.raises(InputError, match="composite: rays"):
        composite_rays_xray(torch.ones(6, device=device), torch.ones(6, 2, device=device), torch.tensor(table, device=device))


def test_composite_arguments_are_checked():
    table = torch.tensor([[0, 6]])
    with pytest.raises(InputError, match="composite: ts"):
        composite_rays_xray(torch.ones(6), torch.ones(6, 3), table)
    with pytest.raises(InputError, match="composite: mu"):
        composite_max(torch.ones(6, dtype=torch.float64), table)
    with pytest.raises(InputError, match="composite: rays"):
        composite_max(torch.ones(6), table.int())


def test_rays_are_values():
    with pytest.raises(dataclasses.FrozenInstanceError):
        random_rays(2).origins = torch.zeros(2, 3)
