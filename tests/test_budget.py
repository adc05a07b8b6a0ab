"""Budgets in seconds, steps, ray samples and projections; how far a run says it is; and that an interruption changes none of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import sweep

from benchmark.api import Projector, line_integral, view_rays
from benchmark.execution.options import Options
from benchmark.machine import counters
from benchmark.records.budget import Budget, Used
from benchmark.records.frame import frame
from benchmark.runtime.context import Run
from benchmark.scan.geometry import ConeBeamGeometry

amounts = st.builds(Used, st.floats(0, 1e6), st.integers(0, 1000), st.integers(0, 10**12), st.floats(0, 1e6))
limits = st.builds(Budget, *[st.none() | st.floats(1e-3, 1e6)], *[st.none() | st.integers(1, most) for most in (1000, 10**12, 10**6)])


@pytest.fixture
def geometry() -> ConeBeamGeometry:
    counters.reset()
    return ConeBeamGeometry(
        source_to_origin=500.0,
        source_to_detector=800.0,
        detector_shape=(8, 10),
        detector_pitch=(10.0, 10.0),
        volume_shape=(8, 8, 8),
        volume_spacing=(4.0, 4.0, 4.0),
        angles=np.arange(6) * np.pi / 3,
    )


# -- arithmetic ---------------------------------------------------------------------------------------------------------


@given(limits, amounts)
def test_a_budget_is_spent_when_the_whole_share_is_used(budget: Budget, used: Used) -> None:
    share = budget.share(Used(), used)
    assert budget.spent(used) == (share >= 1) and Budget().share(Used(), used) == 0
    assert not Budget().spent(used)


@given(limits, st.floats(1e-3, 1e3), st.integers(1, 5))
def test_at_an_even_pace_the_time_that_is_left_is_right(budget: Budget, pace: float, done: int) -> None:
    """After `done` equal pieces of work the end is where the first limit is reached."""
    before = Used(3.0, 2, 5, 1.0)
    piece = {"seconds": pace, "steps": 1, "samples": 10, "projections": 0.5}
    now = Used(**{name: getattr(before, name) + done * amount for name, amount in piece.items()})
    left = budget.seconds_left(before, now)
    given = {name: limit for name, limit in vars(budget).items() if limit is not None}
    if not given:
        assert left is None
        return
    pieces = min((limit - getattr(before, name)) / piece[name] for name, limit in given.items())
    assert left == pytest.approx(max(0.0, (pieces - done) * pace), rel=1e-6, abs=1e-6)


def test_within_keeps_the_smaller_number_of_steps() -> None:
    assert Budget(seconds=1.0).within(5) == Budget(seconds=1.0, steps=5)
    assert Budget(steps=3).within(5) == Budget(steps=3) and Budget(steps=9).within(5) == Budget(steps=5)


# -- loops --------------------------------------------------------------------------------------------------------------


def test_projections_end_the_loop_before_the_step_that_would_be_one_too_many(geometry) -> None:
    """Subsets count their share: 2 of 6 views at a time, 5 projections are 15 of them."""
    run, projector = Run(budget=Budget(projections=5), views=6), Projector(geometry).subset([0, 3])
    for _ in run.steps(100):
        projector.forward(torch.zeros(8, 8, 8))
    assert run.step == 15 and run.used().projections == 5.0


def test_ray_samples_end_the_loop(geometry) -> None:
    run, rays = Run(budget=Budget(samples=1000), views=6), view_rays(geometry, [0])
    for _ in run.steps(100):
        line_integral(lambda positions: positions[:, 0] * 0, rays, geometry.volume_bounds, samples=4)
    per_step = counters.totals()["ray_samples"] / run.step
    assert 1 < run.step < 100 and 1000 <= run.used().samples < 1000 + per_step


def test_a_budget_of_steps_holds_for_all_loops_together() -> None:
    run = Run(budget=Budget(steps=7))
    assert [len(list(run.steps(count))) for count in (3, 3, 3)] == [3, 3, 1] and run.step == 7


def test_loops_inside_each_other_end_where_each_of_them_ends() -> None:
    run = Run()
    assert [len(list(run.steps(2))) for _ in run.steps(4)] == [2, 2, 2, 2]


def test_a_step_in_which_a_loop_is_left_counts_once() -> None:
    run = Run(budget=Budget(steps=5))
    for step in run.steps(4):
        if step == 1:
            break
    assert run.step == 2
    left = run.steps(4)
    next(left)
    assert len(list(run.steps(4))) == 3 and run.step == 5
    left.close()  # type: ignore[attr-defined]  # late
    assert run.step == 5


# -- how far it is ------------------------------------------------------------------------------------------------------


def told(run: Run, *counts: int) -> list[tuple[int, int]]:
    """(step, total) as logged in each step of loops that follow each other."""
    found: list[tuple[int, int]] = []
    run._on_log = lambda values: found.append((values["step"], values["total"]))
    for count in counts:
        for _ in run.steps(count):
            run.log(loss=0.0)
    return found


def test_the_total_is_that_of_the_present_loop_and_what_earlier_ones_did() -> None:
    assert told(Run(), 2, 3) == [(0, 2), (1, 2), (2, 5), (3, 5), (4, 5)]
    assert told(Run(budget=Budget(steps=4)), 2, 3)[-1] == (3, 4)


def test_the_time_to_go_is_at_the_pace_of_the_present_loop(monkeypatch) -> None:
    """Ten fast steps in an earlier loop say nothing about four slow ones."""
    left: list[float | None] = []
    run = Run(on_log=lambda values: left.append(values.get("seconds_left")))
    now = [0.0]
    monkeypatch.setattr(type(run.clock), "seconds", property(lambda clock: now[0]))
    for pace, count in ((0.1, 10), (8.0, 4)):
        for _ in run.steps(count):
            now[0] += pace
            run.log()
    assert left[0] == pytest.approx(0.9) and left[10:] == [pytest.approx(24.0), pytest.approx(16.0), pytest.approx(8.0), None]


def test_snapshots_are_spread_over_the_budget_and_over_each_loop(geometry) -> None:
    steps: list[int] = []
    run = Run(on_snapshot=lambda step, seconds, volume: steps.append(step), snapshots=4, budget=Budget(projections=8), views=6)
    projector = Projector(geometry)
    for _ in run.steps(20):
        break  # a loop that looks for something and shows nothing
    for _ in run.steps(1000):
        projector.forward(torch.zeros(8, 8, 8))
        run.snapshot(lambda: np.zeros((8, 8, 8)))
    assert run.step == 9 and steps == [1, 3, 5, 7]


# -- whole runs ---------------------------------------------------------------------------------------------------------


def test_the_table_has_the_budget_and_what_was_used(tmp_path: Path) -> None:
    record = sweep(tmp_path, {"walker": {"steps": 1000}}, budget="6projections").records[0]
    assert (record.status, record.steps, record.counters) == ("ok", 6, {"forward_views": 24})
    row = frame([record]).iloc[0]
    assert (row.budget_projections, row.projections) == (6, 6) and np.isnan(row.budget_samples) and np.isnan(row.budget_seconds)


def test_a_run_that_was_killed_and_goes_on_reports_what_an_undisturbed_one_does(tmp_path: Path) -> None:
    def outcome(record: Any) -> tuple[Any, ...]:
        points = [(point.step, point.volume_psnr, point.loss) for point in record.curve]
        return record.status, record.steps, record.counters, record.volume_digest, points, [(step, loss) for step, _, loss in record.losses]

    options = Options(device="cpu", snapshots=4)

    def run(name: str) -> Any:
        folder, marker = tmp_path / name, tmp_path / "killed"
        kept = dataclasses.replace(options, checkpoints=folder / "runs", checkpoint_every=1e-9)
        return sweep(folder, {"walker": {"marker": str(marker)}}, options=kept).records[0]

    killed, resumed = run("out"), None
    folder = tmp_path / "out" / "runs" / killed.run_id
    assert "killed" in killed.reason and len(list(folder.glob("snapshots/*.npy"))) == 3
    resumed = run("out")
    assert resumed.info == {"resumed_after_step": 4} and not (folder / "snapshots").exists()
    undisturbed = run("again")
    assert undisturbed.info == {} and outcome(resumed) == outcome(undisturbed)
    assert resumed.counters == {"forward_views": 4 * (3 + 8)}
    assert [step for step, _, _ in resumed.losses] == list(range(3, 11))
