"""Numbered checkpoints and pictures along a run: of the same steps, drawn by the harness, changing nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import tiny_plugin
from PIL import Image
from tiny import Watcher, sweep
from tiny_plugin import Walk

from benchmark.cli.main import main
from benchmark.errors import InputError
from benchmark.execution.options import Keep, Options
from benchmark.execution.pictures import along_axis
from benchmark.runtime.checkpoint import Checkpoint, Checkpoints
from benchmark.runtime.context import Run


def test_a_numbered_checkpoint_and_the_picture_of_its_step_hold_the_same_state(tmp_path: Path) -> None:
    pictured: dict[int, float] = {}
    checkpoints = Checkpoints(tmp_path / "checkpoint.pt", {})
    run = Run(on_picture=lambda step, seconds, volume: pictured.update({step: float(volume[0])}), keep_every=3, checkpoints=checkpoints)
    run.clock.start()
    walk = Walk()
    for _ in run.steps(2):
        pass
    for _ in run.steps(8, walk):
        walk.taken += 1
        run.snapshot(lambda: np.array([walk.taken]))
    kept = {path.name: Checkpoint.read(path).state["taken"] for path in sorted((tmp_path / "kept").iterdir())}
    assert kept == {"checkpoint-000003.pt": 1, "checkpoint-000006.pt": 4, "checkpoint-000009.pt": 7}
    assert pictured == {3: 1, 6: 4, 9: 7}
    assert Checkpoint.read(checkpoints.path).state["taken"] == 8


def test_a_sweep_keeps_pictures_beside_the_truth_and_scores_stay(tmp_path: Path) -> None:
    def swept(name: str, keep: Keep | None) -> Any:
        options = Options(device="cpu", in_process=True, checkpoints=tmp_path / name / "runs", keep=keep)
        return sweep(tmp_path / name, "walker", options=options).records[0]

    kept, plain = swept("a", Keep(4, ("xy", "xz", 2))), swept("b", None)
    assert kept.run_id == plain.run_id and kept.volume_digest == plain.volume_digest and kept.counters == plain.counters
    folder = tmp_path / "a" / "runs" / kept.run_id / "kept"
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoint-000004.pt", "checkpoint-000008.pt", "step-000004.png", "step-000008.png",
    ]  # fmt: skip
    case = tiny_plugin.load(tiny_plugin.TinyParams())
    assert case.truth is not None
    z, y, _ = case.scan.geometry.volume_spacing
    for name, expected in (
        ("xy", case.truth.sum(0) * z),
        ("xz", case.truth.sum(1) * y),
        ("view-2", case.scan.projections[2]),
    ):
        np.testing.assert_allclose(tifffile.imread(folder.parent / "gt_projections" / f"{name}.tif"), expected, rtol=1e-5)
        with Image.open(folder.parent / "gt_projections" / f"{name}.png") as picture:
            assert picture.size == expected.shape[::-1] and np.asarray(picture).max() == 255
    with Image.open(folder / "step-000008.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 10


def test_projections_along_the_axes() -> None:
    volume = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    assert (along_axis(volume, 1, (5.0, 2.0, 1.0), "sum") == 2 * volume.sum(1)).all()
    assert (along_axis(volume, 2, (5.0, 2.0, 1.0), "max") == volume[:, :, -1]).all()


def test_a_method_without_volumes_has_no_pictures_and_it_is_said(tmp_path: Path) -> None:
    watcher = Watcher()
    options = Options(device="cpu", in_process=True, checkpoints=tmp_path / "runs", keep=Keep(4))
    (record,) = sweep(tmp_path, "noisy", options=options, watcher=watcher).records
    notes = [event["text"] for event in watcher.named("progress") if event["event"] == "note"]
    assert record.status == "ok" and notes == ["no pictures along the run: it offered no volume at the steps of --keep-every"]


def test_a_view_that_no_case_has_ends_the_sweep_before_it_begins(tmp_path: Path) -> None:
    options = Options(device="cpu", in_process=True, checkpoints=tmp_path / "runs", keep=Keep(4, ("xy", 99)))
    with pytest.raises(InputError, match=r"--keep-views: expected xy, xz, yz, or training views 0 \.\. \d+ of .*, found 99"):
        sweep(tmp_path, "walker", options=options)
    assert not list((tmp_path / "runs").iterdir())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--keep-every", "0"], "--keep-every: expected a number of steps such as 100"),
        (["--keep-every", "30s"], "--keep-every: expected a number of steps, such as 100, found '30s'"),
        (["--keep-views", "xy"], "--keep-views: expected --keep-every beside it"),
        (["--keep-every", "5", "--keep-views", "yx"], "--keep-views: expected xy, xz, yz and indices of training views"),
        (["--keep-every", "5", "--scheduler", "tcp://head:1"], "--keep-every: expected runs on this machine"),
    ],
)
def test_wrong_options_have_one_clear_error(options: list[str], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--datasets", "ball", "--methods", "cgls", "--output", str(tmp_path / "out"), *options]) == 2
    assert text in capsys.readouterr().err and not (tmp_path / "out").exists()
