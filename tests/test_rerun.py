"""Finished runs whose code has changed, and `--rerun`: what is done again, what is kept, and what an interruption leaves."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_plugin
from tiny import Watcher, tiny_plan

from benchmark.api import MethodSpec, Params
from benchmark.audit.verify import rerun as do_again
from benchmark.errors import InputError
from benchmark.execution.options import Options
from benchmark.plugins.registry import Registry
from benchmark.records.results import Results, read_record
from benchmark.sweep.ledger import run_states
from benchmark.sweep.rerun import Rerun
from benchmark.sweep.sweep import Sweep, SweepOutcome

SOURCE = """
import numpy as np
from benchmark.api import Reconstruction

def level(scan, params, run):
    for _ in run.steps(2):
        pass
    return Reconstruction(np.full(scan.geometry.volume_shape, {level}, np.float32))

def fail(scan, params, run):
    raise ValueError("not today")
"""


class Own:
    """Two methods in a module that a test can edit."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path, self.stamp = folder, folder / "edited_ct.py", 10**18
        self.write(0.01)

    def write(self, level: float) -> None:
        self.path.write_text(SOURCE.format(level=level))
        self.stamp += 10**9
        os.utime(self.path, ns=(self.stamp, self.stamp))
        sys.modules.pop("edited_ct", None)
        importlib.invalidate_caches()

    def registry(self) -> Registry:
        registry = Registry()
        registry.add(tiny_plugin, "tiny")
        for name in ("level", "fail"):
            registry.methods[name] = MethodSpec(name=name, target=f"edited_ct:{name}", params=Params)
        return registry

    def sweep(self, *methods: str, choice: Any = None, watcher: Watcher | None = None) -> SweepOutcome:
        registry = self.registry()
        plan = tiny_plan(registry, self.folder / "out", *methods)
        options = Options(device="cpu", in_process=True, checkpoints=plan.output / "runs")
        return Sweep(registry, plan, options, watcher or Watcher(), rerun=Rerun.of(choice, plan.runs)).run()

    def states(self, *methods: str, choice: Any = None) -> list[str]:
        plan = tiny_plan(self.registry(), self.folder / "out", *methods)
        return [state for _, state in run_states(self.registry(), plan, Rerun.of(choice, plan.runs))]

    def attempts(self, method: str) -> int:
        return len(list((self.folder / "out" / "runs").glob(f"*-{method}-*/attempt-*.json")))


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Own(tmp_path)
    sys.modules.pop("edited_ct", None)


def test_changed_code_is_said_and_done_again_when_asked_for(own):
    assert own.states("level") == ["to do"]
    (record,) = own.sweep("level").records
    assert record.plugin["module"] == "edited_ct" and len(record.plugin["digest"]) == 16
    assert own.states("level") == own.states("level", choice="changed") == ["done"]
    own.write(0.02)
    assert own.states("level") == ["done (code changed since)"]
    assert own.states("level", choice="changed") == ["to do again (code changed since)"]
    watcher = Watcher()
    own.sweep("level", watcher=watcher)
    (warning,) = watcher.named("warning")
    assert warning.startswith("finished runs whose code has changed since: 1 (level).") and "--rerun changed" in warning
    assert own.attempts("level") == 1

    watcher = Watcher()
    (again,) = own.sweep("level", choice="changed", watcher=watcher).records
    assert watcher.named("warning") == [] and "finished runs done again: 1 of 1" in watcher.named("note")[0]
    assert own.attempts("level") == 2 and again.plugin["digest"] != record.plugin["digest"]
    results = Results.open(own.folder / "out")
    volume = results.volume(results.records[0])
    assert volume is not None and np.all(volume == np.float32(0.02))
    first = read_record(results.folder_of(record) / "attempt-0001.json", [])
    assert first == record  # the earlier record is kept
    own.sweep("level", choice="changed")
    assert own.attempts("level") == 2 and own.states("level") == ["done"]


def test_all_and_names_choose_finished_runs_each_time(own):
    own.sweep("level", "grey")
    own.sweep("level", "grey", choice=["level"])
    assert (own.attempts("level"), own.attempts("grey")) == (2, 1)
    own.sweep("level", "grey", choice="all")
    own.sweep("level", "grey", choice="all")
    assert (own.attempts("level"), own.attempts("grey")) == (4, 3)
    assert not list((own.folder / "out").glob(".rerun-*"))


def test_an_interrupted_choice_goes_on_where_it_stopped(own):
    own.sweep("level", "grey")

    class Stopper(Watcher):
        def run_finished(self, record: Any) -> None:
            raise KeyboardInterrupt

    stopped = own.sweep("level", "grey", choice="all", watcher=Stopper())
    assert stopped.interrupted and (own.attempts("level"), own.attempts("grey")) == (2, 1)
    assert own.states("level", "grey", choice="all") == ["done", "to do again"]
    watcher = Watcher()
    own.sweep("level", "grey", choice="all", watcher=watcher)
    assert (own.attempts("level"), own.attempts("grey")) == (2, 2)
    assert "as chosen at 20" in watcher.named("note")[0]


def test_a_run_that_another_sweep_has_done_again_is_taken_over(own):
    own.sweep("level", "grey")

    class Other(Watcher):
        done = False

        def sweep_started(self, *counts: int) -> None:
            if not self.done:
                self.done = True
                own.sweep("level", "grey", choice="all")

    own.sweep("level", "grey", choice="all", watcher=Other())
    assert (own.attempts("level"), own.attempts("grey")) == (2, 2)


def test_failed_runs_are_tried_again_with_and_without_the_word(own):
    own.sweep("level", "fail")
    own.sweep("level", "fail")
    own.sweep("level", "fail", choice="failed")
    assert (own.attempts("level"), own.attempts("fail")) == (1, 3)
    own.sweep("level", "fail", choice="changed,level")
    assert (own.attempts("level"), own.attempts("fail")) == (2, 4)


def test_a_name_that_no_run_has_is_a_mistake(own):
    with pytest.raises(InputError, match=r"--rerun: expected one of all, changed, failed, level, level:default, found 'levle'"):
        own.states("level", choice="levle")
    with pytest.raises(InputError, match="--rerun"):
        own.states("level", choice=" , ")


def test_a_second_attempt_does_not_go_on_from_the_first_ones_checkpoint(own):
    (record,) = own.sweep("level").records
    folder = own.folder / "out" / "runs" / record.run_id
    (folder / "checkpoint.pt").write_bytes(b"the end of the first attempt")
    own.sweep("level", choice="all")
    assert not (folder / "checkpoint.pt").exists()


def test_verify_never_calls_a_method_irreproducible_when_its_code_has_changed(own):
    (record,) = own.sweep("level").records
    results, options = Results.open(own.folder / "out"), Options(device="cpu", in_process=True)
    assert do_again(results, own.registry(), record, options, lambda event: None).status == "ok"
    own.write(0.02)
    finding = do_again(results, own.registry(), record, options, lambda event: None)
    assert finding.status == "unknown" and finding.detail.startswith(f"the code has changed since (digest {record.plugin['digest']} -> ")
    own.path.write_text("def level(scan, params, run): raise ValueError('not any more')\n")
    sys.modules.pop("edited_ct", None)
    broken = do_again(results, own.registry(), record, options, lambda event: None)
    assert broken.status == "unknown" and "not any more" in broken.detail and "the code has changed since" in broken.detail
    unsaid = record.model_copy(update={"plugin": {}})
    own.write(0.03)
    assert do_again(results, own.registry(), unsaid, options, lambda event: None).status == "unknown"
