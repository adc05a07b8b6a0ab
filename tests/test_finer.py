"""Reconstruction on voxels of half the size: averaged volumes, and views rendered from the fine one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from balls import ball_scan, error

from benchmark.api import FINE, Case, InputError, Projector, Reconstruction, Run, averaged, on_finer_grid
from benchmark.methods.gaussians import GaussiansParams
from benchmark.methods.naf import NafParams
from benchmark.methods.sart import OsSartParams, SartParams
from benchmark.methods.sart.reconstruct import reconstruct
from benchmark.metrics.scorer import Scorer
from benchmark.plugins.registry import registry
from benchmark.scan.reconstruction import rendered_from

PSNR = [metric for metric in registry().metrics.values() if metric.name == "psnr"]


def test_the_volume_is_the_mean_of_the_fine_one_and_better_with_many_views() -> None:
    scan, truth = ball_scan(size=12, views=40)
    snapshots: list[np.ndarray] = []
    fine = reconstruct(scan, SartParams(fine=True), Run(on_snapshot=lambda step, seconds, volume: snapshots.append(volume)))
    plain = reconstruct(scan, SartParams(), Run())
    assert fine.arrays[FINE].shape == (24, 24, 24) and fine.volume.shape == plain.volume.shape
    np.testing.assert_allclose(fine.volume, fine.arrays[FINE].reshape(12, 2, 12, 2, 12, 2).mean((1, 3, 5)), rtol=1e-5, atol=1e-8)
    assert error(fine, truth) < error(plain, truth)
    assert snapshots and {volume.shape for volume in snapshots} == {(12, 12, 12)}


def test_views_are_rendered_from_the_fine_volume() -> None:
    scan, _ = ball_scan(size=12, views=6)
    finer = scan.geometry.with_volume((24, 24, 24))
    fine = np.random.default_rng(0).random((24, 24, 24), dtype=np.float32)
    seen = Projector(finer).forward(torch.from_numpy(fine)).numpy()
    case = Case(name="x", scan=type(scan)(seen, scan.geometry), truth=None, heldout=None)
    volume = averaged(fine, 2)
    coarse, problems = Scorer(case, PSNR).score(volume)
    found, more = Scorer(case, PSNR).score(volume, {FINE: fine})
    assert not problems and not more
    assert found["fit_psnr"] is None or found["fit_psnr"] > 100  # type: ignore[operator]
    assert coarse["fit_psnr"] < 60  # type: ignore[operator]


@pytest.mark.parametrize("change", [lambda fine: fine * 1.01, lambda fine: fine[:-1], lambda fine: fine.astype(np.float64)])
def test_a_fine_volume_that_is_another_is_not_scored(change: Any) -> None:
    scan, truth = ball_scan(size=12, views=6)
    fine = np.repeat(np.repeat(np.repeat(truth, 2, 0), 2, 1), 2, 2)
    assert rendered_from(truth, {FINE: fine}) is fine and rendered_from(truth, {}) is truth
    with pytest.raises(InputError, match="fine: expected"):
        rendered_from(truth, {FINE: change(fine)})
    values, problems = Scorer(Case(name="x", scan=scan, truth=truth, heldout=None), PSNR).score(truth, {FINE: change(fine)})
    assert "fit_psnr" not in values and len(problems) == 1


def test_a_parameter_that_came_later_changes_no_identity() -> None:
    for params in (SartParams, OsSartParams, NafParams, GaussiansParams):
        assert "fine" not in params().model_dump(mode="json") and params(fine=True).model_dump(mode="json")["fine"] is True


def test_the_finer_scan_is_the_scan_on_more_voxels() -> None:
    scan, _ = ball_scan(size=8, views=3)
    asked = []

    def method(given: Any, params: Any, run: Any) -> Reconstruction:
        asked.append((given, params, run))
        return Reconstruction(np.ones(given.geometry.volume_shape, np.float32), info={"a": 1}, arrays={"b": np.zeros(1)})

    run = Run()
    found = on_finer_grid(method, scan, "params", run)
    ((given, params, same),) = asked
    np.testing.assert_allclose(given.geometry.volume_bounds, scan.geometry.volume_bounds)
    assert given.geometry.volume_shape == (16, 16, 16) and (params, same) == ("params", run)
    assert np.array_equal(given.projections, scan.projections) and set(found.arrays) == {"b", FINE} and found.info == {"a": 1}
