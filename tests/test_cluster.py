"""Runs on a real Dask scheduler with several worker processes on the loopback interface, whose parts are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest
import tiny_plugin
from fuzz import numbers
from tiny import Watcher, sweep, tiny_plan, tiny_registry

from benchmark.errors import InputError
from benchmark.execution.options import Options
from benchmark.machine.threads import FOR_ALL, MARK, POLICY
from benchmark.records.results import Results
from benchmark.runtime.interval import Interval
from benchmark.sweep.cluster import ClusterExecutor
from benchmark.sweep.sweep import Sweep

pytest.importorskip("distributed")
ROOT = Path(__file__).resolve().parent.parent


class Dask:
    """A scheduler and its workers, each a process."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self.processes: list[subprocess.Popen[bytes]] = []
        self.start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", "scheduler.json", "--no-dashboard")
        deadline = time.monotonic() + 60
        while not (folder / "scheduler.json").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        self.address = json.loads((folder / "scheduler.json").read_text())["address"]

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        log = (self.folder / "dask.log").open("ab")
        command = [sys.executable, "-m", "dask", *arguments]
        process = subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=log, stderr=log)
        log.close()
        self.processes.append(process)
        return process

    def worker(self) -> subprocess.Popen[bytes]:
        return self.start("worker", self.address, "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard")


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dask")
    (folder / "tiny_plugin.py").write_text((Path(__file__).parent / "tiny_plugin.py").read_text())
    info = folder / "tiny_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[benchmark]\ntiny = tiny_plugin\n")
    undecided = {key: value for key, value in os.environ.items() if key not in (*POLICY, FOR_ALL, MARK)}
    running = Dask(folder, {**undecided, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"})
    yield running
    for process in running.processes:
        process.kill()
    for process in running.processes:
        process.wait()


def clustered(dask: Dask, output: Path, *methods, watcher=None, options=None, **keys):
    registry = tiny_registry()
    plan = tiny_plan(registry, output, *methods, **keys)
    return Sweep(registry, plan, options or Options(device="cpu"), watcher or Watcher(), scheduler=dask.address).run()


def test_a_cluster_makes_the_same_records_as_this_machine_and_resumes(dask, tmp_path):
    dask.worker(), dask.worker()
    watcher = Watcher()
    there = clustered(dask, tmp_path / "there", "grey", {"bad": {"how": "raise"}}, "choosy", seeds=[0, 1], watcher=watcher)
    options = Options(device="cpu", in_process=True)
    here = sweep(tmp_path / "here", "grey", {"bad": {"how": "raise"}}, "choosy", seeds=[0, 1], options=options)
    assert [(r.run_id, r.status, r.reason, r.metrics, r.volume_digest) for r in there.records] == [
        (r.run_id, r.status, r.reason, r.metrics, r.volume_digest) for r in here.records
    ]
    assert there.exit_code == here.exit_code == 1
    assert len({r.environment["worker"] for r in there.records if r.spec.method == "grey"}) == 2  # both had something to do
    assert all(r.environment["threads"] == 1 for r in there.records if r.status == "ok")
    assert {event["run_id"] for event in watcher.named("progress")} <= {r.run_id for r in there.records}
    again = Watcher()
    clustered(dask, tmp_path / "there", "grey", seeds=[0, 1, 2], watcher=again)
    assert [spec.seed for spec in again.named("run_started")] == [2]


def test_threads_of_a_run_on_a_cluster_sleep(dask, tmp_path):
    if len(dask.processes) < 2:
        dask.worker()
    (record,) = clustered(dask, tmp_path, "waits").records
    assert record.info["waiting"] == ["GOMP_SPINCOUNT=30000", "KMP_BLOCKTIME=1", "KMP_BLOCKTIME=1"] and not record.info["late"]


def test_scores_along_a_run_come_from_the_worker(dask, tmp_path):
    if len(dask.processes) < 2:
        dask.worker()
    watcher, options = Watcher(), Options(device="cpu", snapshots=1, validate_every=Interval(steps=2))
    (record,) = clustered(dask, tmp_path, {"grey": {"steps": 7}}, watcher=watcher, options=options).records
    assert [point.step for point in record.curve if point.fit_psnr is not None] == [2, 4, 6, 7]
    assert [event["validation"]["step"] for event in watcher.named("progress") if event["event"] == "validated"] == [2, 4, 6]


def test_a_worker_killed_in_the_middle_of_a_run_costs_that_attempt_only(dask, tmp_path):
    marker = tmp_path / "pids.json"
    workers = [process for process in dask.processes[1:] if process.poll() is None]
    while len(workers) < 2:
        workers.append(dask.worker())

    class Killer(Watcher):
        """Kills the worker whose child is in the middle of the patient run."""

        killed: list = []

        def progress(self, event):
            super().__getattr__("progress")(event)
            if marker.exists() and not self.killed:
                child = json.loads(marker.read_text())[0]
                parent = int(Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[1])
                self.killed.append(parent)
                os.kill(parent, signal.SIGKILL)

    watcher = Killer()
    once = {"once": {"marker": str(marker)}}  # patient the first time, quick when tried again
    summary = clustered(dask, tmp_path / "out", once, "grey", seeds=[0, 1], watcher=watcher)
    assert Killer.killed and Killer.killed[0] in [process.pid for process in workers]
    assert [record.status for record in summary.records] == ["ok"] * 4 and summary.exit_code == 0
    attempts = sorted((tmp_path / "out").glob("runs/*once*/attempt-*.json"))
    records = [json.loads(path.read_text()) for path in attempts]
    lost = [record for record in records if record["status"] == "failed"]
    assert len(records) == 3 and len(lost) == 1 and "was lost while the run was under way" in lost[0]["reason"]
    assert not list((tmp_path / "out").glob("runs/*/*.claim"))
    assert len(Results.open(tmp_path / "out").records) == 4


def test_ctrl_c_ends_the_runs_on_the_workers(dask, tmp_path):
    dask.worker()
    marker = tmp_path / "pids.json"

    class Stopper(Watcher):
        def progress(self, event):
            if marker.exists():
                raise KeyboardInterrupt

    summary = clustered(dask, tmp_path / "out", {"patient": {"marker": str(marker)}}, watcher=Stopper())
    assert summary.interrupted and len(summary.remaining) == 1
    deadline = time.monotonic() + 10
    pids = json.loads(marker.read_text())
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_arrays_come_back_without_a_shared_folder(dask, tmp_path, monkeypatch):
    dask.worker()
    monkeypatch.chdir(tmp_path)  # the workers have another working folder
    registry, output = tiny_registry(), Path("out")
    plan = tiny_plan(registry, output, {"gaussians": {"steps": 2, "gaussians": 20}})
    options = Options(device="cpu", checkpoints=output / "runs")
    (record,) = Sweep(registry, plan, options, Watcher(), scheduler=dask.address).run().records
    assert record.status == "ok" and not (dask.folder / "out").exists()
    assert "means" in Results.open(output).arrays(record)


def test_a_scheduler_that_is_gone_is_no_lost_worker():
    class Gone:
        def __getattr__(self, name):
            return lambda *arguments, **keys: types.SimpleNamespace(done=lambda: False, cancel=lambda: None)

        def nthreads(self):
            raise OSError("closed")

    cluster = ClusterExecutor(tiny_registry(), "tcp://127.0.0.1:9", Options())
    cluster.client = Gone()
    case = tiny_plugin.load(tiny_plugin.TinyParams())
    (spec,) = tiny_plan(tiny_registry(), Path("out"), "grey").runs
    with pytest.raises(InputError, match=r"expected a scheduler that answers, found none any more \(closed\)"):
        cluster.perform("worker", spec, case, lambda event: None, lambda: False)


def test_no_scheduler_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmark.sweep.cluster.TIMEOUT", 1)
    registry = tiny_registry()
    plan = tiny_plan(registry, tmp_path, "grey")
    with pytest.raises(InputError, match="--scheduler: expected the address of a running Dask scheduler, found tcp://127.0.0.1:9 "):
        Sweep(registry, plan, Options(device="cpu"), Watcher(), scheduler="tcp://127.0.0.1:9").run()


@pytest.mark.slow
def test_workers_scheduler_and_client_killed_in_turn_lose_nothing(tmp_path):
    wanted = numbers(6, 300)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), *filter(None, sys.path)])}
    command = [sys.executable, str(ROOT / "tests" / "dask_kills.py"), str(tmp_path), str(wanted.start), str(wanted.stop)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert done.stdout.splitlines() == [f"{len(wanted)} killed"]
