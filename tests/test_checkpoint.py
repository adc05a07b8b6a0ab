"""Checkpoints: what is interrupted goes on to the same bits; files that are not ours are said; the field can be asked later."""

from __future__ import annotations

import functools
import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_neural import TINY, ball

from benchmark import counters
from benchmark.api import Scan
from benchmark.checkpoint import Checkpoint, Checkpoints
from benchmark.errors import InputError
from benchmark.run_context import Interrupted, Run
from benchmark.types import resolve

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
    return importlib.import_module(f"methods.{name.split()[0]}").SPEC


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
    field = resolve(found.facts["field"])(found.state, found.params, found.geometry)
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
