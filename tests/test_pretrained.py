"""Weights from other scans: what they were made of is kept, they are scored on nothing of it, and tables set them apart."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import forks
import numpy as np
import pytest
import torch
from rich.console import Console
from synthetic_results import case as made_case
from synthetic_results import fill, reconstruction
from synthetic_results import record as made_record
from synthetic_results import spec as made_spec
from tiny import Watcher

from benchmark.cli.main import main
from benchmark.errors import InputError
from benchmark.execution.fit_curve import FitCurve
from benchmark.execution.fitting import fit, open_course
from benchmark.execution.options import Options
from benchmark.plan.plan import Flags, make_plan
from benchmark.plugins.registry import registry
from benchmark.records.results import Results
from benchmark.records.store import Store
from benchmark.report.columns import COLUMNS
from benchmark.report.console import summary_table
from benchmark.report.page import page
from benchmark.report.ranking import leads
from benchmark.report.summary import labelled, summarise
from benchmark.report.tables import markdown
from benchmark.runtime.checkpoint import Checkpoint
from benchmark.runtime.weights import Weights, source_of
from benchmark.sweep.sweep import Sweep, SweepOutcome

SETS = ("carve.voxels=8", "carve.channels=4", "carve.levels=2", "carve.networks=1", "carve.steps=8")
GIVEN = {"size": 12, "views": 6}


pytestmark = pytest.mark.usefixtures("one_thread")


def fitted(path: Path, *sets: str, scans: tuple[str, ...] = ("phantom",), seed: int = 0, log: Any = None) -> Path:
    course = open_course(registry(), "carve", list(scans), GIVEN, (*SETS, *sets), seed)
    return fit(course, path, log or (lambda values: None))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of three steps on the phantom of a head."""
    return fitted(tmp_path_factory.mktemp("weights") / "weights.pt", "carve.steps=3")


def run(output: Path, weights: Path, dataset: str = "ball", *sets: str) -> SweepOutcome:
    flags = Flags(sets=(*SETS, "carve.steps=3", f"carve.weights={weights}", *sets))
    content = {"datasets": [dataset], "methods": ["carve"], "output": str(output), "size": [GIVEN["size"]], "views": [GIVEN["views"]]}
    plan = make_plan(registry(), content, flags)
    return Sweep(registry(), plan, Options(device="cpu", in_process=True, checkpoints=output / "runs"), Watcher()).run()


# -- the file -----------------------------------------------------------------------------------------------------------


def test_the_file_says_what_it_was_fitted_to(weights: Path) -> None:
    found = Weights.read(weights)
    (entry,) = found.fitted_to
    assert (found.method, found.seed, found.steps) == ("carve", 0, 3)
    assert entry["dataset"] == "phantom" and entry["source"] == "phantom: phantom-shepp_logan" and len(entry["scan"]) == 16
    assert [path.name for path in weights.parent.iterdir()] == ["weights.pt"]  # nothing else is left


def test_the_same_fit_gives_the_same_weights_also_after_an_interruption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.execution.fitting.CHECKPOINT_EVERY", 0.0)
    whole = fitted(tmp_path / "whole.pt", seed=5)

    def stop(values: dict[str, Any]) -> None:
        if values["step"] == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr("benchmark.methods.carve.fit.LOG_EVERY", 1)
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path / "halves.pt", seed=5, log=stop)
    assert not (tmp_path / "halves.pt").exists() and (tmp_path / "halves.pt.checkpoint").exists()
    with pytest.raises(InputError, match="weights that .*fit.* has written, found the checkpoint of a fit or a run under way"):
        Weights.read(tmp_path / "halves.pt.checkpoint")
    steps: list[int] = []
    halves = fitted(tmp_path / "halves.pt", seed=5, log=lambda values: steps.append(values["step"]))
    assert steps[0] == 4
    one, other = (torch.load(path, weights_only=True)["state"]["carver"] for path in (whole, halves))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_folder_of_scans_is_all_that_is_in_it(tmp_path: Path) -> None:
    from benchmark.exchange.scan_export import export_scan
    from benchmark.plan.sources import open_case, scans_in

    for kind in ("shepp_logan", "anatomy"):
        case = open_case(registry(), "phantom", {"size": 8, "views": 4}, (f"phantom.kind={kind}", "phantom.heldout=0"))
        export_scan(case, "folder", tmp_path / kind)
    (tmp_path / "notes.txt").write_text("not a scan")
    assert [(spec.name, Path(path or "").name) for spec, path in scans_in(registry(), str(tmp_path))] == [
        ("folder", "anatomy"),
        ("folder", "shepp_logan"),
    ]
    course = open_course(registry(), "carve", [str(tmp_path)], {"size": 8, "views": 4}, ("folder.heldout=0",), 0)
    assert [lesson.case.scan.geometry.views for lesson in course.lessons] == [4, 4]
    assert {entry["source"] for entry in course.facts()["fitted_to"]} == {str(tmp_path / "anatomy"), str(tmp_path / "shepp_logan")}


@pytest.mark.parametrize(
    "method, scans, sets, text",
    [
        ("fdk", ["ball"], (), "method: expected one that can be fitted to many scans .*carve.*found 'fdk', which cannot"),
        ("carve", ["nowhere"], (), "scan: expected one of .*found 'nowhere'"),
        ("carve", ["ball"], ("carve.nonsense=1",), "carve.nonsense"),
        ("carve", ["ball"], ("ball.size=two",), "ball.size"),
        ("carve", ["ball"], ("carve.weights=weights.pt",), "carve.weights: expected none: a fit makes them"),
    ],
)
def test_mistakes_in_a_fit(method: str, scans: list[str], sets: tuple[str, ...], text: str) -> None:
    with pytest.raises(InputError, match=text):
        open_course(registry(), method, scans, {"views": 4}, sets, 0)


def test_a_seed_that_generators_do_not_take_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"--seed: expected whole numbers from 0 to {2**63 - 1}, found {2**63}"):
        fitted(tmp_path / "never.pt", seed=2**63)


def test_an_impossible_output_is_said_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("keep me")

    def refuse(*arguments: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("benchmark.storage.atomic.create", refuse)
    for output, text in (
        (tmp_path, "expected a new file, found a folder. Choose another --output."),
        (precious, "expected a new file, found one that exists. Remove it or choose another --output."),
        (precious / "weights.pt", "expected a folder, found none"),
        (tmp_path / "weights.pt", f"{tmp_path}: expected a folder that can be written, found Read-only file system"),
    ):
        assert main(["fit", "carve", "--scans", "scans that nobody looks for", "--output", str(output)]) == 2
        assert text in capsys.readouterr().err
    assert precious.read_text() == "keep me" and list(tmp_path.iterdir()) == [precious]


def test_the_global_generators_have_the_seed_of_the_fit(tmp_path: Path) -> None:
    def draw(scans: Any, params: Any, run: Any) -> dict[str, Any]:
        return {"torch": float(torch.rand(())), "numpy": float(np.random.random()), "device": run.device}

    def drawn(name: str, seed: int) -> dict[str, Any]:
        course = open_course(registry(), "carve", ["ball"], GIVEN, (), seed)
        course = dataclasses.replace(course, method=dataclasses.replace(course.method, fit=draw))
        return dict(Checkpoint.read(fit(course, tmp_path / name, lambda values: None, device="cpu")).state)

    first, again, other = drawn("first.pt", 3), drawn("again.pt", 3), drawn("other.pt", 4)
    assert first == again and first["device"] == "cpu"
    assert first["torch"] != other["torch"] and first["numpy"] != other["numpy"]


def test_torch_has_seed_and_threads_when_it_is_imported_later() -> None:
    code = "import sys; from benchmark.execution.libraries import set_up_libraries as set_up; set_up(3, 2, 'cpu'); set_up(5, 1, 'cpu')\n"
    code += "import importlib.util; assert importlib.util.find_spec('torch') and 'torch' not in sys.modules\n"
    code += "import torch; print(torch.initial_seed(), torch.get_num_threads(), torch.rand(()).item())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=forks.ROOT, check=True)
    seeded = torch.rand((), generator=torch.Generator().manual_seed(5)).item()
    assert done.stdout.split() == ["5", "1", str(seeded)]


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there(device: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["fit", "carve", "phantom", "--output", str(tmp_path / "weights.pt"), "--device", device]) == 2
    assert "--device: expected" in capsys.readouterr().err


def test_the_command_fits_on_the_device_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []

    def fitted_there(course: Any, output: Path, on_log: Any, threads: int | None, device: str) -> Path:
        used.append(device)
        return fit(course, output, on_log, threads)

    monkeypatch.setattr("benchmark.execution.fitting.fit", fitted_there)
    monkeypatch.setattr("benchmark.machine.device.resolve_device", lambda device: {"auto": "cuda:0"}.get(device, device))
    for index, arguments in enumerate(([], ["--device", "cpu"], ["--device", "cuda:1"])):
        command = ["fit", "carve", "phantom", "--size", "12", "--views", "6", "--output", str(tmp_path / f"{index}.pt"), *arguments]
        assert main([*command, *(word for text in (*SETS, "carve.steps=1") for word in ("--set", text))]) == 0
    assert used == ["cuda:0", "cpu", "cuda:1"]


def test_the_command_goes_on_from_the_checkpoint_of_an_unfinished_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.execution.fitting.CHECKPOINT_EVERY", 0.0)
    monkeypatch.setattr("benchmark.methods.carve.fit.LOG_EVERY", 1)
    path, steps = tmp_path / "weights.pt", []

    def watch(progress: Any, values: dict[str, Any]) -> None:
        steps.append(values["step"])
        if len(steps) == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr("benchmark.cli.fitting._Progress.__call__", watch)
    arguments = ["fit", "carve", "phantom", "--size", "12", "--views", "6", "--output", str(path)]
    arguments += [word for text in SETS for word in ("--set", text)]
    assert main(arguments) == 130 and [file.name for file in tmp_path.iterdir()] == ["weights.pt.checkpoint"]
    assert main(arguments) == 0 and steps[3:5] == [3, 3]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["weights-losses.csv", "weights-losses.png", "weights.pt"]
    assert main(arguments) == 2  # it is there


# -- runs ---------------------------------------------------------------------------------------------------------------


def test_a_run_takes_no_step_and_its_record_says_so(weights: Path, tmp_path: Path) -> None:
    (record,) = run(tmp_path, weights).records
    assert (record.status, record.steps, record.losses) == ("ok", 0, [])
    assert record.spec.weights_digest == record.pretrained["digest"] == Weights.read(weights).digest
    assert record.pretrained["scans"][0]["case"] == "phantom-shepp_logan"
    (row,) = Results(tmp_path).frame().to_dict("records")
    assert row["pretrained"] == "1 scan"
    assert labelled(Results(tmp_path).records)["label"].tolist() == ["carve [pretrained]"]


def test_weights_change_what_comes_out(weights: Path, tmp_path: Path) -> None:
    other = fitted(tmp_path / "other.pt", "carve.steps=3", seed=1)
    volumes = [run(tmp_path / name, path).records[0].volume_digest for name, path in (("a", weights), ("b", other), ("c", weights))]
    assert volumes[0] == volumes[2] != volumes[1]


def test_the_identity_is_what_is_in_the_file(weights: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.pt"
    shutil.copyfile(weights, copy)
    (record,) = run(tmp_path / "out", weights).records
    again = run(tmp_path / "out", copy)
    assert [found.run_id for found in again.records] == [record.run_id] and len(list((tmp_path / "out" / "runs").glob("*/attempt*"))) == 1
    other = record.spec.model_copy(update={"weights_digest": "another"})
    without = record.spec.model_copy(update={"weights_digest": ""})
    assert len({record.run_id, other.id, without.id}) == 3


@pytest.mark.parametrize("sets", [(), ("phantom.heldout=3", "phantom.views=4", "phantom.data_seed=7")])
def test_nothing_is_scored_that_the_weights_have_seen(weights: Path, tmp_path: Path, sets: tuple[str, ...]) -> None:
    """The very scan, and other views of the same thing."""
    (record,) = run(tmp_path, weights, "phantom", *sets).records
    assert record.status == "skipped" and record.metrics == {}
    assert ("this very scan" if not sets else "the same thing") in record.reason
    (allowed,) = run(tmp_path / "other", weights, "phantom", "phantom.kind=anatomy").records
    assert allowed.status == "ok"


def test_a_file_that_changes_under_way_fails(weights: Path, tmp_path: Path) -> None:
    from benchmark.execution.runner import perform
    from benchmark.plan.sources import open_case

    (record,) = run(tmp_path / "out", weights).records
    moved = record.spec.model_copy(update={"weights_digest": "0" * 16})
    case = open_case(registry(), "ball", GIVEN, ())
    again, _ = perform(registry(), moved, case, tmp_path, Options(device="cpu", in_process=True), lambda event: None)
    assert again.status == "failed" and "the weights file has changed" in again.reason


@pytest.mark.parametrize(
    "change, text",
    [
        ({"facts": {"method": "other", "revision": 1, "seed": 0, "fitted_to": []}}, "carve.weights: expected weights of carve, revision 4"),
        ({"facts": {"method": "carve"}}, "weights that .*fit.* has written"),
    ],
)
def test_other_files_are_no_weights(weights: Path, tmp_path: Path, change: dict[str, Any], text: str) -> None:
    from benchmark.runtime.checkpoint import Checkpoint

    found = Checkpoint.read(weights)
    path = tmp_path / "other.pt"
    Checkpoint(**{**vars(found), **change}).write(path)
    with pytest.raises(InputError, match=text):
        run(tmp_path / "out", path)
    with pytest.raises(InputError, match="no such file"):
        run(tmp_path / "out", tmp_path / "missing.pt")


def test_weights_of_other_networks_are_refused(weights: Path, tmp_path: Path) -> None:
    (record,) = run(tmp_path, weights, "ball", "carve.channels=8").records
    assert record.status == "failed" and "expected the networks that they were fitted with: channels=4, found channels=8" in record.reason


# -- photographs --------------------------------------------------------------------------------------------------------

PICTURES = ("multiview.pixels=24", "multiview.cameras=9", "multiview.heldout=3")


def frames(path: Path, *each: str, scans: tuple[str, ...] = ("multiview",)) -> Path:
    course = open_course(registry(), "carve", list(scans), GIVEN, (*SETS, "carve.steps=3", *PICTURES), 0, each)
    return fit(course, path, lambda values: None)


@pytest.fixture(scope="module")
def of_frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of three steps on two frames of the walker."""
    return frames(tmp_path_factory.mktemp("frames") / "weights.pt", "multiview.frame=[1, 4]")


def test_photographs_of_other_frames_are_scored_and_set_apart(of_frames: Path, tmp_path: Path) -> None:
    assert [entry["case"] for entry in Weights.read(of_frames).fitted_to] == ["walker-1", "walker-4"]
    (record,) = run(tmp_path, of_frames, "multiview", *PICTURES, "multiview.frame=6").records
    assert (record.status, record.steps, record.case, len(record.pretrained["scans"])) == ("ok", 0, "walker-6", 2)
    assert {"projection_iou", "projection_l1", "projection_psnr", "projection_ssim", "fit_iou"} <= set(record.metrics)
    assert labelled(Results(tmp_path).records)["label"].tolist() == ["carve [pretrained]"]


@pytest.mark.parametrize("sets, text", [((), "this very scan"), (("multiview.views=[0, 3, 5]", "multiview.align=false"), "the same thing")])
def test_photographs_that_the_weights_have_seen_are_skipped(of_frames: Path, tmp_path: Path, sets: tuple[str, ...], text: str) -> None:
    (record,) = run(tmp_path, of_frames, "multiview", *PICTURES, "multiview.frame=4", *sets).records
    assert record.status == "skipped" and record.metrics == {} and text in record.reason


def test_frames_of_one_file_are_different_things() -> None:
    shown = made_case("chest", 4)
    one, other = (dataclasses.replace(shown, part=part) for part in ("frame 1", "frame 2"))
    sources = [source_of("multiview", {"path": "takes/mouse"}, case) for case in (shown, one, other, one)]
    assert len(set(sources)) == 3 and sources[1] == sources[3] and sources[1].startswith(sources[0])


def test_weights_are_of_one_kind_of_views(of_frames: Path, weights: Path, tmp_path: Path) -> None:
    for path, dataset, sets in ((of_frames, "ball", ()), (weights, "multiview", PICTURES)):
        (record,) = run(tmp_path / dataset, path, dataset, *sets).records
        assert record.status == "failed" and "expected weights of a fit to the same kind of views" in record.reason
    with pytest.raises(InputError, match="scans: expected all of one kind, found line integrals and photographs"):
        frames(tmp_path / "mixed.pt", scans=("ball", "multiview"))


@pytest.mark.parametrize(
    "each, text",
    [
        ("multiview.frame=3", r"--each multiview.frame: expected a list of values, such as \[0, 5, 10\], found 3"),
        ("multiview.frame=[]", "--each multiview.frame: expected a list of values"),
        ("multiview.frames=[1]", "multiview.frames.*Did you mean 'frame'"),
        ("carve.steps=[1, 2]", "--each carve.steps"),
        ("multiview.pixels=[24, 32]", "--each multiview.pixels: expected no other value of pixels, found --set multiview.pixels"),
        ("multiview.views=[4, 5]", "--each multiview.views: expected no other value of views, found --views"),
    ],
)
def test_mistakes_in_each(tmp_path: Path, each: str, text: str) -> None:
    with pytest.raises(InputError, match=text):
        frames(tmp_path / "weights.pt", each)


# -- parts of a sequence ------------------------------------------------------------------------------------------------


def sequence(path: Path, *sets: str, log: Any = None, **options: Any) -> Path:
    """A fit to the first third of six frames, judged by the second."""
    usual: dict[str, Any] = {"frames": "0:6", "split": "thirds", "every": 2}
    course = open_course(registry(), "carve", ["multiview"], GIVEN, (*SETS, "carve.steps=6", *PICTURES, *sets), 0, **{**usual, **options})
    return fit(course, path, log or (lambda values: None))


@pytest.fixture(scope="module")
def of_thirds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sequence(tmp_path_factory.mktemp("thirds") / "weights.pt")


def test_test_frames_are_scored_and_frames_for_validation_are_not(of_thirds: Path, tmp_path: Path) -> None:
    assert [entry["case"] for entry in Weights.read(of_thirds).fitted_to] == [f"walker-{frame}" for frame in range(4)]
    flags = Flags(sets=(*SETS, "carve.steps=6", *PICTURES, f"carve.weights={of_thirds}"), frames="3:")
    content = {"datasets": ["multiview"], "methods": ["carve"], "output": str(tmp_path), "size": [12], "views": [6]}
    plan = make_plan(registry(), content, flags)
    assert [spec.dataset_params["frame"] for spec in plan.runs] == list(range(3, 48))
    plan = dataclasses.replace(plan, runs=plan.runs[:3])
    records = Sweep(registry(), plan, Options(device="cpu", in_process=True, checkpoints=tmp_path / "runs"), Watcher()).run().records
    assert {record.case: record.status for record in records} == {"walker-3": "skipped", "walker-4": "ok", "walker-5": "ok"}
    summary = summarise(labelled(Results(tmp_path).records))
    scored = [record.metrics for record in records if record.status == "ok"]
    for name in ("projection_iou", "projection_ssim", "projection_psnr", "projection_l1"):
        assert summary[name].iloc[0] == pytest.approx(np.mean([metrics[name] for metrics in scored]))


def test_the_best_weights_by_the_validation_are_kept(tmp_path: Path) -> None:
    """With a learning rate that ruins everything, the first judgement stays the best, and the fit ends after two more."""
    path = sequence(tmp_path / "weights.pt", "carve.learning_rate=0.3", "carve.steps=40", patience=2)
    found = Checkpoint.read(path)
    curve = FitCurve(found.facts["curve"])
    judged = [(step, validation) for step, _, _, validation in curve.points if validation is not None]
    assert curve.best is not None and found.step == judged[-1][0] < 40
    assert [step for step, _ in judged][-3:] == [curve.best[0] + 2 * index for index in range(3)]
    early = sequence(tmp_path / "early.pt", "carve.learning_rate=0.3", "carve.steps=40", every=curve.best[0], patience=1)
    kept, same = (Checkpoint.read(file).state["carver"] for file in (path, early))
    assert all(torch.equal(kept[name], same[name]) for name in kept)
    table, picture = curve.write(path)
    assert table.read_text().splitlines()[0] == "step,seconds,loss,validation_loss" and picture.read_bytes().startswith(b"\x89PNG")


def test_a_fit_goes_on_from_the_weights_of_another(of_thirds: Path, tmp_path: Path) -> None:
    more = sequence(tmp_path / "more.pt", frames="6:9", load=of_thirds)
    before, after = (Checkpoint.read(path) for path in (of_thirds, more))
    assert (before.step, after.step, after.state["training"]["taken"]) == (6, 12, 12)
    assert after.facts["curve"][: len(before.facts["curve"])] == before.facts["curve"] and after.facts["curve"][-1][0] == 12
    assert [entry["case"] for entry in after.facts["fitted_to"]] == [f"walker-{frame}" for frame in (0, 1, 2, 3, 6, 7)]
    with pytest.raises(InputError, match="expected the networks that they were fitted with: channels=4, found channels=6"):
        sequence(tmp_path / "never.pt", "carve.channels=6", load=of_thirds)


def test_augmented_scans_are_others_and_the_same_for_the_same_seed(of_thirds: Path, tmp_path: Path) -> None:
    sets = ("carve.augment_angle=20", "carve.augment_centre=1", "carve.augment_colour=0.2", "carve.steps=2")
    one, same, plain = (
        Checkpoint.read(sequence(tmp_path / f"{index}.pt", *chosen)).state["carver"] for index, chosen in enumerate((sets, sets, sets[-1:]))
    )
    assert all(torch.equal(one[name], same[name]) for name in one) and any(not torch.equal(one[name], plain[name]) for name in one)


def test_a_turned_and_moved_scan_sees_the_turned_and_moved_thing() -> None:
    from benchmark.methods.carve.augment import moved
    from benchmark.plan.sources import open_case

    geometry = open_case(registry(), "multiview", GIVEN, PICTURES).scan.geometry
    cos, sin = np.cos(0.3), np.sin(0.3)
    turn, shift, point = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]]), np.array([3.0, -2.0, 5.0]), np.array([10.0, 20.0, -5.0])
    middle = geometry.volume_bounds.mean(0)
    there = turn @ (point - middle) + middle + shift

    def pixels(cameras: Any, place: np.ndarray) -> np.ndarray:
        lens, poses = cameras.pinholes()
        seen = np.einsum("cij,cj->ci", lens, np.einsum("cji,cj->ci", poses[:, :3, :3], place - poses[:, :3, 3]))
        return np.asarray(seen[:, :2] / seen[:, 2:])

    np.testing.assert_allclose(pixels(moved(geometry, 0.3, shift), there), pixels(geometry, point), atol=1e-6)


@pytest.mark.parametrize(
    "options, text",
    [
        ({"frames": "0:6:0"}, "--frames: expected all, ranges such as 0:48"),
        ({"frames": "none"}, "--frames: expected all"),
        ({"frames": "9:3"}, "--frames: expected from 1 to .* frames, found 0"),
        ({"split": "0.5,0.6,0.1"}, "--split: expected thirds, or shares"),
        ({"frames": "0:2"}, "--split: expected scans for each part, found 2"),
        ({"every": None}, "--validate-every: expected for the scans that --split sets aside, found none"),
        ({"split": None}, "--validate-every: expected with the scans that --split sets aside, found no --split"),
        ({"split": None, "every": None, "patience": 2}, "--patience: expected with --validate-every"),
    ],
)
def test_mistakes_in_frames_and_parts(tmp_path: Path, options: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        sequence(tmp_path / "weights.pt", **options)
    with pytest.raises(InputError, match="--frames: expected a dataset with a parameter 'frame', found 'phantom'"):
        open_course(registry(), "carve", ["phantom"], GIVEN, SETS, 0, frames="all")


# -- tables -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Two methods with three seeds each, and a pretrained one that is better than both."""
    folder = tmp_path_factory.mktemp("mixed")
    fill(folder, views=(10,), methods=("fdk", "sart"), seeds=(0, 1, 2))
    problem = made_case("chest", 10)
    for seed in (0, 1, 2):
        run = made_spec("learned", "chest", 10, 28, seed, problem.digest, weights="w.pt").model_copy(update={"weights_digest": "abc"})
        volume = problem.truth + 0.1 * (reconstruction(problem, "sart", seed) - problem.truth)
        facts = {"digest": "abc", "scans": [{}, {}]}
        Store(folder).write_record(made_record(run, problem, volume, pretrained=facts), volume, problem)
    return Results.open(folder)


def test_pretrained_methods_have_no_rank_and_no_bold(mixed: Results) -> None:
    summary = summarise(labelled(mixed.records))
    assert summary["method"].tolist() == ["sart", "fdk", "learned [pretrained]"]  # last, although its numbers are the best
    assert summary["volume_psnr"].idxmax() == 2
    assert summary["rank"].tolist() == ["1", "2", ""]
    assert not any(leads(summary.loc[2], column) for column in COLUMNS)
    text = markdown(summary)
    (line,) = [line for line in text.splitlines() if "learned" in line]
    assert "2 scans" in line and "**" not in line
    assert "Pretrained: fitted to other scans beforehand, so neither ranked nor set in bold" in text


def test_with_one_seed_neither(tmp_path: Path, mixed: Results) -> None:
    table = labelled(mixed.records)
    summary = summarise(table[table["seed"] == 0])
    assert leads(summary.loc[0], COLUMNS[0]) and not any(leads(summary.loc[2], column) for column in COLUMNS)


def test_the_terminal_says_so_too(mixed: Results) -> None:
    console = Console(width=200, force_terminal=True, color_system="standard", record=True)
    console.print(summary_table(mixed.records))
    text = console.export_text(styles=True)
    lines = {name: next(line for line in text.splitlines() if name in line) for name in ("sart", "learned")}
    assert "pretrained on 2 scans, not compared" in lines["learned"]
    bold = "\x1b[1m"
    assert bold in lines["sart"] and bold not in lines["learned"]


def test_the_page_says_so_too(mixed: Results) -> None:
    text = page(mixed, [])
    assert "Pretrained" in text and "learned [pretrained]" in text and "neither ranked nor set in bold" in text
