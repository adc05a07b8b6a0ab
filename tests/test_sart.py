"""SART and ordered subsets: convergence, weights, order of the views, defaults."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from balls import ball_scan, error, watched
from pydantic import ValidationError

from benchmark.api import Projector, Run
from benchmark.methods.sart import SartParams
from benchmark.methods.sart.reconstruct import default_iterations, reconstruct
from benchmark.plugins.registry import load
from benchmark.plugins.specs import resolve
from benchmark.reconstruction import ordered_subsets
from benchmark.reconstruction.ordered_subsets import OrderedSubsets, spread_order
from benchmark.records.budget import Budget


def test_a_ball_from_twenty_views() -> None:
    scan, truth = ball_scan()
    run, logged, snapshots = watched()
    result = reconstruct(scan, SartParams(), run)
    assert error(result, truth) < 0.05
    assert result.info == {"iterations": 8, "subsets": 20} and run.step == 8
    losses = [entry["loss"] for entry in logged]
    assert losses[-1] < 0.03 * losses[0] and losses == sorted(losses, reverse=True)
    errors = [np.square(volume - truth).mean() for volume in snapshots]
    assert len(snapshots) == 8 and errors[-1] < 0.5 * errors[0]  # copies, not eight times the last volume


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_subsets_of_any_size_converge(size: int) -> None:
    scan, truth = ball_scan()
    result = reconstruct(scan, SartParams(subset=size, relaxation=1.0, iterations=60 if size == 100 else 12), Run())
    assert result.info["subsets"] == -(-20 // min(size, 20))
    assert error(result, truth) < 0.08


def test_ossart_is_sart_with_subsets_of_five() -> None:
    scan, _ = ball_scan(size=12)
    methods = load().methods
    found = resolve(methods["ossart"].target)(scan, methods["ossart"].params(), Run())
    expected = reconstruct(scan, SartParams(subset=5), Run())
    np.testing.assert_array_equal(found.volume, expected.volume)
    assert found.info == expected.info and found.info["subsets"] == 4
    assert methods["ossart"].params().model_dump()["engine"] == "auto" and methods["ossart"].pieces


def test_one_correction_by_hand() -> None:
    scan, _ = ball_scan(views=4)
    volume = torch.full(scan.geometry.volume_shape, 0.001)
    subsets = OrderedSubsets(scan, 4)
    projector, measured = Projector(scan.geometry), torch.tensor(scan.projections)
    rows, columns = projector.forward(torch.ones_like(volume)), projector.adjoint(torch.ones_like(measured))
    share = torch.where(rows > 1e-3 * rows.max(), (measured - projector.forward(volume)) / rows, torch.zeros(()))
    step = torch.where(columns > 1e-3 * columns.max(), projector.adjoint(share) / columns, torch.zeros(()))
    expected = volume + 0.5 * step
    subsets.correct(volume, 0, 0.5, nonnegative=False)
    torch.testing.assert_close(volume, expected, rtol=1e-4, atol=1e-8)


def test_column_sums_that_are_too_many_are_made_again_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    scan, _ = ball_scan(views=6)
    volumes: list[Any] = []
    for most in (ordered_subsets.KEPT, 4 * scan.geometry.volume_shape[0] ** 3):
        monkeypatch.setattr(ordered_subsets, "KEPT", most)
        subsets, volume = OrderedSubsets(scan, 2), torch.zeros(scan.geometry.volume_shape)
        assert subsets.slabs == 0 and all((subset._kept is None) == (len(volumes) == 1) for subset in subsets._subsets)
        for index in range(6):
            subsets.correct(volume, index, 0.5)
        volumes.append(volume)
    torch.testing.assert_close(*volumes)


def test_an_exact_solution_stays() -> None:
    scan, truth = ball_scan()
    projected = Projector(scan.geometry).forward(torch.tensor(truth)).numpy()
    volume = torch.tensor(truth)
    subsets = OrderedSubsets(type(scan)(projected, scan.geometry))
    for index in range(len(subsets)):
        assert subsets.correct(volume, index, 1.0) < 1e-10
    np.testing.assert_allclose(volume.numpy(), truth, atol=1e-6)


@pytest.mark.parametrize("views", [2, 5, 10, 50, 100])
def test_the_order_visits_each_view_once_and_jumps(views: int) -> None:
    angles = np.random.default_rng(0).permutation(np.arange(views) * 2 * np.pi / views)
    order = spread_order(angles)
    assert sorted(order) == list(range(views))
    if views >= 10:
        steps = np.abs(np.diff(np.unwrap(angles[order])))
        assert np.minimum(steps, 2 * np.pi - steps).min() > 1.5 * 2 * np.pi / views


def test_negative_values_only_where_allowed() -> None:
    scan, _ = ball_scan(noise=0.05)
    assert reconstruct(scan, SartParams(iterations=3), Run()).volume.min() == 0
    assert reconstruct(scan, SartParams(iterations=3, nonnegative=False), Run()).volume.min() < 0


def test_default_number_of_passes() -> None:
    assert default_iterations(64, 10) == 45
    assert default_iterations(128, 10) == 90  # twice the detail
    assert default_iterations(64, 1000) == 2  # at least


def test_a_spent_budget_ends_it() -> None:
    scan, _ = ball_scan(views=6)
    result = reconstruct(scan, SartParams(), Run(budget=Budget(seconds=0.0)))
    assert not result.volume.any()


@pytest.mark.parametrize("values", [dict(relaxation=0), dict(relaxation=2), dict(subset=0), dict(iterations=0), dict(decay=1.1), dict(x=1)])
def test_impossible_parameters(values: dict) -> None:
    with pytest.raises(ValidationError):
        SartParams(**values)
