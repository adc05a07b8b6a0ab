"""FDK, SART, CGLS and FISTA-TV on small scans with closed-form projections: known answers, falling residuals, stated limits."""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any

import numpy as np
import pytest

from benchmark.ct.algebraic import OrderedSubsets, spread_order
from benchmark.run_context import Run
from benchmark.types import Case, Scan, resolve


def case(dataset: str, **params: Any) -> Case:
    (spec,) = [s for s in importlib.import_module(f"datasets.{dataset}").register_datasets() if s.name == dataset]
    return resolve(spec.target)(spec.params(**params))


def reconstruct(method: str, scan: Scan, **params: Any) -> tuple[np.ndarray, list[float], dict[str, Any]]:
    """Volume, logged losses and notes."""
    (spec,) = importlib.import_module(f"methods.{method}").register_methods()
    losses: list[float] = []
    found = resolve(spec.target)(scan, spec.params(**params), Run(on_log=lambda values: losses.append(values["loss"])))
    return found.volume, losses, dict(found.info)


def psnr(volume: np.ndarray, truth: np.ndarray) -> float:
    return float(10 * np.log10(np.ptp(truth) ** 2 / np.mean((volume - truth) ** 2)))


@pytest.fixture(scope="module")
def ball() -> Case:
    return case("ball", size=32, views=90, heldout=0)


def central_mean(volume: np.ndarray) -> float:
    middle = tuple(slice(n // 2 - 2, n // 2 + 2) for n in volume.shape)
    return float(volume[middle].mean())


@pytest.mark.parametrize("window", ["ram-lak", "shepp-logan", "cosine", "hamming", "hann"])
def test_fdk_recovers_the_attenuation_of_a_ball(ball: Case, window: str) -> None:
    volume, _, _ = reconstruct("fdk", ball.scan, filter=window)
    assert central_mean(volume) == pytest.approx(central_mean(ball.truth), rel=0.02)


def test_fdk_weights_a_short_scan(ball: Case) -> None:
    """Half the views, just over half the circle: without redundancy weights the ball would be half as dense."""
    geometry = ball.scan.geometry
    short = np.flatnonzero(geometry.angles <= np.pi + geometry.fan_angle + 0.05)
    volume, _, info = reconstruct("fdk", Scan(ball.scan.projections[short], geometry.subset(short)))
    assert central_mean(volume) == pytest.approx(central_mean(ball.truth), rel=0.05)
    assert info["redundancy"] != "none"


def test_fdk_says_why_it_cannot_follow_a_helix(ball: Case) -> None:
    helix = dataclasses.replace(ball.scan.geometry, source_height=np.linspace(-1, 1, 90))
    (spec,) = importlib.import_module("methods.fdk").register_methods()
    assert "helix" in resolve(spec.skip)(Scan(ball.scan.projections, helix), spec.params())
    assert resolve(spec.skip)(ball.scan, spec.params()) is None


def test_sart_converges_and_subsets_do_the_same(ball: Case) -> None:
    scan = Scan(ball.scan.projections[::6], ball.scan.geometry.subset(range(0, 90, 6)))
    volume, losses, info = reconstruct("sart", scan, iterations=8)
    assert info == {"iterations": 8, "subsets": 15}
    assert losses[-1] < 0.1 * losses[0] and volume.min() >= 0
    assert psnr(volume, ball.truth) > 25
    by_subsets, _, info = reconstruct("sart", scan, iterations=30, subset=4)
    assert info["subsets"] == 4 and psnr(by_subsets, ball.truth) > 25


def test_every_view_is_in_one_subset_and_neighbours_are_far_apart(ball: Case) -> None:
    order = spread_order(ball.scan.geometry.angles)
    assert sorted(order) == list(range(90))
    steps = np.abs(np.angle(np.exp(1j * np.diff(ball.scan.geometry.angles[order]))))
    assert np.sort(steps)[1] > np.radians(60)  # one step closes the circle
    assert len(OrderedSubsets(ball.scan, 40)) == 3


def test_cgls_lowers_the_residual_at_every_step(ball: Case) -> None:
    scan = Scan(ball.scan.projections[::6], ball.scan.geometry.subset(range(0, 90, 6)))
    volume, losses, info = reconstruct("cgls", scan, iterations=15)
    assert all(later < earlier for earlier, later in zip(losses, losses[1:], strict=False))
    assert info["iterations"] == 15 and psnr(volume, ball.truth) > 20


def test_cgls_stops_where_held_back_views_say_so(ball: Case) -> None:
    """On a noisy scan the chosen number of iterations beats going on to the end."""
    few = ball.scan.geometry.subset(range(0, 90, 6))
    noisy = ball.scan.projections[::6] + np.random.default_rng(0).normal(0, 0.05, (15, *few.detector_shape))
    scan = Scan(noisy, few)
    volume, _, info = reconstruct("cgls", scan)
    longest, _, _ = reconstruct("cgls", scan, iterations=60)
    assert 1 <= info["iterations"] < 60 and psnr(volume, ball.truth) > psnr(longest, ball.truth) + 1


def test_total_variation_wins_at_few_views() -> None:
    phantom = case("phantom", size=32, views=8, heldout=0)
    smooth, _, info = reconstruct("fista_tv", phantom.scan)
    plain, _, _ = reconstruct("sart", phantom.scan)
    assert info["weight"] > 0
    assert psnr(smooth, phantom.truth) > psnr(plain, phantom.truth) + 0.5


def test_fista_converges(ball: Case) -> None:
    """The default stops where a much longer run would hardly change the volume; a far larger weight would."""
    scan = Scan(ball.scan.projections[::10], ball.scan.geometry.subset(range(0, 90, 10)))
    default, _, _ = reconstruct("fista_tv", scan, weight=0.003)
    longer, _, _ = reconstruct("fista_tv", scan, weight=0.003, iterations=1500, tolerance=0.0)
    other, _, _ = reconstruct("fista_tv", scan, weight=0.03)
    scale = np.linalg.norm(longer)
    assert np.linalg.norm(default - longer) < 0.03 * scale < np.linalg.norm(other - longer)
