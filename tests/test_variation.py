"""Regularisers of the neural methods: total variation in units of the data term, and weights from photon statistics."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from balls import ball_scan, scanner

import benchmark.methods.naf
import benchmark.methods.naf.reconstruct as naf
import benchmark.methods.zerorf
import benchmark.methods.zerorf.reconstruct as zerorf
from benchmark.api import MethodSpec, Projector, Reconstruction, Run, Scan, TotalVariation, TvProblem, choose_tv_weight, fista
from benchmark.fields import Variation, Weighting, field_volume, guided_fit, total_variation, variation_weight
from benchmark.fields.fitting.guided import edge_weights
from benchmark.methods.naf import NafParams
from benchmark.methods.zerorf import ZeroRFParams
from benchmark.methods.zerorf.losses import half_resolution
from benchmark.records.budget import Budget

BOTH = [("naf", "rays"), ("naf", "grid"), ("zerorf", "grid"), ("zerorf", "rays")]


pytestmark = pytest.mark.usefixtures("one_thread")


def padded_noise(shape: tuple[int, int, int], seed: int = 0) -> torch.Tensor:
    """Random inside, 0 at the faces."""
    volume = torch.zeros(shape)
    inner = volume[1:-1, 1:-1, 1:-1]
    inner.copy_(torch.rand(inner.shape, generator=torch.Generator().manual_seed(seed)))
    return volume


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 0.5)])
def test_the_mean_times_the_voxels_is_the_kernels_sum(spacing: tuple[float, float, float]) -> None:
    volume = padded_noise((7, 8, 9))
    edge = float(np.prod(spacing)) ** (1 / 3)
    found = total_variation(volume, [length / edge for length in spacing]) * (6 * 7 * 8)
    assert float(found) == pytest.approx(TotalVariation((7, 8, 9), spacing).value(volume), rel=1e-4)


def test_an_axis_of_one_voxel_has_no_gradient() -> None:
    ramp = 3 * torch.arange(6.0).expand(1, 5, 6)
    assert float(total_variation(ramp, (1.0, 1.0, 1.0))) == pytest.approx(3, rel=1e-5)
    assert float(total_variation(torch.ones(1, 1, 1), (1.0, 1.0, 1.0))) < 1e-3
    both = torch.stack([ramp, 2 * ramp])
    assert float(total_variation(both, (1.0, 1.0, 1.0))) == pytest.approx(4.5, rel=1e-5)


@pytest.mark.parametrize("weight", [0.003, 0.03])
def test_the_loss_is_the_objective_of_the_tv_problem(weight: float) -> None:
    """Up to one factor, 2 kappa / pixels, which no minimum depends on."""
    scan, _ = ball_scan(size=12, views=5)
    problem, volume = TvProblem(scan.geometry, torch.tensor(scan.projections)), 0.02 * padded_noise((12, 12, 12))
    projected = problem.projector.forward(volume)
    objective = problem.misfit(projected) + weight * problem.attenuation * problem.variation.value(volume)
    pixels = scan.projections.size
    loss = (projected - problem.data).square().mean() + Variation(scan, weight, pixels).of_volume(volume)
    assert float(loss) == pytest.approx(2 * problem.kappa / pixels * objective, rel=1e-4)


def test_the_grid_does_not_change_what_a_smooth_volume_costs() -> None:
    scan, _ = ball_scan(size=32, views=4)
    variation, half = Variation(scan, 0.01, scan.projections.size), half_resolution(scan)

    def field(positions: torch.Tensor) -> torch.Tensor:
        return torch.exp(-positions.square().sum(1) / (2 * 30**2))

    fine, coarse = (float(variation.of_volume(field_volume(field, each.geometry))) for each in (scan, half))
    assert coarse == pytest.approx(fine, rel=0.1)


def test_random_points_of_a_field_cost_what_its_volume_does() -> None:
    scan = ball_scan(size=24, views=4)[0]
    scan = Scan(scan.projections, dataclasses.replace(scan.geometry, volume_spacing=(8.0, 6.0, 7.0), volume_offset=(3.0, 0.0, -9.0)))
    variation, generator = Variation(scan, 0.01, 1000), torch.Generator().manual_seed(0)
    lower, upper = torch.tensor(scan.geometry.volume_bounds, dtype=torch.float32)

    def ramp(positions: torch.Tensor) -> torch.Tensor:
        assert (positions >= lower).all() and (positions <= upper).all()
        return positions @ torch.tensor([0.3, -0.2, 0.7])

    expected = float(variation.of_volume(field_volume(ramp, scan.geometry)))
    assert float(variation.of_field(ramp, generator)) == pytest.approx(expected, rel=1e-4)

    def bump(positions: torch.Tensor) -> torch.Tensor:
        return torch.exp(-positions.square().sum(1) / (2 * 25**2))

    draws = [float(variation.of_field(bump, generator)) for _ in range(100)]
    expected = float(variation.of_volume(field_volume(bump, scan.geometry, supersample=1)))
    assert abs(np.mean(draws) - expected) < 4 * np.std(draws) / np.sqrt(len(draws)) + 0.01 * expected


def test_a_slice_has_a_variation_too() -> None:
    geometry = scanner(views=6, size=16, volume_shape=(1, 16, 16), volume_spacing=(12.0, 12.0, 12.0))
    scan = Scan(Projector(geometry).forward(torch.full((1, 16, 16), 0.02)).numpy(), geometry)
    variation = Variation(scan, 0.01, 100)
    found = variation.of_field(lambda positions: positions[:, 0], torch.Generator().manual_seed(0))
    assert float(found) == pytest.approx(float(variation.of_volume(field_volume(lambda p: p[:, 0], geometry))), rel=1e-4)


def test_a_number_is_taken_and_auto_is_what_the_rule_chooses() -> None:
    scan, _ = ball_scan(size=12, views=8)
    assert variation_weight(0.004, scan, Run()) == 0.004
    expected = choose_tv_weight(scan, torch.tensor(scan.projections), Run(), nonnegative=True, inner=5).weight
    assert variation_weight("auto", scan, Run()) == expected


# -- data weighting -----------------------------------------------------------------------------------------------------


def noisy(scan: Scan, photons: float = 1e4) -> Scan:
    return dataclasses.replace(scan, photons=photons)


def test_weights_are_the_photons_that_come_through() -> None:
    scan = noisy(ball_scan(size=12, views=4)[0])
    weighting, values = Weighting(scan, "photons"), torch.tensor(scan.projections)
    squares = weighting.residual(values + 1, values).square()
    assert float(squares.mean()) == pytest.approx(1, rel=1e-4)
    torch.testing.assert_close(squares / squares.max(), torch.exp(-values) / torch.exp(-values).max(), rtol=1e-3, atol=1e-4)
    assert Weighting(scan, "equal").by == "equal"
    torch.testing.assert_close(Weighting(scan, "equal").residual(values + 1, values), torch.ones_like(values))


def test_weighted_residuals_of_noise_have_one_variance() -> None:
    """The purpose of it: rays through more matter are noisier by as much as they count less."""
    photons, rng = 1e4, np.random.default_rng(0)
    exact = np.repeat(np.array([0.5, 4.0], np.float32), 4000).reshape(1, 80, 100)
    geometry = scanner(views=1, detector_shape=(80, 100))
    measured = -np.log(np.maximum(rng.poisson(photons * np.exp(-exact)), 1) / photons).astype(np.float32)
    scan = Scan(measured, geometry, photons=photons)
    residual = Weighting(scan, "photons").residual(torch.tensor(exact), torch.tensor(measured)).view(2, -1)
    assert float(residual[0].var() / residual[1].var()) == pytest.approx(1, rel=0.15)


def test_a_scan_that_does_not_know_its_photons_is_not_weighted() -> None:
    scan, _ = ball_scan(size=12, views=4)
    assert scan.photons is None and Weighting(scan, "photons").by == "equal"


# -- in the methods -----------------------------------------------------------------------------------------------------


def reconstruct(method: str, scan: Scan, **changes: Any) -> Reconstruction:
    small: dict[str, Any] = {"steps": 25, "hidden": 16, "refine": 0, "rays": 256, "learning_rate": 0.02}
    if method == "naf":
        return naf.reconstruct(scan, NafParams(**{**small, "base": 4, "log2_entries": 12, **changes}), Run())
    shape = {"members": 1, "rays_end": 256, "channels": (8, 8), "features": 4}
    return zerorf.reconstruct(scan, ZeroRFParams(**{**small, **shape, **changes}), Run())


@pytest.mark.parametrize(("method", "render"), BOTH)
def test_more_weight_makes_flatter_volumes(method: str, render: str) -> None:
    scan, _ = ball_scan(size=12, views=6, noise=0.3)
    plain, smooth = (reconstruct(method, scan, render=render, tv=tv, steps=50) for tv in (0.0, 1.0))
    assert smooth.volume.std() < 0.95 * plain.volume.std()
    assert (plain.info["tv"], smooth.info["tv"]) == (0.0, 1.0)


@pytest.mark.parametrize(("method", "render"), BOTH)
def test_pixels_that_no_photon_reached_say_nothing_by_photon_weights(method: str, render: str) -> None:
    """Two scans that differ only there give the same volume by "photons" and another one by "equal", or where nobody knows the photons."""
    scan, _ = ball_scan(size=12, views=4)

    def volume(left: float, right: float, weighting: str, photons: float | None = 1e5) -> np.ndarray:
        projections = np.array(scan.projections)
        projections[:, 6:12, 4:8], projections[:, 6:12, 8:12] = left, right
        opaque = dataclasses.replace(scan, projections=projections, photons=photons)
        found = reconstruct(method, opaque, render=render, steps=8, weighting=weighting)
        assert found.info["weighting"] == (weighting if photons else "equal")
        return found.volume / found.volume.max()

    equal, unequal = volume(60.0, 90.0, "equal"), volume(90.0, 60.0, "equal")
    np.testing.assert_allclose(volume(60.0, 90.0, "photons"), volume(90.0, 60.0, "photons"), rtol=0, atol=1e-5)
    assert float(np.abs(equal - unequal).max()) > 1e-3
    assert volume(60.0, 90.0, "photons", photons=None).tobytes() == equal.tobytes()


@pytest.mark.parametrize(
    ("method", "regularised"),
    [(benchmark.methods.naf.SPEC, {"tv": "tv"}), (benchmark.methods.zerorf.SPEC, {"tv": "tv", "guided": "guided"})],
)
def test_pure_presets_have_no_regulariser(method: MethodSpec, regularised: dict[str, str]) -> None:
    usual = method.params().model_dump()
    assert all(not usual[weight] for weight in regularised.values())
    assert set(method.presets) - {"tcnn"} == {"paper", "fast", *regularised}
    paper = method.params(**method.presets["paper"]).model_dump()
    assert all(not paper[weight] for weight in regularised.values())
    assert method.params(**method.presets["fast"]).model_dump() == usual
    for preset, weight in regularised.items():
        assert method.params(**method.presets[preset]).model_dump() == {**usual, weight: "auto"}


def test_edges_of_a_guide_weigh_less_than_the_rest() -> None:
    guide = torch.zeros(6, 8, 10)
    guide[:, 4:] = 0.05
    weights = edge_weights(guide, (1.0, 1.0, 1.0), attenuation=0.02)
    assert float(weights.mean()) == pytest.approx(1, rel=1e-5)
    at_edge, away = weights[:, 3], weights[:, [0, 1, 2, 4, 5, 6, 7]]
    assert torch.equal(away, torch.full_like(away, float(away[0, 0, 0])))
    torch.testing.assert_close(at_edge, away[:, :1].squeeze(1) / (1 + 0.05 / 0.02))
    coarse = edge_weights(guide, (1.0, 2.0, 0.5), attenuation=0.02)  # the same step over twice the length
    assert float(coarse[0, 3, 0] / coarse[0, 0, 0]) == pytest.approx(1 / (1 + 0.05 / 2 / 0.02), rel=1e-4)


def test_a_guide_that_knows_the_edges_helps() -> None:
    scan, truth = ball_scan(views=5)
    flat, ball = torch.zeros(truth.shape), torch.from_numpy(truth)
    assert guided_fit(flat, scan, 0.0, Run()) is flat
    errors = []
    for guide in (flat, ball):
        problem = TvProblem(scan.geometry, torch.tensor(scan.projections))
        problem.weigh(edge_weights(guide, (8.0, 8.0, 8.0), 0.02))
        *_, end = fista(problem, 1.0, range(100), tolerance=0, inner=5)  # both from nothing, and smoothed too much
        errors.append(float((end.x - ball).square().mean()))
    assert errors[1] < 0.7 * errors[0]
    fitted = guided_fit(flat, scan, 0.01, Run())
    assert (fitted >= 0).all() and float((fitted - ball).square().mean()) < 0.1 * float(ball.square().mean())


@pytest.mark.parametrize("steps", [0, 3])
def test_a_guided_fit_keeps_to_the_budget(steps: int) -> None:
    (scan, _), run = ball_scan(views=5), Run(budget=Budget(steps=steps))
    guide = torch.full(scan.geometry.volume_shape, 0.01)
    found = guided_fit(guide, scan, 0.01, run)
    assert run.step == steps and torch.equal(found, guide) == (steps == 0)
