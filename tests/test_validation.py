"""Scores along a run: made by the harness, outside the clock and the run's process, the same as those of the end."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny_plugin
from tiny import Watcher, sweep, tiny_plan, tiny_registry

from benchmark.cli.main import main
from benchmark.execution.child_process import _follow
from benchmark.execution.options import Options
from benchmark.execution.runner import perform
from benchmark.execution.tracker import OFFERED, OFFERED_EVENT, Tracker
from benchmark.metrics.scorer import Scorer
from benchmark.records.results import Results
from benchmark.report.tables import write_tables
from benchmark.runtime.context import Run
from benchmark.runtime.interval import Interval
from benchmark.sweep.progress import progress_text

EVERY_3 = Options(device="cpu", snapshots=2, validate_every=Interval(steps=3))


def scored(record: Any) -> dict[int, tuple[float | None, ...]]:
    """Scores of the points along a run, by step."""
    points = [point for point in record.curve[:-1] if point.fit_psnr is not None]
    return {point.step: (point.volume_psnr, point.projection_psnr, point.fit_psnr) for point in points}


def expected(*values: float) -> list[tuple[float | None, ...]]:
    """Scores of the constant volumes that the walker offers."""
    scorer = Scorer(tiny_plugin.load(tiny_plugin.TinyParams()), tiny_registry().metrics.values())
    found = [scorer.score(np.full((8, 8, 8), value, np.float32))[0] for value in values]
    return [(scores["volume_psnr"], scores["projection_psnr"], scores["fit_psnr"]) for scores in found]


@pytest.mark.parametrize(("in_process", "method"), [(False, {"grey": {"steps": 11}}), (True, "walker")])
def test_the_harness_scores_what_a_method_offers_and_changes_nothing(tmp_path: Path, in_process: bool, method: Any) -> None:
    watcher = Watcher()
    (with_scores,) = sweep(tmp_path / "a", method, options=dataclasses.replace(EVERY_3, in_process=in_process), watcher=watcher).records
    (without,) = sweep(tmp_path / "b", method, options=Options(device="cpu", snapshots=2, in_process=in_process)).records
    found = scored(with_scores)
    assert list(found) == [3, 6, 9]  # the walker's second loop begins with step 3; its volumes hold the steps taken there
    assert list(found.values()) == (expected(1, 4, 7) if method == "walker" else expected(0.01, 0.01, 0.01))
    assert with_scores.run_id == without.run_id and with_scores.volume_digest == without.volume_digest
    assert with_scores.counters == without.counters and not scored(without)
    end = with_scores.curve[-1]
    assert (end.projection_psnr, end.fit_psnr) == (with_scores.metrics["projection_psnr"], with_scores.metrics["fit_psnr"])
    assert {point.step for point in without.curve} <= {point.step for point in with_scores.curve}
    lines = [event for event in watcher.named("progress") if event["event"] == "validated"]
    assert [line["validation"]["step"] for line in lines] == [3, 6, 9]
    assert f"held-out {found[3][1]:.2f} dB, fit {found[3][2]:.2f} dB (step 3)" in progress_text(lines[0])
    assert not list(tmp_path.rglob(OFFERED))


def test_a_killed_run_that_goes_on_has_every_score(tmp_path: Path) -> None:
    marker, folder = tmp_path / "killed", tmp_path / "out"
    options = dataclasses.replace(EVERY_3, checkpoints=folder / "runs", checkpoint_every=1e-9)
    (killed,) = sweep(folder, {"walker": {"marker": str(marker)}}, options=options).records
    assert killed.status == "failed" and marker.exists()
    (place,) = (folder / "runs").iterdir()
    assert json.loads((place / "snapshots" / "validation.json").read_text()).keys() == {"3", "6"}
    (record,) = sweep(folder, {"walker": {"marker": str(marker)}}, options=options).records
    assert record.status == "ok" and list(scored(record).values()) == expected(1, 4, 7)
    assert not (place / "snapshots").exists()


@pytest.mark.parametrize(
    ("method", "text"),
    [("noisy", "the method offers no volumes along its run"), ("grey", "the run ended before the first of them was due")],
)
def test_a_method_without_volumes_has_its_final_scores_and_it_is_said(tmp_path: Path, method: str, text: str) -> None:
    watcher = Watcher()
    (record,) = sweep(tmp_path, method, options=EVERY_3, watcher=watcher).records
    assert record.status == "ok" and record.reason == "" and record.curve[-1].fit_psnr == record.metrics["fit_psnr"]
    assert [event["text"] for event in watcher.named("progress") if event["event"] == "note"][1:] == [  # the first: memory
        f"no scores along the run, only the final ones: {text}"
    ]


def test_the_process_of_the_run_sees_no_more_than_before(tmp_path: Path) -> None:
    marker = tmp_path / "seen.json"
    sweep(tmp_path / "out", {"spy": {"marker": str(marker)}}, options=EVERY_3)
    seen = json.loads(marker.read_text())
    assert seen["files"] == ["job.json", "log.txt", "projections.npy", "stacks.txt"] and not seen["secret"]
    assert not {"truth", "heldout", "case", "scores"} & {*seen["keys"], *seen["run"]}


def slow_psnr(prediction: np.ndarray, truth: np.ndarray, **_: Any) -> float:
    time.sleep(0.15)
    return 1.0


def test_scoring_counts_not_as_method_time(tmp_path: Path) -> None:
    """21 scores of 0.15 s along a run of eight short steps."""
    registry = tiny_registry()
    for key, metric in registry.metrics.items():
        if metric.name == "psnr":
            registry.metrics[key] = dataclasses.replace(metric, target=slow_psnr)
    (spec,) = tiny_plan(registry, tmp_path, {"grey": {"steps": 8}}).runs
    options = dataclasses.replace(EVERY_3, validate_every=Interval(steps=1))
    case, begin = tiny_plugin.load(tiny_plugin.TinyParams()), time.monotonic()
    record, _ = perform(registry, spec, case, tmp_path, options, lambda event: None)
    assert time.monotonic() - begin > 7 * 3 * 0.15
    assert record.status == "ok" and len(scored(record)) == 7
    assert record.seconds is not None and record.seconds < 7 * 3 * 0.15 / 2


def test_scoring_does_not_count_to_a_timeout() -> None:
    with subprocess.Popen(["sh", "-c", "echo '{}'; sleep 0.1"], stdout=subprocess.PIPE) as process:
        assert _follow(process, 1.0, lambda event: time.sleep(1.2), lambda: False)


def test_seconds_of_method_time_are_an_interval_too(monkeypatch) -> None:
    now, seen = [0.0], []
    run = Run(on_validation=lambda step, seconds, volume: seen.append(seconds), validate_every=Interval(seconds=2.0))
    monkeypatch.setattr(type(run.clock), "seconds", property(lambda clock: now[0]))
    for _ in run.steps(10):
        now[0] += 0.75
        run.snapshot(lambda: np.zeros((1, 1, 1)))
    assert seen == [2.25, 4.5, 6.0]


def test_a_run_that_is_asked_to_stop_does_not_wait_for_its_score(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path, lambda event: None)
    tracker.offer(OFFERED_EVENT, 3, 1.0, np.zeros((2, 2, 2), np.float32), tmp_path, lambda: True)
    assert tracker.validated == []


def test_the_command_writes_the_scores_into_curves_csv(tmp_path: Path, capsys) -> None:
    arguments = ["run", "--methods", "sart", "--datasets", "ball", "--size", "8", "--views", "4", "--set", "sart.iterations=4"]
    assert main([*arguments, "--output", str(tmp_path), "--in-process", "--no-report", "--validate-every", "2steps"]) == 0
    assert "dB (step 2)" in capsys.readouterr().out
    write_tables(Results.open(tmp_path))
    table = pd.read_csv(tmp_path / "tables" / "curves.csv")
    assert table.loc[table.fit_psnr.notna(), "step"].tolist() == [2, 4]
    for wrong in ("0", "1.5", "never", "3samples"):
        assert main([*arguments, "--validate-every", wrong]) == 2
        assert "expected a number of steps such as 100, or a time such as 30s or 5min" in capsys.readouterr().err
