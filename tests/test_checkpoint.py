"""Checkpoints: what is interrupted goes on to the same bits; files that are not ours are said; the field can be asked later."""

from __future__ import annotations

import dataclasses
import functools
import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_neural import TINY, ball

from benchmark.api import Scan
from benchmark.cli.main import main
from benchmark.errors import InputError
from benchmark.fields.novel_views import NovelField
from benchmark.machine import counters
from benchmark.plugins.specs import resolve
from benchmark.runtime.checkpoint import Checkpoint, Checkpoints
from benchmark.runtime.context import Interrupted, Run

SETTINGS: dict[str, dict[str, Any]] = {
    "naf": TINY["naf"] | {"steps": 12, "rays": 64, "refine": 3},
    "zerorf": TINY["zerorf"] | {"members": 2, "steps": 6, "refine": 3},
    "gaussians": {"gaussians": 60, "steps": 12, "every": 4, "refine": 3},
    "carve": {"voxels": 12, "steps": 12, "channels": 4, "levels": 2, "networks": 1, "refine": 3},
    "zerorf with tv": TINY["zerorf"] | {"members": 2, "steps": 6, "refine": 0, "tv": 0.01, "weighting": "photons"},
    "naf with tv": TINY["naf"] | {"steps": 12, "rays": 64, "refine": 0, "tv": 0.01},
    "zerorf fine-tuned": TINY["zerorf"] | {"members": 2, "steps": 3, "finetune": 3, "finetune_rays": 64, "refine": 3},
    "zerorf by rays": TINY["zerorf"] | {"render": "rays", "members": 2, "steps": 6, "rays": 64, "rays_end": 64, "refine": 3},
}


pytestmark = pytest.mark.usefixtures("one_thread")


def method(name: str) -> Any:
    return importlib.import_module(f"benchmark.methods.{name.split()[0]}").SPEC


def checkpoints(path: Path, scan: Scan, spec: Any, params: Any, every: float = 0.0) -> Checkpoints:
    model = f"{type(params).__module__}:{type(params).__qualname__}"
    facts = {"field": spec.field, "params_model": model, "params": params.model_dump(), "geometry": scan.geometry.to_dict()}
    return Checkpoints(path, facts, every)


@functools.cache
def uninterrupted(name: str) -> tuple[np.ndarray, dict[str, int]]:
    """The volume of a run from beginning to end, and the work that was counted."""
    spec = method(name)
    counters.reset()
    volume = resolve(spec.target)(ball().scan, spec.params(**SETTINGS[name]), Run(seed=3)).volume
    return volume, counters.totals()


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("stop_after", [2, 6, 9])
def test_an_interrupted_run_goes_on_to_the_same_bits_and_counts(name: str, stop_after: int, tmp_path: Path) -> None:
    scan, spec = ball().scan, method(name)
    params = spec.params(**SETTINGS[name])
    target = resolve(spec.target)
    counters.reset()

    def stop(values: dict[str, Any]) -> None:
        if first.step >= stop_after:
            assert first.interrupt()

    first = Run(seed=3, checkpoints=checkpoints(tmp_path / "c.pt", scan, spec, params), on_snapshot=lambda *_: stop({}), snapshots=1000)
    with pytest.raises(Interrupted):
        target(scan, params, first)
    counters.reset()  # another process
    second = Run(seed=3, checkpoints=checkpoints(tmp_path / "c.pt", scan, spec, params))
    resumed = target(scan, params, second).volume
    assert second.resumed == stop_after + 1 and second.step == 12
    found = counters.totals()
    volume, counted = uninterrupted(name)
    assert np.array_equal(resumed, volume) and found == counted


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    scan, spec = ball().scan, method("naf")
    params = spec.params(**SETTINGS["naf"])
    run = Run(seed=3, checkpoints=checkpoints(tmp_path / "c.pt", scan, spec, params))
    volume = resolve(spec.target)(scan, params, run).volume
    again = Run(seed=3, checkpoints=checkpoints(tmp_path / "c.pt", scan, spec, params))
    assert np.array_equal(resolve(spec.target)(scan, params, again).volume, volume)
    assert again.resumed == again.step == 12


def test_a_checkpoint_of_other_parameters_is_not_used(tmp_path: Path) -> None:
    scan, spec = ball().scan, method("naf")
    params = spec.params(**SETTINGS["naf"])
    resolve(spec.target)(scan, params, Run(seed=3, checkpoints=checkpoints(tmp_path / "c.pt", scan, spec, params)))
    other = spec.params(**SETTINGS["naf"] | {"hidden": 8})
    run = Run(seed=3, checkpoints=checkpoints(tmp_path / "c.pt", scan, spec, other))
    resolve(spec.target)(scan, other, run)
    assert run.resumed == 0


@pytest.mark.parametrize("name", ["naf", "zerorf", "zerorf fine-tuned", "zerorf by rays", "gaussians"])
def test_the_field_of_a_checkpoint_is_the_volume_before_its_refinement(name: str, tmp_path: Path) -> None:
    from benchmark.fields import field_volume

    scan, spec = ball().scan, method(name)
    params = spec.params(**SETTINGS[name] | {"refine": 0})
    volume = resolve(spec.target)(scan, params, Run(seed=3, checkpoints=checkpoints(tmp_path / "c.pt", scan, spec, params))).volume
    found = Checkpoint.read(tmp_path / "c.pt")
    assert found.method.field is not None
    field = resolve(found.method.field)(found.state, found.params, found.geometry)
    supersample = 1 if name == "zerorf" else 2  # the grid is sampled at voxel centres
    with torch.no_grad():
        again = field_volume(field, found.geometry, supersample)
    assert np.allclose(again, volume, rtol=1e-4, atol=1e-6 * volume.max())


def test_a_run_without_state_cannot_be_asked_to_stop() -> None:
    run = Run()
    for _ in run.steps(3):
        assert not run.interrupt()
    assert run.step == 3


def test_of_a_checkpoint_without_counters_only_the_field_can_be_asked(tmp_path: Path) -> None:
    """Format 1, as earlier versions wrote it: a run that went on from it would report too little."""
    old = {"format": 1, "facts": "{}", "step": 3, "seconds": 1.0, "random": "{}", "state": {"taken": 3}}
    torch.save(old, tmp_path / "c.pt")
    assert Checkpoint.read(tmp_path / "c.pt").state == {"taken": 3}
    assert Checkpoints(tmp_path / "c.pt", {}).find() is None


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 broken"])
def test_a_file_that_is_no_checkpoint_is_said(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "c.pt").write_bytes(content)
    with pytest.raises(InputError, match="a checkpoint that"):
        Checkpoint.read(tmp_path / "c.pt")


def test_a_checkpoint_with_code_in_it_runs_none(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (Path(tmp_path / "touched").touch, ())

    torch.save({"format": 1, "state": Evil()}, tmp_path / "c.pt")
    with pytest.raises(InputError):
        Checkpoint.read(tmp_path / "c.pt")
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("changes", [{}, {"method": "naf"}])
def test_names_in_a_checkpoint_are_not_called(changes: dict[str, Any], tmp_path: Path) -> None:
    facts = {"params_model": "os:mkdir", "params": {"path": str(tmp_path / "touched")}, "field": "os:mkdir", **changes}
    Checkpoint(facts | {"geometry": ball().scan.geometry.to_dict()}, 1, 1.0, {}, {}).write(tmp_path / "c.pt")
    with pytest.raises(InputError):
        NovelField(tmp_path / "c.pt")
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"method": "nafe"}, "c.pt: method: expected one of .* found 'nafe'. Did you mean 'naf'"),
        ({"method": "fdk", "params": {}}, "c.pt: expected a checkpoint of a method with a field, found one of 'fdk'"),
        ({"params": {"hidden": -1}}, "c.pt: params: expected parameters of naf, found .*hidden.* Run naf again"),
        ({"params": None}, "c.pt: params: expected parameters of naf"),
        ({"geometry": {"angles": [0.0]}}, "c.pt: geometry: expected that of the scan"),
        ({"method": None, "params_model": "somewhere:Params"}, "c.pt: method: expected one of .* found 'somewhere:Params'"),
        ({"method": None, "params_model": None}, "c.pt: method: expected the name of the method that wrote the file, found none"),
    ],
)
def test_facts_that_are_no_use_are_said(changes: dict[str, Any], text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = {"method": "naf", "params": {}, "geometry": ball().scan.geometry.to_dict()} | changes
    Checkpoint(facts, 1, 1.0, {}, {}).write(tmp_path / "c.pt")
    with pytest.raises(InputError, match=text):
        NovelField(tmp_path / "c.pt")
    assert main(["volume", str(tmp_path / "c.pt"), "--size", "8"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_checkpoint_that_is_not_complete_is_said(tmp_path: Path) -> None:
    torch.save({"format": 2, "facts": "[1]"}, tmp_path / "c.pt")
    with pytest.raises(InputError, match="found one that is not complete"):
        Checkpoint.read(tmp_path / "c.pt")
    torch.save({"format": 2}, tmp_path / "c.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match="found a file that cannot be read"):
        Checkpoint.read(tmp_path / "c.pt")


@pytest.mark.parametrize("sealed", [True, False], ids=["with its digest", "of format 2"])
def test_no_flipped_bit_is_trained_on(sealed: bool, tmp_path: Path) -> None:
    path, rng = tmp_path / "c.pt", np.random.default_rng(0)
    written = {"weights": torch.arange(500.0), "name": "x"}
    Checkpoint({}, 3, 1.0, {}, written, counters={}).write(path)
    if not sealed:
        torch.save(torch.load(path, weights_only=True) | {"format": 2}, path)
    whole = path.read_bytes()
    assert Checkpoints(path, {}).find() is not None
    used = 0
    for place in rng.integers(0, 8 * len(whole), 300):
        content = bytearray(whole)
        content[place // 8] ^= 1 << (place % 8)
        path.write_bytes(content)
        kept = Checkpoints(path, {})
        found = kept.find()
        if found is None:
            assert str(path) in kept.damage
        else:  # a bit that holds nothing
            used += 1
            assert np.array_equal(np.asarray(found.state["weights"]), np.asarray(written["weights"])) and (
                found.step,
                found.state["name"],
            ) == (3, "x")
    assert used == 0 or not sealed


def test_a_run_with_a_damaged_checkpoint_begins_again_and_says_so(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path / "c.pt", {}, 0.0)
    with pytest.raises(Interrupted):
        two_loops(Run(seed=3, checkpoints=kept), 1)
    with kept.path.open("r+b") as file:
        file.seek(200)
        file.write(b"\xff\xff")
    run = Run(seed=3, checkpoints=kept)
    assert two_loops(run) == two_loops(Run(seed=3)) and run.resumed == 0
    assert "its content is not what was written" in kept.damage


# -- several loops, loops that are left ---------------------------------------------------------------------------------


class Total:
    """A number as the state of a checkpoint."""

    value = 1.0

    def state_dict(self) -> dict[str, float]:
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.value = state["value"]


def two_loops(run: Run, stop_in: int | None = None, leave: bool = False) -> tuple[float, float, int]:
    """Asked to stop in one of its steps, 4 and 5; the first loop may be left in its third."""
    first, second = Total(), Total()
    for step in run.steps(4, first):
        first.value += run.rng.random()
        if run.step == stop_in:
            assert run.interrupt()
        if leave and step == 2:
            break
    assert not run.interrupt()
    for _ in run.steps(5, second):
        second.value += first.value * run.rng.random()
        if run.step == stop_in:
            assert run.interrupt()
    return first.value, second.value, run.step


@pytest.mark.parametrize("leave", [False, True])
@pytest.mark.parametrize("stops", [(0,), (1, 5), (4,), (4, 6), (7,)])
def test_each_of_two_loops_goes_on_from_its_own_checkpoint(stops: tuple[int, ...], leave: bool, tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path / "c.pt", {}, 0.0)
    for stop in stops:
        with pytest.raises(Interrupted):
            two_loops(Run(seed=3, checkpoints=kept), stop, leave)
    for _ in range(2):  # to the end, and once more from there
        assert two_loops(Run(seed=3, checkpoints=kept), leave=leave) == two_loops(Run(seed=3), leave=leave)


def test_a_checkpoint_that_does_not_say_its_loop_is_of_the_first(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path / "c.pt", {}, 0.0)
    with pytest.raises(Interrupted):
        two_loops(Run(seed=3, checkpoints=kept), 1)
    content = torch.load(kept.path, weights_only=True)
    content.pop("loop", None)
    content["format"] = 2
    torch.save(content, kept.path)
    run = Run(seed=3, checkpoints=kept)
    assert two_loops(run) == two_loops(Run(seed=3)) and run.resumed == 2


def test_an_exception_in_a_step_leaves_the_checkpoint_of_the_step_before(tmp_path: Path) -> None:
    run, total = Run(checkpoints=Checkpoints(tmp_path / "c.pt", {}, 0.0)), Total()
    with pytest.raises(ZeroDivisionError):
        for step in run.steps(5, total):
            total.value += 1
            if step == 2:
                raise ZeroDivisionError
    found = Checkpoint.read(tmp_path / "c.pt")
    assert (found.step, found.state) == (2, {"value": 3.0}) and not run.interrupt()


def test_a_loop_inside_saves_nothing_of_the_one_around_it(tmp_path: Path) -> None:
    run, saved = Run(checkpoints=Checkpoints(tmp_path / "c.pt", {}, 0.0)), []
    for _ in run.steps(3, Total()):
        list(run.steps(2))
        saved.append(Checkpoint.read(tmp_path / "c.pt").step if (tmp_path / "c.pt").exists() else 0)
    assert saved == [0, 1, 2] and Checkpoint.read(tmp_path / "c.pt").step == 3


# -- render, volume -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scan, spec = ball().scan, method("naf")
    params = spec.params(**SETTINGS["naf"])
    path = tmp_path_factory.mktemp("trained") / "c.pt"
    resolve(spec.target)(scan, params, Run(seed=3, checkpoints=checkpoints(path, scan, spec, params)))
    return path


def test_a_file_from_before_methods_were_named_shows_its_field(trained: Path, tmp_path: Path) -> None:
    found = Checkpoint.read(trained)
    assert "method" not in found.facts and found.method.name == "naf"
    named = dataclasses.replace(found, facts=found.facts | {"method": "naf", "params_model": None, "field": None})
    named.write(tmp_path / "c.pt")
    assert np.array_equal(NovelField(tmp_path / "c.pt").volume(6)[0], NovelField(trained).volume(6)[0])


def test_where_the_views_and_the_volume_cannot_go_is_said_before_the_work(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(*arguments: Any) -> None:
        raise AssertionError("worked first")

    monkeypatch.setattr(NovelField, "views", work)
    monkeypatch.setattr(NovelField, "volume", work)
    for name in ("taken.npy", "taken.nii.gz", "shown.png"):
        (tmp_path / name).mkdir()
    (tmp_path / "file").touch()
    for command, output, text in (
        (["render"], "views.png", "expected a checkpoint with coloured Gaussians (carve, of photographs), found one of naf: no Gaussians"),
        (["render"], "views.tif", "--output: expected a .npy file, found 'views.tif'"),
        (["render"], "taken.npy", "expected a file, found a folder"),
        (["render"], "shown.npy", "shown.png: expected a file, found a folder"),
        (["render"], "file/views.npy", "expected a folder that can be written"),
        (["volume", "--size", "8"], "volume.npy", "--output: expected a .nii.gz file"),
        (["volume", "--size", "8"], "taken.nii.gz", "expected a file, found a folder"),
    ):
        assert main([command[0], str(trained), *command[1:], "--output", str(tmp_path / output)]) == 2
        assert text in capsys.readouterr().err


def test_the_views_and_the_volume_go_to_a_new_folder(trained: Path, tmp_path: Path) -> None:
    assert main(["render", str(trained), "--angles", "0,90", "--output", str(tmp_path / "new" / "views.npy")]) == 0
    assert main(["volume", str(trained), "--size", "6", "--output", str(tmp_path / "new" / "volume.nii.gz")]) == 0
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["views.npy", "views.png", "volume.nii.gz"]
