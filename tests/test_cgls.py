"""CGLS: the least-squares solution, its optimality in each Krylov space, the stop on held-back views."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from balls import ball_scan, error, watched
from pydantic import ValidationError

from benchmark.api import Projector, Run, Scan, ViewError, held_back_views
from benchmark.methods.cgls import CglsParams
from benchmark.methods.cgls.reconstruct import cgls, choose_iterations, reconstruct
from benchmark.reconstruction.held_back import blur, blur_widths
from benchmark.records.budget import Budget


def test_a_ball_from_twenty_views() -> None:
    scan, truth = ball_scan()
    run, logged, snapshots = watched()
    result = reconstruct(scan, CglsParams(), run)
    assert error(result, truth) < 0.08
    assert result.info["chosen"] == "held-back views" and len(snapshots) == result.info["iterations"]
    assert all("loss" in entry for entry in logged)


def test_matches_a_dense_least_squares_solution() -> None:
    scan, _ = ball_scan(size=6, views=12)
    projector, count = Projector(scan.geometry), 6**3
    columns = [projector.forward(unit.view(6, 6, 6)).flatten() for unit in torch.eye(count)]
    matrix = torch.stack(columns, 1).double()
    measured = torch.tensor(scan.projections)
    best = torch.linalg.lstsq(matrix, measured.flatten().double()[:, None]).solution[:, 0]
    *_, (volume, _) = cgls(scan.geometry, measured, range(150))
    difference = matrix @ (volume.flatten().double() - best)
    assert difference.norm() < 1e-3 * measured.norm()


def test_the_residual_never_grows() -> None:
    scan, _ = ball_scan(noise=0.02)
    losses = [loss for _, loss in cgls(scan.geometry, torch.tensor(scan.projections), range(25))]
    assert losses == sorted(losses, reverse=True)


def test_noise_stops_it_sooner() -> None:
    chosen = []
    for noise in (0.0, 0.1):
        scan, truth = ball_scan(noise=noise, views=30)
        chosen.append(reconstruct(scan, CglsParams(), Run()))
    assert chosen[1].info["iterations"] < chosen[0].info["iterations"]
    assert error(chosen[1], truth) < error(reconstruct(scan, CglsParams(iterations=30), Run()), truth)


def test_an_empty_scan_gives_an_empty_volume() -> None:
    scan, _ = ball_scan(views=6)
    empty = Scan(np.zeros_like(scan.projections), scan.geometry)
    result = reconstruct(empty, CglsParams(), Run())
    assert not result.volume.any() and result.info["iterations"] == 0


def test_scans_of_one_or_two_views_hold_nothing_back() -> None:
    scan, _ = ball_scan(views=2)
    assert choose_iterations(scan, torch.tensor(scan.projections), CglsParams(), Run()).iterations == 10


def test_a_budget_that_ends_with_the_search_leaves_its_best_fit() -> None:
    scan, truth = ball_scan()
    full = reconstruct(scan, CglsParams(), Run())
    for steps in (4, full.info["iterations"] + 6):  # within the search, and within the fit of all views
        result = reconstruct(scan, CglsParams(), Run(budget=Budget(steps=steps)))
        assert error(result, truth) < 0.1 and "held-back views are not in" in result.info["budget"]
    assert "budget" not in full.info


def test_negative_values_only_where_allowed() -> None:
    scan, _ = ball_scan()
    assert reconstruct(scan, CglsParams(iterations=5), Run()).volume.min() == 0
    assert reconstruct(scan, CglsParams(iterations=5, nonnegative=False), Run()).volume.min() < 0


@pytest.mark.parametrize(("views", "count"), [(3, 1), (10, 2), (50, 10), (100, 10)])
def test_held_back_views_are_spread_over_the_arc(views: int, count: int) -> None:
    angles = np.random.default_rng(1).permutation(np.arange(views) * 0.05)
    held = held_back_views(angles)
    assert len(held) == len(set(held)) == count
    inside = np.sort(angles[held])
    assert inside[0] > angles.min() and inside[-1] < angles.max()
    if count > 1:
        np.testing.assert_allclose(np.diff(inside), 0.05 * views / count, atol=0.051)


def test_the_error_of_a_volume_knows_too_sharp_from_too_smooth() -> None:
    scan, truth = ball_scan(views=6, size=32)
    check = ViewError(scan.geometry, torch.tensor(scan.projections))
    volume = torch.tensor(truth)
    smooth = torch.nn.functional.avg_pool3d(volume[None], 3, stride=1, padding=1)[0]
    assert check.error(volume) < check.error(smooth)
    assert check.error(volume) < check.error(3 * volume - 2 * smooth)
    assert check.error(torch.zeros_like(volume)) == pytest.approx(1)


def test_blur_keeps_constants_and_has_its_width() -> None:
    constant = torch.full((2, 9, 11), 3.0)
    torch.testing.assert_close(blur(constant, 0.8, 1.7), constant)
    impulse = torch.zeros(1, 31, 31)
    impulse[0, 15, 15] = 1.0
    spread = blur(impulse, 1.2, 2.0)[0].double()
    at = torch.arange(31) - 15
    assert float((spread.sum(1) * at**2).sum()) == pytest.approx(1.2**2, rel=0.02)
    assert float((spread.sum(0) * at**2).sum()) == pytest.approx(2.0**2, rel=0.02)


def test_pixels_coarser_than_voxels_are_not_blurred() -> None:
    assert blur_widths(ball_scan(detector_shape=(6, 6), detector_pitch=(60.0, 60.0))[0].geometry) == (0.0, 0.0)


@pytest.mark.parametrize("values", [dict(iterations=0), dict(iterations="many"), dict(most=0), dict(tolerance=0.1)])
def test_impossible_parameters(values: dict) -> None:
    with pytest.raises(ValidationError):
        CglsParams(**values)
