"""ASD-POCS: descent and its adaptive step, the tolerance of the data, convergence, defaults."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from balls import ball_scan, error, watched
from pydantic import ValidationError

from benchmark.api import Projector, Run, Scan, TotalVariation
from benchmark.methods.asd_pocs import AsdPocsParams
from benchmark.methods.asd_pocs.reconstruct import data_tolerance, descended, reconstruct
from benchmark.methods.sart import SartParams
from benchmark.methods.sart.reconstruct import reconstruct as sart
from benchmark.records.budget import Budget
from benchmark.scan.noise_level import noise_level


def test_a_ball_from_ten_views() -> None:
    scan, truth = ball_scan(views=10)
    run, logged, snapshots = watched()
    result = reconstruct(scan, AsdPocsParams(), run)
    assert error(result, truth) < error(sart(scan, SartParams(), Run()), truth) < 0.06
    assert result.volume.min() == 0 and result.engine == "native"
    assert result.info["passes"] == run.step == len(snapshots) == len(logged) == AsdPocsParams().iterations
    assert logged[-1]["loss"] < 0.3 * logged[0]["loss"]
    errors = [np.square(volume - truth).mean() for volume in snapshots]
    assert errors[-1] < 0.5 * errors[0]  # copies, not so many times the last volume
    np.testing.assert_array_equal(snapshots[-1], result.volume)


def test_the_reported_residual_is_that_of_the_volume() -> None:
    scan, _ = ball_scan(views=6)
    result = reconstruct(scan, AsdPocsParams(iterations=3), Run())
    projected = Projector(scan.geometry).forward(torch.tensor(result.volume)).numpy()
    assert result.info["residual"] == pytest.approx(np.sqrt(np.square(projected - scan.projections).mean()), rel=1e-4)


def test_without_descent_it_is_sart() -> None:
    scan, _ = ball_scan(views=6)
    params = {"iterations": 4, "subset": 2}
    found = reconstruct(scan, AsdPocsParams(alpha=1e-9, beta=0.5, beta_red=1.0, **params), Run())  # type: ignore[arg-type]
    expected = sart(scan, SartParams(**params), Run())  # type: ignore[arg-type]
    np.testing.assert_allclose(found.volume, expected.volume, atol=1e-6 * expected.volume.max())


def test_descent_lowers_the_total_variation_by_steps_of_one_length() -> None:
    volume = torch.rand(7, 8, 9, generator=torch.Generator().manual_seed(0))
    variation = TotalVariation(volume.shape)  # type: ignore[arg-type]
    values = [variation.value(volume)]
    for _ in range(4):
        after = descended(volume, variation, 0.05, AsdPocsParams(ng=1))
        assert float((after - volume).norm()) == pytest.approx(0.05, rel=1e-4)
        volume = after
        values.append(variation.value(volume))
    assert values == sorted(values, reverse=True) and values[-1] < 0.99 * values[0]


def test_what_is_flat_stays() -> None:
    for flat in (torch.zeros(4, 5, 6), torch.full((4, 5, 6), 0.3)):
        assert torch.equal(descended(flat, TotalVariation(flat.shape), 0.1, AsdPocsParams()), flat)  # type: ignore[arg-type]


@pytest.mark.parametrize(("epsilon", "rmax", "shrinks"), [(0.0, 1e-6, True), (0.0, 1e6, False), (1e6, 1e-6, False)])
def test_steps_become_shorter_only_where_descent_undoes_the_data(epsilon: float, rmax: float, shrinks: bool) -> None:
    scan, _ = ball_scan(views=6, size=12)
    steps = [reconstruct(scan, AsdPocsParams(iterations=count, epsilon=epsilon, rmax=rmax), Run()).info["step"] for count in (1, 5)]
    assert steps[0] > 0
    assert steps[1] == pytest.approx(steps[0] * (0.95**4 if shrinks else 1.0), rel=1e-5)


def test_the_rule_sees_the_scan_and_nothing_else() -> None:
    assert list(inspect.signature(data_tolerance).parameters) == ["scan"]
    clean, noisy = (ball_scan(noise=noise)[0] for noise in (0.0, 0.05))
    grids = [Scan(clean.projections, clean.geometry.with_volume((size,) * 3)) for size in (24, 48, 64)]
    parts = [data_tolerance(scan) / float(np.sqrt(np.square(scan.projections).mean())) for scan in grids]
    assert parts[0] == pytest.approx(2 * parts[1], rel=1e-5) and 0.01 <= parts[2] < parts[1] <= 0.015  # what such grids leave of data
    assert data_tolerance(noisy) == noise_level(noisy.projections) == pytest.approx(0.05, rel=0.1)
    assert data_tolerance(Scan(3 * clean.projections, clean.geometry)) == pytest.approx(3 * data_tolerance(clean), rel=1e-5)


def test_the_rule_is_what_no_epsilon_means() -> None:
    scan, _ = ball_scan(views=6, size=12, noise=0.05)
    usual = reconstruct(scan, AsdPocsParams(iterations=5), Run())
    given = reconstruct(scan, AsdPocsParams(iterations=5, epsilon=data_tolerance(scan)), Run())
    np.testing.assert_array_equal(usual.volume, given.volume)


def test_descent_smooths_noise() -> None:
    scan, truth = ball_scan(noise=0.1)
    with_descent, without = (error(reconstruct(scan, AsdPocsParams(alpha=alpha), Run()), truth) for alpha in (0.2, 1e-9))
    assert with_descent < 0.7 * without


def test_negative_values_only_where_allowed() -> None:
    scan, _ = ball_scan(noise=0.05)
    assert reconstruct(scan, AsdPocsParams(iterations=3), Run()).volume.min() == 0
    assert reconstruct(scan, AsdPocsParams(iterations=3, nonnegative=False), Run()).volume.min() < 0


def test_a_spent_budget_ends_it() -> None:
    result = reconstruct(ball_scan(views=6)[0], AsdPocsParams(), Run(budget=Budget(seconds=0.0)))
    assert result.info["passes"] == 0 and not result.volume.any()


def test_an_empty_scan_gives_an_empty_volume() -> None:
    scan, _ = ball_scan(views=6)
    assert not reconstruct(Scan(np.zeros_like(scan.projections), scan.geometry), AsdPocsParams(iterations=3), Run()).volume.any()


@pytest.mark.parametrize(
    "values",
    [dict(beta=0), dict(beta=2), dict(beta_red=1.1), dict(alpha=0), dict(alpha_red=1), dict(ng=0), dict(epsilon=-1), dict(smoothing=0)],
)
def test_impossible_parameters(values: dict) -> None:
    with pytest.raises(ValidationError):
        AsdPocsParams(**values)
