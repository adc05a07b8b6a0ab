"""One checkpoint or volume, scored without a sweep: the same numbers as in a sweep's table, and refusals of what does not belong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pinholes import looking

from benchmark.cli.main import main
from benchmark.exchange.evaluation import Subject, evaluate, remarks, write_evaluation
from benchmark.fields.novel_views import NovelField
from benchmark.plugins.registry import registry
from benchmark.records import nifti
from benchmark.records.results import Results
from benchmark.scan.case import Case
from benchmark.scan.scan import Scan

SCAN = ["--set", "walnut_sample.heldout=3"]
NAF = ["--set", "naf.steps=8", "--set", "naf.rays=64", "--set", "naf.levels=2", "--set", "naf.refine=2"]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """The folder of a short run, with a volume and a checkpoint."""
    folder = tmp_path_factory.mktemp("results")
    arguments = ["run", "--methods", "naf", "--datasets", "walnut_sample", "--views", "12", "--size", "16", "--device", "cpu"]
    assert main([*arguments, "--output", str(folder), "--in-process", "--no-report", *NAF, *SCAN]) == 0
    (place,) = (folder / "runs").iterdir()
    return place


def evaluated(capsys, subject: Path, *options: str) -> dict:
    capsys.readouterr()
    assert main(["evaluate", str(subject), "--scan", "walnut_sample", "--json", *options]) == 0
    return json.loads(capsys.readouterr().out)


def numbers(metrics: dict[str, float | None]) -> dict[str, float]:
    return {name: np.nan if value is None else value for name, value in metrics.items()}


def same(one: dict[str, float | None], other: dict[str, float | None]) -> bool:
    return numbers(one) == pytest.approx(numbers(other), rel=1e-6, nan_ok=True)


def refusal(capsys, *arguments: str) -> str:
    capsys.readouterr()
    assert main(["evaluate", *arguments]) == 2
    return capsys.readouterr().err


def test_the_volume_of_a_run_has_the_scores_of_its_record(run, tmp_path, capsys):
    (record,) = Results.open(run.parents[1]).records
    found = evaluated(capsys, run / "volume.nii.gz", "--views", "12", *SCAN, "--as-is", "--output", str(tmp_path / "scores"))
    assert same(found["metrics"], record.metrics)
    assert (found["training_views"], found["heldout_views"]) == (record.training_views, record.heldout_views)
    assert found["volume_shape"] == [16, 16, 16] and not found["remarks"]
    written = json.loads((tmp_path / "scores" / "scores.json").read_text())
    assert written["metrics"] == found["metrics"]
    assert pd.read_csv(tmp_path / "scores" / "scores.csv").volume_psnr[0] == pytest.approx(record.metrics["volume_psnr"])
    names = {path.name for path in (tmp_path / "scores").iterdir()}
    assert {"slices.png", "views.png", "scores.json", "scores.csv"} <= names


def test_a_checkpoint_is_scored_as_its_field(run, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = evaluated(capsys, run / "checkpoint.pt", *SCAN)  # views and size are those of the run
    assert found["views"] == 12 and found["steps"] == 8 and found["source"].startswith("checkpoint of naf after step 8")
    assert (tmp_path / f"evaluate-{run.name}" / "views.png").exists()
    field = NovelField(run / "checkpoint.pt")
    nifti.write_volume(tmp_path / "field.nii.gz", *field.volume(16))
    again = evaluated(capsys, tmp_path / "field.nii.gz", "--views", "12", *SCAN, "--as-is")
    assert same(again["metrics"], found["metrics"])


def test_the_table_is_that_of_a_sweep_and_missing_scores_are_explained(run, tmp_path, capsys):
    capsys.readouterr()
    options = ["--scan", "walnut_sample", "--output", str(tmp_path), "--set", "walnut_sample.heldout=0"]
    assert main(["evaluate", str(run / "checkpoint.pt"), *options]) == 0
    shown = capsys.readouterr().out
    assert "walnut_sample 16, 12 views" in shown and "Fit" in shown and "Held-out" not in shown  # no empty columns
    assert "no views are held out" in shown and "no truth" not in shown
    assert json.loads((tmp_path / "scores.json").read_text())["metrics"].get("projection_psnr") is None


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--views", "10"], "walnut_sample, 10 views): views: 10, found views: 12"),
        (["--size", "24"], "a volume of 24 x 24 x 24 voxels"),
        (["--scan", "ball"], "found a volume of 16 x 16 x 16 voxels"),
        (["--axes", "xyz"], "none of the options of a volume with a checkpoint, found --axes"),
        (["--views", "many"], "scan.views"),
        (["--set", "walnut_sample.data_seed=1", "--scan", "nowhere"], "found 'nowhere'"),
    ],
)
def test_a_checkpoint_of_another_scan_is_refused(run, tmp_path, capsys, options, text):
    options = options if "--scan" in options else ["--scan", "walnut_sample", *options]
    assert text in refusal(capsys, str(run / "checkpoint.pt"), *options, "--output", str(tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_other_measured_values_in_the_same_geometry_are_another_scan(tmp_path, capsys):
    arguments = [
        "--datasets",
        "ball",
        "--views",
        "4",
        "--size",
        "12",
        "--photons",
        "1000",
        "--in-process",
        "--no-report",
        "--device",
        "cpu",
    ]
    assert main(["run", "--methods", "naf", *arguments, "--output", str(tmp_path), *NAF]) == 0
    (place,) = (tmp_path / "runs").iterdir()
    assert "found others in the same geometry" in refusal(capsys, str(place / "checkpoint.pt"), "--scan", "ball")
    scores = ["--scan", "ball", "--set", "ball.photons=1000", "--output", str(tmp_path / "scores")]
    assert main(["evaluate", str(place / "checkpoint.pt"), *scores]) == 0


def test_a_volume_that_the_views_contradict_is_refused(run, tmp_path, capsys):
    (case,) = (run.parents[1] / "cases").iterdir()
    truth = nifti.read_volume(case / "truth.nii.gz")
    np.save(tmp_path / "v.npy", truth[::-1])
    options = ["--scan", "walnut_sample", "--output", str(tmp_path / "none")]
    assert "z reversed fits the measured views better" in refusal(capsys, str(tmp_path / "v.npy"), *options)
    np.save(tmp_path / "v.npy", truth[:12])
    assert "expected a volume [z, y, x] = (16, 16, 16), found (12, 16, 16)" in refusal(capsys, str(tmp_path / "v.npy"), *options)
    np.save(tmp_path / "v.npy", truth.transpose(2, 1, 0) / np.float32(0.02))
    found = evaluated(capsys, tmp_path / "v.npy", "--axes", "xyz", "--scale", "0.02", "--output", str(tmp_path / "scores"))
    assert found["metrics"]["volume_psnr"] > 100


def test_photographs_cannot_be_scored_by_a_volume_and_it_is_said(tmp_path):
    _, geometry = looking()
    seen = np.full(geometry.projection_shape, 0.5, np.float32)
    case = Case("photographs", Scan(seen, geometry, composite="over", colours=np.repeat(seen[..., None], 3, -1)))
    subject = Subject("theirs", "theirs.npy", case, np.full(geometry.volume_shape, 0.01, np.float32))
    record = evaluate(registry(), subject)
    assert (record.metrics, record.reason) == ({}, "")
    assert [text.partition(",")[0] for text in remarks(case)] == [
        "no truth is known: the volume itself is not scored",
        "photographs are scored with a method's Gaussians",
    ]
    assert (tmp_path / "views.png") in write_evaluation(tmp_path, subject, record)
