"""One run and one sweep: what a method may do wrong, what it gets to see, what survives."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tiny_plugin
from tiny import Watcher, sweep, tiny_plan, tiny_registry

from benchmark.errors import InputError, MissingDependency
from benchmark.execution.options import Options
from benchmark.execution.runner import blank_record
from benchmark.execution.verdict import scored_snapshots
from benchmark.metrics.scorer import Scorer
from benchmark.plan.sources import load_case
from benchmark.plugins.specs import DatasetSpec, MetricSpec
from benchmark.records.record import RunRecord
from benchmark.records.results import Results
from benchmark.storage import atomic
from benchmark.sweep.sweep import Sweep

FAILURES = {
    "raise": "ValueError: this method is broken",
    "exit": "SystemExit: enough",
    "hard exit": "exit code 0 and without a result",
    "segfault": "crashed (SIGSEGV)",
    "kill": "killed (SIGKILL): most likely the machine ran out of memory",
    "nan": "not finite: 1 of 512 voxels",
    "shape": "wrong shape: expected a volume [z, y, x] = (8, 8, 8), the method returned (7, 8, 8)",
    "dtype": "wrong type: expected float32, the method returned int32",
    "objects": "Object arrays cannot be saved",
    "array": "must return a benchmark.api.Reconstruction, this one returned ndarray",
    "write": "read-only",
}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[RunRecord], Watcher, int, Path]:
    """One sweep with every failure first and a good run last."""
    folder, watcher = tmp_path_factory.mktemp("mixed"), Watcher()
    bad = [{"bad": {"how": how}} for how in (*FAILURES, "missing", "infinite loss")]
    summary = sweep(folder, *bad, "choosy", "needy", "anonymous", "grey", watcher=watcher)
    return summary.records, watcher, summary.exit_code, folder


def find(records: list[RunRecord], method: str, how: str | None = None) -> RunRecord:
    return next(record for record in records if record.spec.method == method and record.spec.method_params.get("how") == how)


@pytest.mark.parametrize("how", FAILURES)
def test_what_a_method_does_wrong_is_a_failed_record_with_its_reason(mixed, how):
    record = find(mixed[0], "bad", how)
    assert record.status == "failed"
    assert FAILURES[how] in record.reason
    assert not (mixed[3] / "runs" / record.run_id / "volume.nii.gz").exists()


def test_the_sweep_goes_on_and_ends_with_exit_code_1(mixed):
    records, watcher, code, folder = mixed
    assert find(records, "grey").status == "ok"
    assert code == 1
    assert len(watcher.named("run_finished")) == len(records) == len(FAILURES) + 6
    assert list(folder.glob(".jobs/*")) == []


def test_an_exception_keeps_the_log_with_what_was_printed_and_the_traceback(mixed):
    tail = find(mixed[0], "bad", "raise").log_tail
    assert "last words" in tail
    assert "Traceback" in tail


@pytest.mark.parametrize(
    ("method", "how", "reason"),
    [
        ("choosy", None, "needs at least 100 views"),
        ("needy", None, "needs tigre_that_is_nowhere (install: pip install tigre_that_is_nowhere)"),
        ("bad", "missing", "needs a flux capacitor (install: pip install flux)"),
    ],
)
def test_what_cannot_run_is_skipped_with_its_reason(mixed, method, how, reason):
    record = find(mixed[0], method, how)
    assert (record.status, record.reason) == ("skipped", reason)


def test_a_target_without_an_import_path_says_what_to_do(mixed):
    assert "--in-process" in find(mixed[0], "anonymous").reason


def test_a_good_run_has_everything_in_its_record(mixed):
    record = find(mixed[0], "grey")
    assert record.reason == ""
    assert record.metrics["volume_psnr"] is not None
    assert {"volume_ssim", "projection_psnr", "projection_ssim", "fit_psnr", "fit_ssim"} <= set(record.metrics)
    assert record.steps == 3
    assert record.seconds is not None and 0.03 <= record.seconds < 1
    assert record.cpu_seconds is not None and record.cpu_seconds < record.seconds
    assert record.peak_memory_mb is not None and 10 < record.peak_memory_mb < 1000
    assert [step for step, _, _ in record.losses] == [0, 1, 2]
    assert [loss for _, _, loss in record.losses] == pytest.approx([1, 1 / 2, 1 / 3])
    assert record.curve[-1].step == 3
    assert record.curve[-1].volume_psnr == record.metrics["volume_psnr"] == record.curve[0].volume_psnr
    assert record.info == {"mean": pytest.approx(0.01), "seed": 0, "threads": None}
    assert (record.engine, record.device) == ("tiny", "cpu")
    assert record.environment["python"]
    assert record.log_tail == "a grey word\n"
    assert (record.training_views, record.heldout_views) == ([0, 1, 2, 3], [100, 101, 102])


def test_the_volume_psnr_is_that_of_the_volume(mixed):
    record, results = find(mixed[0], "grey"), Results.open(mixed[3])
    volume, truth = results.volume(record), results.truth(record)
    error = np.mean((volume.astype(float) - truth) ** 2)
    assert record.metrics["volume_psnr"] == pytest.approx(20 * np.log10(np.ptp(truth) / np.sqrt(error)), abs=1e-4)


def test_infinities_survive_in_strict_json(mixed):
    record = find(mixed[0], "bad", "infinite loss")
    text = next((mixed[3] / "runs" / record.run_id).glob("attempt-*.json")).read_text()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    again = Results.open(mixed[3]).record(record.run_id)
    assert again.status == "ok"
    assert np.isnan(again.losses[0][2])
    assert again.info == {"worst": "Infinity"}


def test_a_method_sees_the_scan_and_nothing_else(tmp_path):
    marker = tmp_path / "seen.json"
    summary = sweep(tmp_path / "out", {"spy": {"marker": str(marker)}})
    assert summary.records[0].status == "ok"
    seen = json.loads(marker.read_text())
    assert seen["files"] == ["job.json", "log.txt", "projections.npy", "stacks.txt"]
    assert seen["arrays"] == {"projections": [4, 10, 12]}
    assert seen["angles"] == 4
    assert not seen["secret"]
    fields = "colours composite depths geometry length_unit masks noise photons projections valid view_labels".split()
    assert seen["scan"] == fields
    assert not {"truth", "heldout", "case"} & {*seen["keys"], *seen["run"]}


def test_peak_memory_is_the_childs_own_not_the_parents(tmp_path):
    ballast = np.ones(40_000_000)  # 305 MiB in the parent
    record = sweep(tmp_path, "grey").records[0]
    assert record.peak_memory_mb < 200 < ballast.nbytes / 2**20


def test_time_out_kills_the_method_and_its_children(tmp_path):
    marker = tmp_path / "pids.json"
    start = time.monotonic()
    summary = sweep(tmp_path / "out", {"patient": {"marker": str(marker)}}, "grey", options=Options(device="cpu", timeout=2.5))
    assert time.monotonic() - start < 30
    assert summary.records[0].reason.startswith("time-out: still running after 2.5 s")
    assert summary.records[1].status == "ok"
    for pid in json.loads(marker.read_text()):
        _assert_gone(pid)


def _assert_gone(pid: int, patience: float = 5.0) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return  # dead; an orphan is reaped by whoever adopts it
        except ProcessLookupError:
            return
        except FileNotFoundError:  # no /proc here, or gone between the two lines
            pass
        time.sleep(0.05)
    pytest.fail(f"process {pid} is still alive")


def test_a_budget_of_steps_is_kept_to_the_step(tmp_path):
    record = sweep(tmp_path, {"grey": {"steps": 10_000}}, budget="7steps").records[0]
    assert (record.status, record.steps, record.spec.budget_steps) == ("ok", 7, 7)


def test_budget_ends_the_steps_early(tmp_path):
    record = sweep(tmp_path, {"grey": {"steps": 10_000}}, budget="0.2s").records[0]
    assert record.status == "ok"
    assert 0 < record.steps < 10_000
    assert record.seconds == pytest.approx(0.2, abs=0.1)


def test_the_seed_reaches_the_method_and_gives_a_run_of_its_own(tmp_path):
    records = sweep(tmp_path, "grey", seeds=[3, 4], options=Options(device="cpu", threads=1)).records
    assert sorted(record.info["seed"] for record in records) == [3, 4]
    assert {record.info["threads"] for record in records} == {1}


def test_in_process_gives_the_same_record(tmp_path, mixed):
    records = sweep(tmp_path, "grey", "anonymous", {"bad": {"how": "raise"}}, options=Options(device="cpu", in_process=True)).records
    assert records[0].metrics == find(mixed[0], "grey").metrics
    assert records[0].environment["isolation"] == "none"
    assert re.fullmatch(r"ValueError: this method is broken \(tiny_plugin\.py:\d+ in bad\)", records[2].reason)


def test_running_again_does_only_what_is_missing(tmp_path):
    first = sweep(tmp_path, "grey", {"bad": {"how": "raise"}}, "choosy")
    watcher = Watcher()
    second = sweep(tmp_path, "grey", {"bad": {"how": "raise"}}, "choosy", "grey:dark", watcher=watcher)
    assert [spec.method + ":" + spec.preset for spec in watcher.named("run_started")] == ["bad:default", "choosy:default", "grey:dark"]
    assert [record.run_id for record in first.records] == [record.run_id for record in second.records][:3]
    attempts = {path.name: len(list(path.glob("attempt-*.json"))) for path in (tmp_path / "runs").iterdir()}
    by_method = {name.split("-")[2]: count for name, count in attempts.items() if not name.startswith("tiny-4v-grey")}
    assert by_method == {"bad": 2, "choosy": 1}  # failures are tried again; an unchanged skip is not repeated


def test_other_data_are_another_run(tmp_path):
    watcher = Watcher()
    sweep(tmp_path, "grey", watcher=watcher)
    sweep(tmp_path, "grey", datasets={"tiny": {"data_seed": 1}}, watcher=watcher)
    assert len(watcher.named("run_started")) == 2
    assert len(list((tmp_path / "cases").iterdir())) == 2


def test_bad_data_are_said_before_anything_runs(tmp_path):
    watcher = Watcher()
    with pytest.raises(InputError, match=r"dataset tiny: tiny\.trouble: expected none, found some"):
        sweep(tmp_path, "grey", datasets=["tiny", {"tiny": {"trouble": "input"}}], watcher=watcher)
    assert watcher.named("run_started") == []


def test_data_that_cannot_be_loaded_fail_their_runs_only_and_are_forgotten_once_they_can(tmp_path):
    datasets = [{"tiny": {"trouble": "the cable is out"}}, "tiny", "far"]
    summary = sweep(tmp_path, "grey", datasets=datasets)
    assert [record.status for record in summary.records] == ["failed", "ok", "skipped"]
    assert summary.records[0].reason == "loading tiny failed: OSError: the cable is out"
    assert summary.records[2].reason == "far needs nowhere_to_be_found (install: pip install nowhere_to_be_found)"
    registry = tiny_registry()
    registry.datasets["tiny"] = DatasetSpec(
        name="tiny", target=lambda params: tiny_plugin.load(params.model_copy(update={"trouble": ""})), params=tiny_plugin.TinyParams
    )
    again = Sweep(registry, tiny_plan(registry, tmp_path, "grey", datasets=datasets), Options(device="cpu"), Watcher()).run()
    assert [record.status for record in again.records] == ["ok", "ok", "skipped"]
    assert [record.status for record in Results.open(tmp_path).records] == ["skipped", "ok", "ok"]


def test_a_broken_metric_is_an_empty_cell_with_a_reason(tmp_path):
    registry = tiny_registry()

    def broken(prediction, truth):
        raise ZeroDivisionError("by nothing")

    registry.metrics["volume", "broken"] = MetricSpec(name="broken", kind="volume", target=broken)
    summary = Sweep(registry, tiny_plan(registry, tmp_path, "grey"), Options(device="cpu"), Watcher()).run()
    record = summary.records[0]
    assert record.status == "ok"
    assert record.metrics["volume_broken"] is None
    assert record.metrics["volume_psnr"] is not None
    assert record.reason == "metric volume_broken: ZeroDivisionError: by nothing"
    assert summary.exit_code == 1


def test_an_observer_that_fails_is_a_warning(tmp_path):
    from benchmark.api import hookimpl

    class Observer:
        seen: list = []

        @hookimpl
        def run_started(self, spec):
            raise RuntimeError("not today")

        @hookimpl
        def run_finished(self, record):
            self.seen.append(record.status)

    registry, watcher = tiny_registry(), Watcher()
    registry.add(Observer(), "observer")
    Sweep(registry, tiny_plan(registry, tmp_path, "grey"), Options(device="cpu"), watcher).run()
    assert Observer.seen == ["ok"]
    assert watcher.named("warning") == ["observer: run_started() failed: RuntimeError: not today"]


def test_ctrl_c_ends_the_run_keeps_the_rest_and_can_be_resumed(tmp_path):
    marker, output = tmp_path / "pids.json", tmp_path / "out"
    registry, watcher = tiny_registry(), Watcher()
    plan = tiny_plan(registry, output, "grey", {"patient": {"marker": str(marker)}}, "grey:dark")

    class Stopper(Watcher):
        def progress(self, event):
            if marker.exists():
                raise KeyboardInterrupt

    summary = Sweep(registry, plan, Options(device="cpu"), Stopper()).run()
    assert summary.interrupted and summary.exit_code == 130
    assert [record.spec.method for record in summary.records] == ["grey"]
    assert [spec.method for spec in summary.remaining] == ["patient", "grey"]
    for pid in json.loads(marker.read_text()):
        _assert_gone(pid)
    assert not (output / ".jobs").exists()
    resumed = Sweep(registry, tiny_plan(registry, output, "grey", "grey:dark"), Options(device="cpu"), watcher).run()
    assert [spec.preset for spec in watcher.named("run_started")] == ["dark"]
    assert resumed.exit_code == 0


def test_a_run_that_ended_while_ctrl_c_was_pressed_is_kept(tmp_path, monkeypatch):
    class TwoLanes:
        inline = False

        def lanes(self):
            return ["one", "two"]

        def perform(self, lane, spec, case, on_event, stop):
            volume = np.zeros(case.scan.geometry.volume_shape, np.float32)
            return blank_record(spec, registry.method(spec.method), case, Options()).model_copy(update={"status": "ok"}), volume

    class Stopper(Watcher):
        def run_started(self, spec):
            if spec.seed == 1:
                raise KeyboardInterrupt

    monkeypatch.setattr(Sweep, "_open_executor", lambda sweep, claims: contextlib.nullcontext(TwoLanes()))
    registry = tiny_registry()
    summary = Sweep(registry, tiny_plan(registry, tmp_path, "grey", seeds=[0, 1]), Options(), Stopper(), workers=2).run()
    assert [spec.seed for spec in summary.remaining] == [1] and summary.interrupted
    assert [record.spec.seed for record in Results.open(tmp_path).records if record.status == "ok"] == [0]
    assert not list(tmp_path.glob("runs/*/*.claim"))


def test_a_dataset_that_returns_no_case_is_said():
    spec = DatasetSpec(name="odd", target=lambda params: "a case")
    with pytest.raises(TypeError, match="a dataset must return a benchmark.api.Case, 'odd' returned str"):
        load_case(spec, {})


@pytest.mark.parametrize("stopped", [False, True])
def test_a_killed_parent_takes_its_child_with_it(tmp_path, stopped):
    marker = tmp_path / "pids.json"
    code = f"import sys; sys.path[:0] = {sys.path!r}; from pathlib import Path; from tiny import sweep; "
    code += f"sweep(Path({str(tmp_path / 'out')!r}), {{'patient': {{'marker': {str(marker)!r}}}}})"
    parent = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while not (marker.exists() and marker.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    if stopped:
        os.kill(json.loads(marker.read_text())[0], signal.SIGSTOP)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for pid in json.loads(marker.read_text()):
        _assert_gone(pid)


def test_a_full_disk_is_a_clear_error_and_harms_nothing(tmp_path, monkeypatch):
    sweep(tmp_path, "grey")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    flush = atomic.flush

    def full(path: Path) -> None:
        if "attempt" in path.name or "volume" in path.name:
            raise OSError(28, "No space left on device")
        flush(path)

    monkeypatch.setattr(atomic, "flush", full)
    with pytest.raises(atomic.StorageError, match="No space left on device.*unharmed"):
        sweep(tmp_path, "grey:dark")
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before
    monkeypatch.undo()
    assert sweep(tmp_path, "grey", "grey:dark").exit_code == 0


def test_no_compiler_is_said_before_anything_runs(tmp_path, monkeypatch):
    def no_library():
        raise MissingDependency("No C++ compiler found. Install one: 'apt-get install g++'")

    monkeypatch.setattr("benchmark.sweep.sweep.library", no_library)
    watcher = Watcher()
    with pytest.raises(MissingDependency, match="apt-get install g"):
        sweep(tmp_path, "grey", watcher=watcher)
    assert watcher.events == []


def test_too_little_space_is_said_first(tmp_path, monkeypatch):
    import shutil

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    watcher = Watcher()
    with pytest.raises(InputError, match="of free space for this sweep, found 1000 bytes"):
        sweep(tmp_path, "grey", watcher=watcher)
    assert watcher.named("run_started") == []


def test_a_snapshot_that_is_gone_or_cut_off_has_no_score(tmp_path):
    case = tiny_plugin.load(tiny_plugin.TinyParams())
    for name in ("whole.npy", "half.npy"):
        np.save(tmp_path / name, np.zeros((8, 8, 8), np.float32))
    (tmp_path / "half.npy").write_bytes((tmp_path / "half.npy").read_bytes()[:300])
    snapshots = [{"file": name, "step": 1, "seconds": 1.0, "loss": None} for name in ("whole.npy", "half.npy", "gone.npy")]
    scores = [point["volume_psnr"] for point in scored_snapshots(tmp_path, snapshots, Scorer(case, tiny_registry().metrics.values()))]
    assert scores[0] is not None and scores[1:] == [None, None]
