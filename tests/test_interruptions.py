"""The harness killed at random moments, several sweeps in one folder, clocks that jump, folders that vanish: nothing is lost or half."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from multiprocessing import connection
from pathlib import Path

import forks
import numpy as np
import pytest
from fuzz import numbers, told
from tiny import Watcher, sweep

from benchmark.audit.verify import verify_files
from benchmark.execution.options import Options
from benchmark.records.record import RunRecord
from benchmark.records.results import Results
from benchmark.records.store import Store
from benchmark.scan.reconstruction import volume_digest
from benchmark.storage import atomic
from benchmark.storage.checked_json import read_checked
from benchmark.sweep import claims
from benchmark.sweep.claims import Claims

ROOT = Path(__file__).resolve().parent.parent
CANNOT = 77  # exit code of a child that could not be made what the test needs
OWN_MOUNTS = (["unshare", "--mount"], ["unshare", "--mount", "--map-root-user"]) if shutil.which("unshare") else ()
SEEDS = list(range(6))
STEPS = 5  # of a method that keeps a checkpoint after each
METHODS = ("grey", "grey:dark", {"walker": {"steps": STEPS, "projects": False}})


@pytest.fixture(scope="module")
def processes():
    return forks.processes()


def many(folder: str, seeds: list[int], life: float = 0.0) -> None:
    """A sweep in this process, so that a kill may hit any of its instructions; its life may end after some processor time [s]."""
    if life:
        signal.setitimer(signal.ITIMER_PROF, life)  # nobody handles its signal, which ends the process like SIGKILL
    options = Options(device="cpu", in_process=True, snapshots=2, checkpoints=Path(folder, "runs"), checkpoint_every=0)
    sweep(Path(folder), *METHODS, seeds=seeds, options=options)


def measured(folder: str, seeds: list[int], answers) -> None:
    begin = time.process_time()
    many(folder, seeds)
    answers.put(time.process_time() - begin)


def many_together(folder: str, seeds: list[int], barrier) -> None:
    barrier.wait()
    many(folder, seeds)


def check(folder: Path) -> int:
    """Everything that can be read is whole; returns how many runs are done."""
    results = Results(folder)
    assert results.problems == []
    assert [finding for finding in verify_files(results) if finding.status != "ok"] == []
    for path in folder.glob("runs/*/attempt-*.json"):
        RunRecord.model_validate(read_checked(path))
    for record in results.records:
        assert record.status == "ok" and volume_digest(results.volume(record)) == record.volume_digest
        assert record.spec.method == "grey" or (results.volume(record) == STEPS).all()  # a checkpoint is never half a state
    return len(results.records)


def wait_until(condition) -> None:
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.002)


def at_work(folder: Path) -> set[int]:
    """Processes whose sweeps have begun."""
    found = set()
    for lease in folder.glob(".sweeps/*.json"):
        with contextlib.suppress(OSError, ValueError):
            found.add(json.loads(lease.read_text())["process"])
    return found


def undisturbed(processes, folder: Path) -> tuple[float, float]:
    """Time and processor time [s] that a sweep takes on this machine, with what else it has to do now."""
    answers = processes.SimpleQueue()
    running = processes.Process(target=measured, args=(str(folder), SEEDS, answers))
    running.start()
    wait_until(lambda: at_work(folder))
    started = time.monotonic()
    running.join()
    return time.monotonic() - started, answers.get()


def kill_often(processes, folder: Path, kills: int, longest: tuple[float, float], together: int = 1, seed: int = 0) -> list[int]:
    """Kill `together` sweeps at random moments of their work, by the clock or by their processor time, until so many kills have hit
    one at work; the seeds that were asked for in the end.
    """
    rng, seeds, done, killed = random.Random(seed), list(SEEDS), [0], 0
    while killed < kills:
        by_clock = rng.random() < 0.3
        lives = [rng.uniform(0.001, longest[1]) for _ in range(together)]
        running = [processes.Process(target=many, args=(str(folder), seeds, 0.0 if by_clock else life)) for life in lives]
        [process.start() for process in running]
        if by_clock:
            wait_until(lambda running=running: {process.pid for process in running} <= at_work(folder) or not running[0].is_alive())
            connection.wait([process.sentinel for process in running], rng.uniform(0, longest[0]))
            [process.kill() for process in running]
        [process.join() for process in running]
        assert {process.exitcode for process in running} <= {0, -signal.SIGKILL, -signal.SIGPROF}
        killed += sum(process.exitcode != 0 for process in running)
        done.append(check(folder) if folder.exists() else 0)
        print(f"{killed} of {kills} kills in folder {seed}", file=sys.stderr)
        if done[-1] == len(METHODS) * len(seeds):  # all is done: more to do
            seeds += [len(seeds) + more for more in range(len(SEEDS))]
    assert done == sorted(done)  # nothing that was finished is ever lost
    return seeds


def resume(processes, folder: Path, seeds: list[int]) -> None:
    """Once more without a kill: everything is there, and nothing was done twice."""
    runs = len(METHODS) * len(seeds)
    before = {path: path.read_bytes() for path in folder.glob("runs/*/attempt-*.json")}
    final = processes.Process(target=many, args=(str(folder), seeds))
    final.start()
    final.join()
    assert final.exitcode == 0 and check(folder) == runs
    assert {path: path.read_bytes() for path in before} == before
    assert len(list(folder.glob("runs/*/attempt-*.json"))) == runs  # one attempt each: a killed one leaves no record
    hidden = [path for path in folder.rglob(".*") if path.name.startswith(".")]
    assert not [*hidden, *folder.rglob("*.claim"), *folder.rglob("*.lock")]  # no litter of those that were killed


def test_killed_at_random_moments_and_resumed(processes, tmp_path):
    seeds = kill_often(processes, tmp_path / "out", 5, undisturbed(processes, tmp_path / "usual"))
    resume(processes, tmp_path / "out", seeds)


@pytest.mark.slow
def test_killed_at_hundreds_of_random_moments_and_resumed(processes, tmp_path):
    """Ten kills to a folder, of one sweep or of two that share it."""
    longest = undisturbed(processes, tmp_path / "usual")
    for number in told(numbers(20, 100)):
        folder = tmp_path / str(number)
        seeds = kill_often(processes, folder, 10, longest, 1 + number % 2, number)
        resume(processes, folder, seeds)
        shutil.rmtree(folder)


def test_two_sweeps_at_once_share_the_work(processes, tmp_path):
    barrier = processes.Barrier(2)
    running = [processes.Process(target=many_together, args=(str(tmp_path), list(range(8)), barrier)) for _ in range(2)]
    [process.start() for process in running]
    [process.join() for process in running]
    assert [process.exitcode for process in running] == [0, 0] and check(tmp_path) == 24
    assert len(list(tmp_path.glob("runs/*/attempt-*.json"))) == 24
    makers = {json.loads(path.read_text())["environment"]["process"] for path in tmp_path.glob("runs/*/attempt-*.json")}
    assert len(makers) == 2
    assert not list(tmp_path.glob("runs/*/*.claim"))


def test_a_run_of_another_sweep_is_waited_for_and_taken_over_if_it_dies(processes, tmp_path):
    """The other sweep holds a claim and is then killed: its run is made here, and it alone."""
    holder = processes.Process(target=hold, args=(str(tmp_path),))
    holder.start()
    wait_until(lambda: list(tmp_path.glob("runs/*/*.claim")))

    class Killer(Watcher):
        def run_finished(self, record):
            super().__getattr__("run_finished")(record)
            holder.kill()
            holder.join()

    watcher = Killer()
    summary = sweep(tmp_path, {"patient": {"how": "held"}}, "grey", options=Options(device="cpu", timeout=3), watcher=watcher)
    assert [record.spec.method for record in watcher.named("run_finished")] == ["grey", "patient"]  # first what could be done
    patient, grey = summary.records
    assert patient.reason.startswith("time-out: still running after 3 s (tiny_plugin.py:") and grey.reason == ""


def hold(folder: str) -> None:
    sweep(Path(folder), {"patient": {"how": "held"}})


def test_workers_do_several_runs_at_a_time_on_their_share_of_the_cores(tmp_path, monkeypatch):
    from tiny import tiny_plan, tiny_registry

    from benchmark.sweep.local import LocalExecutor
    from benchmark.sweep.sweep import Sweep

    monkeypatch.setattr("benchmark.sweep.local.available_cores", lambda: 6)
    registry, watcher = tiny_registry(), Watcher()
    plan = tiny_plan(registry, tmp_path, "grey", "grey:dark", {"bad": {"how": "kill"}})
    summary = Sweep(registry, plan, Options(device="cpu"), watcher, workers=3).run()
    assert [record.status for record in summary.records] == ["ok", "ok", "failed"]
    names = [name for name, _ in watcher.events if name in ("run_started", "run_finished")]
    assert names[:3] == ["run_started"] * 3  # before the first one ended
    assert {record.info["threads"] for record in summary.records if record.status == "ok"} == {2}
    lanes = LocalExecutor(registry, Options(device="cpu", threads=5), tmp_path, 2)
    assert [options.threads for options in lanes._options.values()] == [5, 5]


def test_one_run_per_gpu(tmp_path, monkeypatch):
    import torch
    from tiny import tiny_registry

    from benchmark.sweep.local import LocalExecutor

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    lanes = LocalExecutor(tiny_registry(), Options(), tmp_path, 8)._options
    assert [options.device for options in lanes.values()] == ["cuda:0", "cuda:1"]
    assert len(LocalExecutor(tiny_registry(), Options(device="cuda:1"), tmp_path, 8).lanes()) == 1
    assert len(LocalExecutor(tiny_registry(), Options(device="cpu"), tmp_path, 8).lanes()) == 8


# -- claims -------------------------------------------------------------------------------------------------------------


def test_only_one_sweep_gets_an_attempt_and_a_record_or_a_release_ends_it(tmp_path):
    with Claims(tmp_path) as one, Claims(tmp_path) as two:
        assert one.take("run") == 1 and two.take("run") is None
        one.release("run", 1)
        assert two.take("run") == 1
        (tmp_path / "runs" / "run" / "attempt-0001.json").write_text("{}")
        assert one.take("run") == 2  # attempt 1 is recorded; the claim on it is history
    with Claims(tmp_path) as three:
        assert three.take("run") == 3  # attempt 2 was claimed by a sweep that has ended


def test_an_attempt_recorded_since_one_looked_is_not_made_again(tmp_path, monkeypatch):
    (tmp_path / "runs" / "run").mkdir(parents=True)
    (tmp_path / "runs" / "run" / "attempt-0001.json").write_text("{}")
    monkeypatch.setattr(claims.os, "listdir", lambda folder: [])  # an old look at the folder
    with Claims(tmp_path) as one:
        assert one.take("run") is None
    monkeypatch.undo()
    assert [path.name for path in (tmp_path / "runs" / "run").iterdir()] == ["attempt-0001.json"]


def test_on_another_machine_a_sweep_lives_as_long_as_it_shows_signs_whatever_the_clocks_say(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "PATIENCE", 0.15)
    with Claims(tmp_path) as other:
        assert other.take("run") == 1
        lease = tmp_path / ".sweeps" / f"{other.token}.json"
        lease.write_text(json.dumps({"machine": "elsewhere"}))
        with Claims(tmp_path) as here:
            for stamp in (1e9, 4e9, 0.0, 2e9):  # a clock that jumps by decades is a sign of life, too
                os.utime(lease, (stamp, stamp))
                assert here.take("run") is None
                time.sleep(0.1)
            time.sleep(0.1)
            assert here.take("run") == 2  # no sign for longer than PATIENCE


def test_a_sweep_that_begins_or_ends_while_another_begins_does_it_no_harm(tmp_path, monkeypatch):
    """The other one tidies up what the dead have left: not what is just being written."""
    moments = []

    def replace(path, data):
        with atomic.replacing(path) as temporary:
            temporary.write_bytes(data)
            if not moments:
                moments.append(path)
                with Claims(tmp_path):
                    pass

    monkeypatch.setattr(claims.atomic, "replace", replace)
    with Claims(tmp_path) as one:
        assert one.take("run") == 1 and moments == [one._lease]


def test_a_folder_that_another_sweep_removes_is_made_again(tmp_path):
    left = [3]

    def make():
        left[0] -= 1
        if left[0]:
            raise FileNotFoundError

    claims._persist(make)
    assert left == [0]


def test_scratch_files_of_a_killed_sweep_are_cleared_away_and_those_of_a_living_one_are_not(tmp_path):
    with Claims(tmp_path) as living:
        (living.scratch / "projections.npy").write_text("")
        dead = Claims(tmp_path)
        for path in (tmp_path / ".jobs" / dead.token / "projections.npy", tmp_path / ".sweeps" / f"{dead.token}.json"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps({"machine": claims._machine()}))
        with Claims(tmp_path):
            assert (living.scratch / "projections.npy").exists() and not (tmp_path / ".jobs" / dead.token).exists()
    assert list(tmp_path.iterdir()) == []


# -- the world outside --------------------------------------------------------------------------------------------------


def test_results_deleted_underneath_cost_the_run_under_way_and_nothing_else(tmp_path):
    output = tmp_path / "out"

    class Vandal(Watcher):
        gone = False

        def progress(self, event):
            if not self.gone:
                self.gone = True
                shutil.rmtree(output)

    summary = sweep(output, {"grey": {"steps": 60}}, "grey:dark", watcher=Vandal())
    assert "scratch files were removed while it ran" in summary.records[0].reason and summary.records[0].status == "failed"
    assert summary.records[1].status == "ok"
    again = sweep(output, {"grey": {"steps": 60}}, "grey:dark")
    assert [record.status for record in again.records] == ["ok", "ok"] and check_cases(output)


def check_cases(folder: Path) -> bool:
    results = Results.open(folder)
    return all(results.case(record).load().digest == record.spec.data_digest for record in results.records)


def without_privileges() -> None:
    """In a child before it becomes another program: root may then write only where the permissions say so (prctl(2), capabilities(7))."""
    drop_from_bounding_set, override_permissions = 24, 1
    if os.geteuid() == 0 and ctypes.CDLL(None).prctl(drop_from_bounding_set, override_permissions, 0, 0, 0) != 0:
        os._exit(CANNOT)


def test_a_folder_without_permission_to_write_is_said_before_anything_runs(tmp_path):
    tmp_path.chmod(0o500)
    command = [sys.executable, "-m", "benchmark", "run", "--methods", "fdk", "--datasets", "ball", "--output", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, preexec_fn=without_privileges)
    tmp_path.chmod(0o700)
    if done.returncode == CANNOT:
        pytest.skip("this root may not give up its privileges")
    assert done.returncode == 2 and list(tmp_path.iterdir()) == []
    expected = f"error: output folder {tmp_path / 'out'}: expected a folder that can be written, found Permission denied. Choose another"
    assert done.stderr.startswith(expected) and "Traceback" not in done.stderr


def test_a_disk_that_is_full_or_read_only_is_said_and_nothing_is_harmed(tmp_path):
    """On a real file system of four megabytes; what is tried is in small_disk.py."""
    own_mounts = next((line for line in OWN_MOUNTS if subprocess.run([*line, "true"], capture_output=True).returncode == 0), None)
    if own_mounts is None:
        pytest.skip("nothing may be mounted here")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [*own_mounts, sys.executable, str(ROOT / "tests" / "small_disk.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr


def test_a_folder_that_becomes_read_only_is_a_clear_error(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise OSError(30, "Read-only file system")

    Store(tmp_path).prepare()
    monkeypatch.setattr("benchmark.sweep.claims.os.listdir", refuse)
    with pytest.raises(atomic.StorageError, match="Read-only file system.*unharmed"):
        sweep(tmp_path, "grey")


def test_memory_that_runs_out_is_a_reason_and_the_sweep_goes_on(tmp_path):
    """A limit on the child's memory stands for a small machine."""
    summary = sweep(tmp_path, {"bad": {"how": "memory"}}, "grey")
    assert "out of memory" in summary.records[0].reason.lower() or "MemoryError" in summary.records[0].reason
    assert summary.records[1].status == "ok"


def test_a_clock_that_jumps_changes_no_duration_and_no_order(tmp_path, monkeypatch):
    import datetime

    from benchmark.execution import runner

    class Past(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(1999, 1, 1, tzinfo=tz)

    sweep(tmp_path, {"bad": {"how": "raise"}})
    monkeypatch.setattr(runner.datetime, "datetime", Past)
    sweep(tmp_path, {"bad": {"how": "raise"}})
    (record,) = Results.open(tmp_path).records
    assert record.started.startswith("1999") and record.seconds is not None and record.seconds < 10  # the later attempt counts


def test_a_volume_is_what_its_record_says(tmp_path):
    record = sweep(tmp_path, "grey").records[0]
    assert record.volume_digest == volume_digest(np.full((8, 8, 8), 0.01, np.float32))
    assert record.schema_version == 4 and record.metric_versions["volume_psnr"] == 1
