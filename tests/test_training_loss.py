"""Loss and schedule of the fields' training: by hand, against outliers, in what each step draws, and out of memory."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
import torch
from balls import ball_scan, error
from pydantic import ValidationError

import benchmark.fields.fitting.ray_loss as ray_loss
import benchmark.methods.naf.reconstruct as naf
import benchmark.methods.zerorf.reconstruct as zerorf
from benchmark.api import Reconstruction, Run, Scan
from benchmark.fields import FieldParams, Misfit, grown
from benchmark.methods.naf import NafParams
from benchmark.methods.zerorf import ZeroRFParams
from benchmark.methods.zerorf.losses import GridLoss

TINY: dict[str, dict[str, Any]] = {
    "naf": {"steps": 80, "base": 4, "log2_entries": 10, "hidden": 16, "learning_rate": 0.02, "refine": 0},
    "zerorf": {
        "steps": 50, "members": 1, "channels": (8, 8, 8), "features": 4, "hidden": 16, "learning_rate": 0.02, "refine": 0, "rays": 128,
        "rays_end": 128, "finetune": 0, "sharpen": 0,
    },
}  # fmt: skip
pytestmark = pytest.mark.usefixtures("one_thread")
Method = Literal["naf", "zerorf"]


def params_of(method: Method, **changes: Any) -> NafParams | ZeroRFParams:
    return {"naf": NafParams, "zerorf": ZeroRFParams}[method](**{**TINY[method], **changes})


def reconstruct(method: Method, scan: Scan, **changes: Any) -> Reconstruction:
    params: Any = params_of(method, **changes)
    return {"naf": naf, "zerorf": zerorf}[method].reconstruct(scan, params, Run(seed=1))


# -- the loss -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("mse", (0.25 + 16 + 0) / 3),
        ("l1", 2 * (0.5 + 4 + 0) / 3),  # the measurements' root mean square is 2
        ("huber", (0.25 + (2 * 1 * 4 - 1) + 0) / 3),  # bends at 0.5 x 2 = 1
    ],
)
def test_the_loss_of_three_residuals(loss: str, expected: float) -> None:
    scan, _ = ball_scan(views=2, size=4)
    scan = Scan(np.full_like(scan.projections, 2.0), scan.geometry)
    misfit = Misfit(scan, FieldParams(loss=loss, huber=0.5))  # type: ignore[arg-type]
    assert float(misfit(torch.tensor([0.5, -4.0, 0.0]))) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("method", "render", "loss", "steps"),
    [("naf", "rays", "l1", 150), ("naf", "grid", "huber", 250), ("zerorf", "rays", "huber", 60), ("zerorf", "grid", "l1", 60)],
)
def test_outliers_spoil_a_fit_by_squares_and_no_other(method: Method, render: str, loss: str, steps: int) -> None:
    """One pixel in fifty reads ten times the chord of the ball: relative errors of 0.24 .. 0.48, and 0.05 .. 0.07 as without outliers.

    The corrections by the data at the end, which are by squares, do not bring them back (without care: 2.3).
    """
    scan, truth = ball_scan(views=8, size=12)
    spoiled = np.array(scan.projections)
    spoiled[np.random.default_rng(3).random(spoiled.shape) < 0.02] = 20.0
    scan = Scan(spoiled, scan.geometry)
    how: dict[str, Any] = {"render": render, "steps": steps}
    squares, alone, corrected = (
        error(reconstruct(method, scan, **how, **changes), truth) for changes in ({}, {"loss": loss}, {"loss": loss, "refine": 40})
    )
    assert squares > 1.5 * alone and max(alone, corrected) < 0.1


def test_total_variation_chosen_for_squares_is_refused_with_absolute_values() -> None:
    with pytest.raises(ValidationError, match="tv=auto is chosen for squared residuals"):
        NafParams(tv="auto", loss="l1")
    assert NafParams(tv=0.01, loss="l1").tv == 0.01 and ZeroRFParams(tv="auto", loss="huber").loss == "huber"


@pytest.mark.parametrize("model", [NafParams, ZeroRFParams])
def test_defaults_are_left_out_of_a_runs_identity(model: type[FieldParams]) -> None:
    """These parameters came after results were stored: only another value makes another run."""
    params = model()
    assert not params.model_dump().keys() & {"loss", "huber", "growth", "views_end"}
    changed = model(loss="l1", growth=(50,))  # type: ignore[call-arg]
    assert changed.model_dump() == {**params.model_dump(), "loss": "l1", "growth": (50,)}
    assert model(**changed.model_dump(mode="json")) == changed


# -- the schedule -------------------------------------------------------------------------------------------------------


def test_it_grows_by_equal_factors() -> None:
    assert [grown(4096, 65536, (50, 100), step) for step in (0, 49, 50, 99, 100, 9999)] == [4096, 4096, 16384, 16384, 65536, 65536]
    assert [grown(10, 80, (1, 2, 3), step) for step in range(5)] == [10, 20, 40, 80, 80]
    assert [grown(8, 2, (4,), step) for step in (3, 4)] == [8, 2]
    assert grown(7, 9, (), 0) == 9


@pytest.mark.parametrize("method", ["naf", "zerorf"])
def test_each_step_draws_the_rays_of_its_place_in_the_schedule(method: Method) -> None:
    scan, _ = ball_scan(views=4, size=8)
    params: Any = params_of(method, render="rays", rays=8, rays_end=32, growth=(2, 3), steps=5)
    training: Any = (naf.Training if method == "naf" else zerorf.Ensemble)(scan, params, 0)
    measurements = training.loss_of.measurements if method == "naf" else training.measurements
    drawn: list[int] = []
    draw = measurements.draw

    def noted(count: int, generator: torch.Generator) -> Any:
        drawn.append(count)
        return draw(count, generator)

    measurements.draw = noted
    for _ in range(5):
        training.step()
    assert drawn == [8, 8, 16, 32, 32]


def test_naf_draws_the_views_of_its_place_in_the_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    scan, _ = ball_scan(views=6, size=8)
    training, seen = naf.Training(scan, params_of("naf", render="grid", views=1, views_end=16, growth=(1, 2), steps=4), 0), []  # type: ignore[arg-type]
    subset = training.loss_of.projector.subset  # type: ignore[union-attr]
    training.loss_of.projector.subset = lambda views: seen.append(len(views)) or subset(views)  # type: ignore[union-attr, method-assign, func-returns-value, assignment]
    for _ in range(4):
        training.step()
    assert seen == [1, 4, 6, 6]  # all six, where sixteen are wanted


def test_zerorf_takes_the_views_of_its_place_in_the_schedule() -> None:
    scan, _ = ball_scan(views=12, size=8)
    loss = GridLoss(params_of("zerorf", views=2, views_end=8, growth=(10, 20)), scan, "cpu")  # type: ignore[arg-type]
    assert [loss.views_at(step, 12) for step in (0, 9, 10, 20)] == [2, 2, 4, 8]
    assert GridLoss(params_of("zerorf"), scan, "cpu").views_at(0, 12) == 12  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="views_end needs views"):
        ZeroRFParams(views_end=8)


# -- memory -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["naf", "zerorf"])
def test_out_of_memory_halves_the_rays_and_the_run_goes_on(method: Method, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than 40 rays really ask for more than there is, with hierarchical sampling and gradient checkpointing switched on."""
    scan, _ = ball_scan(views=4, size=8)
    integral = ray_loss.importance_integral

    def greedy(field: Any, rays: Any, *args: Any, **how: Any) -> torch.Tensor:
        if len(rays) > 40:
            torch.empty(1 << 60)
        return integral(field, rays, *args, **how)

    monkeypatch.setattr(ray_loss, "importance_integral", greedy)
    growing = {"rays": 32, "rays_end": 160, "growth": (2,), "steps": 4}
    found = reconstruct(method, scan, render="rays", importance=4, checkpointing=True, **growing)
    assert found.info["memory"] == [
        "out of memory with 160 rays a step, goes on with 80",
        "out of memory with 80 rays a step, goes on with 40",
    ]
    assert np.isfinite(found.volume).all() and found.volume.max() > 0
