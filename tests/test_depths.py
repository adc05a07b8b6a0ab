"""Depths of maxima: in closed form, by points along rays, and as supervision of the Gaussians."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmark.api import AXES, InputError, Run, Scan, Voxels, camera_geometry, central_rays, maximum_positions, orbit_directions
from benchmark.datasets.mip import MipParams
from benchmark.datasets.mip.case import load as load_mip
from benchmark.datasets.mip.neuron import SIDE, Tubes, neuron
from benchmark.fields import mixture_values
from benchmark.methods.gaussians import GaussiansParams
from benchmark.methods.gaussians.field import MixtureField
from benchmark.methods.gaussians.reconstruct import Training, reconstruct
from benchmark.records.results import StoredCase
from benchmark.records.store import Store
from benchmark.storage import cache

FEW: dict[str, Any] = {"size": 16, "views": 4, "heldout": 2}
CUBE: dict[str, Any] = {"volume_shape": (12,) * 3, "volume_spacing": (5.0,) * 3}

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path / "cache")


@pytest.mark.parametrize("field_of_view", [None, 0.6])
def test_a_ball_lies_where_its_middle_is(field_of_view: float | None) -> None:
    middle = np.array([6.0, -4.0, 9.0])
    ball = Tubes(middle[None], middle[None], np.array([8.0]), np.array([0.5]))
    geometry = camera_geometry(np.concatenate([AXES, -AXES]), 24, field_of_view, **CUBE)
    depths, image = ball.maximum_depths(geometry), ball.maxima(geometry, 1)
    for view in range(6):
        nearest, directions = central_rays(geometry, view)
        seen = np.isfinite(depths[view])
        assert (seen == (image[view] > 0)).all() and 12 < seen.sum() < 400
        points = nearest[seen] + depths[view][seen][:, None] * directions[seen]
        beside = points - middle  # the nearest point of a ray to the middle is at right angles to the ray
        np.testing.assert_allclose((beside * directions[seen]).sum(-1), 0, atol=2e-3)
        assert np.linalg.norm(beside, axis=1).max() < 1.5 * 8 + 0.01


def test_the_deepest_voxel_along_an_axis_is_the_arrays_own() -> None:
    values = np.random.default_rng(0).random((6, 5, 4)).astype(np.float32)
    geometry = camera_geometry(AXES[:1], 240, None, volume_shape=(6, 5, 4), volume_spacing=(3.0, 2.0, 1.0))
    depths = Voxels(values, (3.0, 2.0, 1.0)).maximum_depths(geometry)[0]
    pitch = geometry.detector_pitch[0]
    for y in range(5):
        for x in range(4):
            row, column = (round(((index - (count - 1) / 2) * edge) / pitch + 119.5) for index, count, edge in ((y, 5, 2.0), (x, 4, 1.0)))
            height = (values[:, y, x].argmax() - 2.5) * 3  # the camera is above and looks down
            assert depths[row, column] == pytest.approx(-height, abs=0.3)
    assert np.isnan(depths[0]).all()


def test_depths_lead_to_where_the_neuron_is_as_bright_as_the_pixel() -> None:
    directions = orbit_directions(np.array([0.3, 2.0]), 0.4)
    tubes, geometry = neuron(1), camera_geometry(directions, 20, 0.5, volume_shape=(8,) * 3, volume_spacing=(SIDE / 8,) * 3)
    scan = Scan(tubes.maxima(geometry, 1), geometry, composite="max", depths=tubes.maximum_depths(geometry))
    positions, values = maximum_positions(scan)
    assert len(values) > 50 and np.isfinite(positions).all()
    points = np.abs(positions[:, None] - (tubes.starts + tubes.ends) / 2).sum(-1).min(1)
    assert np.median(points) < 12  # um, of a tube's middle
    voxels = Voxels(tubes.averaged(geometry.with_volume((96,) * 3)), (SIDE / 96,) * 3)
    index = np.floor((positions[:, ::-1] + SIDE / 2) / (SIDE / 96)).astype(int).clip(0, 95)
    assert np.corrcoef(voxels.values[tuple(index.T)], values)[0, 1] > 0.95


def test_a_case_with_depths_is_another_case_and_is_kept_whole(tmp_path: Path) -> None:
    plain, deep = (load_mip(MipParams(**FEW, depth=depth)) for depth in (False, True))
    assert plain.scan.depths is None and deep.scan.depths is not None and deep.digest != plain.digest
    assert (deep.scan.projections == plain.scan.projections).all() and "depth" not in MipParams().model_dump()
    store = Store(tmp_path / "results")
    store.prepare()
    store.write_case(deep, "mip", {})
    again = StoredCase(tmp_path / "results" / "cases" / deep.digest).load()
    assert again.digest == deep.digest
    np.testing.assert_array_equal(again.scan.depths, deep.scan.depths)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"composite": "sum"}, "scan.depths: expected none beside line integrals"),
        ({"depths": np.zeros((1, 2, 3), np.float32)}, r"expected numbers or NaN, float32 \[view, v, u\]"),
        ({"depths": np.zeros((4, 24, 24), int)}, "found shape .4, 24, 24., int64"),
        ({"depths": np.full((4, 24, 24), np.inf, np.float32)}, "found Inf"),
    ],
)
def test_depths_that_are_none(change: dict[str, Any], message: str) -> None:
    scan = load_mip(MipParams(**FEW, depth=True)).scan
    with pytest.raises(InputError, match=message):
        dataclasses.replace(scan, **change)


def test_the_field_at_depths_is_the_kernels_and_has_its_gradient() -> None:
    scan = load_mip(MipParams(**FEW, depth=True)).scan
    training = Training(scan, GaussiansParams(gaussians=60), 0)
    mixture, field = training.population.mixture, MixtureField("max", 0.05)
    positions = training.objective.positions[::7]
    values = field.at_depths(mixture, positions)
    torch.testing.assert_close(values.detach(), mixture_values(mixture, positions, 0.05, 1e-6), atol=2e-4, rtol=1e-3)
    values.sum().backward()
    gradient = mixture.log_amplitudes.grad
    assert gradient is not None
    step = torch.zeros_like(mixture.log_amplitudes).index_fill(0, gradient.argmax()[None], 1e-2)
    with torch.no_grad():
        up, down = (field.at_depths(mixture._replace(log_amplitudes=mixture.log_amplitudes + s), positions).sum() for s in (step, -step))
    assert float((up - down) / 2e-2) == pytest.approx(float(gradient.max()), rel=0.02)


def test_two_views_and_depths_show_more_than_two_views() -> None:
    """From above and from the front much is ambiguous; the depths say where it is."""
    params = GaussiansParams(steps=60, gaussians=150, tv_block=8)

    def error(depth: bool) -> float:
        case = load_mip(MipParams(**{**FEW, "views": 2}, depth=depth))
        result = reconstruct(case.scan, params, Run())
        assert case.truth is not None
        return float(np.mean((np.asarray(result.volume) - case.truth) ** 2))

    assert error(True) < 0.8 * error(False)


def test_a_weight_of_zero_ignores_the_depths_and_the_default_is_in_no_run_id() -> None:
    case = load_mip(MipParams(**FEW, depth=True))
    logged: list[dict[str, Any]] = []
    reconstruct(case.scan, GaussiansParams(steps=2, gaussians=30, tv_block=8), Run(on_log=logged.append))
    reconstruct(case.scan, GaussiansParams(steps=2, gaussians=30, tv_block=8, depth=0), Run(on_log=logged.append))
    assert logged[0]["loss/depth"] > 0 and "loss/depth" not in logged[1]
    assert not {"depth", "depth_points"} & set(GaussiansParams().model_dump())
