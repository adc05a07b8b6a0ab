"""FISTA-TV: the proximal operator and its kernels, convergence, and the weight chosen from the scan alone."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import numpy as np
import pytest
import torch
from balls import ball_scan, error, watched
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from benchmark.api import InputError, Run, Scan, TotalVariation
from benchmark.methods.fista_tv import FistaTvParams
from benchmark.methods.fista_tv.reconstruct import reconstruct
from benchmark.reconstruction import tv_weight
from benchmark.reconstruction.coarser import pyramid, upsampled
from benchmark.reconstruction.tv_problem import TvProblem, fista
from benchmark.reconstruction.tv_subsets import subset_steps
from benchmark.reconstruction.tv_weight import FALLBACK, WEIGHTS, choose_tv_weight, chosen, minimum
from benchmark.records.budget import Budget

SHAPES = st.tuples(*[st.integers(1, 9)] * 3)


def gradient(x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """The plain-torch twin of the kernels' forward differences, [3, z, y, x]."""
    parts = []
    for axis in range(3):
        last = x.narrow(axis, x.shape[axis] - 1, 1)
        parts.append(torch.diff(x, dim=axis, append=last) * scale[axis])
    return torch.stack(parts)


def plain_prox(
    target: torch.Tensor, weight: float, scale: torch.Tensor, iterations: int, floor: float, weights: torch.Tensor
) -> torch.Tensor:
    """The twin of the proximal operator, `weights` those of the voxels: the transposed differences come from autograd."""

    def primal(dual: torch.Tensor) -> torch.Tensor:
        x = torch.zeros_like(target, requires_grad=True)
        (transposed,) = torch.autograd.grad((gradient(x, scale) * dual).sum(), x)
        return (target - weight * transposed).clamp(min=floor)

    p = q = torch.zeros(3, *target.shape, dtype=target.dtype)
    t = 1.0
    for _ in range(iterations):
        new = q + gradient(primal(q), scale) / (4 * float((scale**2).sum()) * weight)
        new = new * (weights / new.square().sum(0).sqrt().clamp(min=1e-30)).clamp(max=1)
        t_next = (1 + (1 + 4 * t * t) ** 0.5) / 2
        p, q, t = new, new + (t - 1) / t_next * (new - p), t_next
    return primal(p)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=SHAPES, weight=st.floats(0.05, 2.0), nonnegative=st.booleans(), weighted=st.booleans(), seed=st.integers(0, 1000))
def test_kernels_against_the_plain_twin(
    shape: tuple[int, int, int], weight: float, nonnegative: bool, weighted: bool, seed: int, device: str
) -> None:
    target, weights = torch.randn(2, *shape, generator=torch.Generator().manual_seed(seed)).unbind(0)
    weights = weights.abs() if weighted else torch.ones(shape)
    spacing = (1.0, 2.0, 0.5)
    mean = float(np.prod(spacing)) ** (1 / 3)
    scale = torch.tensor([mean / s if n > 1 else 0.0 for s, n in zip(spacing, shape, strict=True)])
    variation = TotalVariation(shape, spacing, device, weights.to(device) if weighted else None)
    value = float((weights * gradient(target, scale).square().sum(0).sqrt()).sum())
    assert variation.value(target.to(device)) == pytest.approx(value, rel=1e-5, abs=1e-5)
    if max(shape) > 1:
        expected = plain_prox(target, weight, scale, 7, 0.0 if nonnegative else -torch.inf, weights)
        found = variation.prox(target.to(device), weight, iterations=7, nonnegative=nonnegative)
        torch.testing.assert_close(found.cpu(), expected, rtol=1e-4, atol=1e-4)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=SHAPES, smoothing=st.sampled_from([1e-3, 0.5, 10.0]), weighted=st.booleans(), seed=st.integers(0, 1000))
def test_the_gradient_is_that_of_the_smoothed_variation(
    shape: tuple[int, int, int], smoothing: float, weighted: bool, seed: int, device: str
) -> None:
    """Huber's function of each length, differentiated by torch: s^2 / (2 smoothing) up to weight * smoothing, from there a line."""
    x, weights = torch.randn(2, *shape, generator=torch.Generator().manual_seed(seed)).unbind(0)
    weights = weights.abs() if weighted else torch.ones(shape)
    spacing = (1.0, 2.0, 0.5)
    scale = torch.tensor([1 / s if n > 1 else 0.0 for s, n in zip(spacing, shape, strict=True)])
    variation = TotalVariation(shape, spacing, device, weights.to(device) if weighted else None)
    found = variation.gradient(x.to(device), smoothing).cpu()
    x.requires_grad_()
    square = gradient(x, scale).square().sum(0)
    lengths, bound = square.clamp(min=1e-20).sqrt(), weights * smoothing
    torch.where(square <= bound**2, square / (2 * smoothing), weights * (lengths - bound / 2)).sum().backward()
    torch.testing.assert_close(found, x.grad, rtol=1e-4, atol=1e-4)


def test_the_proximal_point_is_a_minimum() -> None:
    target = torch.randn(6, 7, 8, generator=torch.Generator().manual_seed(0))
    variation = TotalVariation(target.shape)  # type: ignore[arg-type]
    best = variation.prox(target, 0.3, iterations=2000, nonnegative=False)

    def value(x: torch.Tensor) -> float:
        return float((x - target).double().square().sum()) / 2 + 0.3 * variation.value(x)

    generator = torch.Generator().manual_seed(1)
    for size in (1e-1, 1e-2):
        for _ in range(20):
            assert value(best + size * torch.randn(target.shape, generator=generator)) > value(best)
    assert best.mean() == pytest.approx(float(target.mean()), abs=1e-4)  # TV does not see a constant


def test_a_large_weight_leaves_the_mean_and_none_leaves_the_target() -> None:
    target = torch.rand(5, 5, 5, generator=torch.Generator().manual_seed(0))
    variation = TotalVariation(target.shape)  # type: ignore[arg-type]
    flat = variation.prox(target, 100.0, iterations=3000)
    torch.testing.assert_close(flat, torch.full_like(flat, float(target.mean())), atol=2e-3, rtol=0)
    torch.testing.assert_close(variation.prox(target - 0.5, 0.0), (target - 0.5).clamp(min=0))


def test_a_warm_dual_saves_iterations_and_can_be_forgotten() -> None:
    target = torch.rand(8, 8, 8, generator=torch.Generator().manual_seed(0))
    exact = TotalVariation(target.shape).prox(target, 0.3, iterations=1000)  # type: ignore[arg-type]
    variation = TotalVariation(target.shape)  # type: ignore[arg-type]
    errors = [float((variation.prox(target, 0.3, iterations=5) - exact).norm()) for _ in range(8)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.4 * errors[0]
    variation.restart()
    assert float((variation.prox(target, 0.3, iterations=5) - exact).norm()) == pytest.approx(errors[0], rel=1e-4)


def test_threads_do_not_change_a_bit() -> None:
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            target = torch.rand(13, 11, 17, generator=torch.Generator().manual_seed(0))
            variation = TotalVariation(target.shape)  # type: ignore[arg-type]
            results.append((variation.prox(target, 0.2, iterations=9), variation.value(target)))
    finally:
        torch.set_num_threads(before)
    for x, value in results[1:]:
        assert torch.equal(x, results[0][0]) and value == results[0][1]


def test_wrong_tensors_are_refused() -> None:
    with pytest.raises(InputError, match=r"total variation: expected a contiguous float32 volume \(3, 4, 5\)"):
        TotalVariation((3, 4, 5)).prox(torch.zeros(3, 4, 6), 0.1)


@pytest.mark.parametrize("weight", [0.02, 0.004])
def test_the_default_tolerance_ends_within_a_thousandth_of_a_long_run(weight: float) -> None:
    scan, _ = ball_scan(size=16, views=12)
    objectives = []
    for tolerance, steps in ((FistaTvParams().tolerance, FistaTvParams().iterations), (0.0, 600)):
        problem = TvProblem(scan.geometry, torch.tensor(scan.projections))
        *_, last = fista(problem, weight, range(steps), tolerance=tolerance, inner=FistaTvParams().inner)
        objectives.append(last.objective)
        assert tolerance == 0 or last.steps < steps
    assert objectives[1] <= objectives[0] < 1.001 * objectives[1]


def test_the_reported_objective_is_that_of_the_volume() -> None:
    scan, _ = ball_scan(views=8)
    problem = TvProblem(scan.geometry, torch.tensor(scan.projections))
    *_, last = fista(problem, 0.01, range(7), tolerance=0, inner=5)
    misfit = (problem.projector.forward(last.x) - problem.data).double().square().sum() / (2 * problem.kappa)
    assert last.objective == pytest.approx(float(misfit) + 0.01 * problem.attenuation * problem.variation.value(last.x), rel=1e-4)


def test_a_ball_from_ten_views() -> None:
    scan, truth = ball_scan(views=10)
    run, logged, snapshots = watched()
    result = reconstruct(scan, FistaTvParams(), run)
    assert error(result, truth) < 0.06
    assert result.volume.min() >= 0
    assert len(snapshots) == result.info["iterations"] and any("held_back_error" in entry for entry in logged)
    assert result.info["decrement_over_10_steps"] < 1e-4
    worse = [error(reconstruct(scan, FistaTvParams(weight=factor * result.info["weight"]), Run()), truth) for factor in (0.02, 50)]
    assert min(worse) > error(result, truth)


def test_noise_asks_for_more_weight() -> None:
    weights = [reconstruct(ball_scan(noise=noise, size=16)[0], FistaTvParams(), Run()).info["weight"] for noise in (0.02, 0.3)]
    assert weights[1] > 1.5 * weights[0]


@pytest.mark.parametrize(("length", "contrast"), [(10.0, 1.0), (1.0, 5.0)])
def test_the_weight_means_the_same_in_any_unit(length: float, contrast: float) -> None:
    scan, _ = ball_scan(views=8, size=16)
    lengths = ("source_to_origin", "source_to_detector", "detector_pitch", "volume_spacing")
    scaled = {name: np.multiply(getattr(scan.geometry, name), length).tolist() for name in lengths}
    other = Scan(contrast * scan.projections, dataclasses.replace(scan.geometry, **scaled))
    one, two = (reconstruct(each, FistaTvParams(), Run()) for each in (scan, other))
    assert two.info["weight"] == pytest.approx(one.info["weight"], rel=1e-2)
    np.testing.assert_allclose(two.volume * length / contrast, one.volume, atol=1e-2 * one.volume.max())


def test_the_weight_of_a_large_volume_is_searched_on_coarser_grids(monkeypatch: pytest.MonkeyPatch) -> None:
    scan, _ = ball_scan(views=10, size=32)
    data = torch.tensor(scan.projections)
    here = choose_tv_weight(scan, data, Run(), nonnegative=True, inner=5)
    monkeypatch.setattr(tv_weight, "SEARCHED", 16)
    found = choose_tv_weight(scan, data, Run(), nonnegative=True, inner=5)
    assert found.volume is not None and found.volume.shape == (16, 16, 16)
    half = scan.geometry.binned(2).with_volume((16, 16, 16))
    binned = Scan(scan.projections.reshape(10, half.detector_shape[0], 2, -1, 2).mean((2, 4)), half)
    coarse = choose_tv_weight(binned, torch.tensor(binned.projections), Run(), nonnegative=True, inner=5)
    assert found.on(1) == pytest.approx(coarse.weight, rel=1e-3) and here.slope == 0
    assert found.weight == pytest.approx(here.weight, rel=0.6)


def test_a_large_volume_begins_on_coarser_grids_and_ends_at_the_same_minimum(monkeypatch: pytest.MonkeyPatch) -> None:
    scan, _ = ball_scan(views=20, size=32)
    params = FistaTvParams(weight=0.003)
    once = reconstruct(scan, params, Run())
    monkeypatch.setattr("benchmark.methods.fista_tv.reconstruct.COARSEST", 16)
    twice = reconstruct(scan, params, Run())
    assert twice.info["objective"] == pytest.approx(once.info["objective"], rel=2e-3)
    assert twice.info["iterations"] < once.info["iterations"]


def test_subsets_get_further_with_the_same_projections() -> None:
    scan, _ = ball_scan(views=40, size=24)
    problem = TvProblem(scan.geometry, torch.tensor(scan.projections))
    start = torch.zeros(scan.geometry.volume_shape)
    *_, whole = fista(problem, 0.003, range(10), tolerance=0, inner=5)
    *_, parts = subset_steps(problem, 0.003, range(10), tolerance=0, start=start)
    *_, best = fista(problem, 0.003, range(300), tolerance=1e-5, inner=5)
    assert parts.objective - best.objective < 0.5 * (whole.objective - best.objective)
    assert parts.objective == pytest.approx(problem.objective(parts.x, 0.003), rel=1e-5)


def test_subsets_never_end_above_their_start() -> None:
    scan, _ = ball_scan(views=20, size=16)
    problem = TvProblem(scan.geometry, torch.tensor(scan.projections))
    *_, best = fista(problem, 0.02, range(600), tolerance=0, inner=20)
    *_, end = subset_steps(problem, 0.02, range(10), tolerance=0, start=best.x)  # only the subsets' disagreement is left
    assert end.objective <= problem.objective(best.x, 0.02)
    few, _ = ball_scan(views=19, size=16)
    assert not list(subset_steps(TvProblem(few.geometry, torch.tensor(few.projections)), 0.01, range(5), tolerance=0, start=best.x))


def test_a_pyramid_keeps_the_box_and_the_means() -> None:
    scan, _ = ball_scan(views=3, size=24)
    (_, fine), (geometry, coarse), (smallest, _) = pyramid(scan.geometry, torch.tensor(scan.projections), 6)
    assert geometry.volume_shape == (12, 12, 12) and smallest.volume_shape == (6, 6, 6)
    assert geometry.volume_bounds == pytest.approx(np.array(scan.geometry.volume_bounds))
    assert float(coarse[1, 2, 3]) == pytest.approx(float(fine[1, 4:6, 6:8].mean()))
    plane = torch.arange(12.0)[:, None, None].expand(12, 12, 12)
    torch.testing.assert_close(upsampled(plane, (24, 24, 24))[4:8, 0, 0], torch.tensor([1.75, 2.25, 2.75, 3.25]))


def test_the_rule_takes_the_scan_and_nothing_else() -> None:
    assert list(inspect.signature(choose_tv_weight).parameters) == ["scan", "data", "run", "nonnegative", "inner", "engine"]


def table(held: Any, fitted: Any) -> list[tuple[float, float, float]]:
    return list(zip(WEIGHTS[: len(held)], held, fitted, strict=True))


def test_the_larger_of_the_two_weights_counts() -> None:
    assert chosen(table([3, 1, 3, 9], [9, 3, 1, 3])) == pytest.approx(WEIGHTS[1])
    assert chosen(table([9, 3, 1, 3], [3, 1, 3, 9])) == pytest.approx(WEIGHTS[1])


def test_held_back_views_that_nothing_predicts_are_not_asked() -> None:
    assert chosen(table([0.90, 0.91, 0.92, 0.93], [0.9, 0.3, 0.1, 0.3])) == pytest.approx(WEIGHTS[2])


def test_noise_is_not_taken_for_unpredictable_views() -> None:
    assert chosen(table([1.0, 1.2, 1.4, 1.6], [0.9, 0.8, 0.7, 0.6])) == WEIGHTS[0]


def test_a_smooth_object_is_not_taken_for_unpredictable_views() -> None:
    assert chosen(table([0.1, 0.2, 0.3, 0.4], [0.04, 0.02, 0.01, 0.02])) == WEIGHTS[0]


def test_minimum_of_a_parabola_in_log_weight() -> None:
    weights = [0.032 / 2**k for k in range(6)]
    errors = [np.exp((np.log(w) - np.log(0.005)) ** 2) for w in weights]
    assert minimum(weights, errors) == pytest.approx(0.005, rel=1e-6)
    assert minimum(weights, [1, 2, 3, 4, 5, 6]) == weights[0]
    assert minimum(weights, [6, 5, 4, 3, 2, 1]) == weights[-1]


def test_scans_too_short_to_hold_a_view_back_get_the_usual_weight() -> None:
    scan, _ = ball_scan(views=2)
    assert reconstruct(scan, FistaTvParams(iterations=3), Run()).info["weight"] == FALLBACK


def test_a_spent_budget_ends_it() -> None:
    result = reconstruct(ball_scan(views=6)[0], FistaTvParams(), Run(budget=Budget(seconds=0.0)))
    assert result.info["iterations"] == 0 and not result.volume.any()


def test_an_empty_scan_gives_an_empty_volume() -> None:
    scan, _ = ball_scan(views=6)
    assert not reconstruct(Scan(np.zeros_like(scan.projections), scan.geometry), FistaTvParams(), Run()).volume.any()


@pytest.mark.parametrize("values", [dict(weight="best"), dict(weight=-1), dict(iterations=0), dict(tolerance=1), dict(inner=0)])
def test_impossible_parameters(values: dict) -> None:
    with pytest.raises(ValidationError):
        FistaTvParams(**values)
