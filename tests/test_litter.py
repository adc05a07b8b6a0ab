"""Temporary files of killed writers are removed by the next command, those of living ones never."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import forks
import numpy as np
import pytest
from fuzz import numbers, told
from tiny import Watcher

from benchmark.records.results import Results
from benchmark.storage import atomic, litter
from benchmark.storage.cache import cached_arrays
from benchmark.sweep.claims import Claims, tidy
from benchmark.sweep.pulse import Pulse

DAY = 24 * 3600


def left_by_another_process(path: Path) -> Path:
    """A temporary file of a process that has ended."""
    script = "import sys, pathlib; from benchmark.storage import litter; print(litter.temporary(pathlib.Path(sys.argv[1])), end='')"
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    Path(done.stdout).write_bytes(b"half")
    return Path(done.stdout)


def aged(path: Path, seconds: float) -> bool:
    """Whether a file would be litter so many seconds later; its times cannot be set back (that of its link is now)."""
    later, now = time.time() + seconds, time.time
    try:
        time.time = lambda: later  # type: ignore[assignment]
        return litter.is_litter(path)
    finally:
        time.time = now


def test_a_temporary_file_belongs_to_its_process(tmp_path):
    own = litter.temporary(tmp_path / "attempt-0001.json")
    own.write_bytes(b"half")
    dead = left_by_another_process(tmp_path / "attempt-0001.json")
    assert own.suffix == dead.suffix == ".json" and not litter.is_litter(own) and litter.is_litter(dead)
    again = own.with_name(own.name.replace(f"-{litter._start(os.getpid()):x}-", "-1-"))  # a process of this number, but an earlier one
    assert litter.is_litter(again)
    assert litter.clear(tmp_path) == 1 and own.exists() and not dead.exists()
    assert not aged(own, 10 * DAY)


@pytest.mark.parametrize("name", [".seed-00000000-1-1-abcdef-report.html", ".0123abcd-report.html", ".probe-0123abcd"])
def test_those_of_unknown_or_distant_owners_stay_for_a_day(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"half")
    assert not aged(path, DAY - 60) and aged(path, DAY + 60)


@pytest.mark.parametrize(
    "name", [".gitignore", ".seed-notes", ".abc-report.html", "0123abcd-report.html", ".0123abcde-x", "attempt-0001.json"]
)
def test_other_files_are_never_litter(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    assert not aged(tmp_path / name, 400 * DAY)


def test_long_names_fit(tmp_path):
    name = 62 * "ä" + 100 * "x" + ".json"
    atomic.replace(tmp_path / name, b"whole")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_links_are_not_followed(tmp_path):
    outside, inside = tmp_path / "outside", tmp_path / "results"
    outside.mkdir()
    inside.mkdir()
    kept = left_by_another_process(outside / "x.json")
    (inside / "link").symlink_to(outside)
    (inside / kept.name).symlink_to(outside)
    assert litter.clear(inside) == 1 and kept.exists() and not (inside / kept.name).is_symlink()


def hold(folder: str) -> None:
    with Claims(Path(folder)) as claims:
        claims.take("run")
        time.sleep(60)


def test_claims_and_signs_of_life_end_with_their_sweep(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=hold, args=(str(tmp_path),))
    process.start()
    deadline = time.monotonic() + 60
    while not (tmp_path / "runs" / "run" / "attempt-0001.claim").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    tidy(tmp_path)
    assert (tmp_path / "runs" / "run" / "attempt-0001.claim").exists() and len(list(tmp_path.glob(".sweeps/*.json"))) == 1  # it lives
    process.kill()
    process.join()
    tidy(tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["runs", "run"]


def die_while_the_state_is_written(folder: str) -> None:
    with Claims(Path(folder)) as claims:
        pulse = Pulse(Watcher())
        os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
        with pulse.kept(claims.state_file()):
            time.sleep(60)


def test_the_state_of_a_sweep_that_was_killed_while_writing_it_is_removed(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=die_while_the_state_is_written, args=(str(tmp_path),))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL and list(tmp_path.glob(".sweeps/.*now"))
    tidy(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_is_tidied_at_its_next_use(tmp_path, monkeypatch):
    monkeypatch.setenv("SEED_CACHE", str(tmp_path))
    (tmp_path / "kind").mkdir()
    dead = left_by_another_process(tmp_path / "kind" / "x.npz")
    cached_arrays("kind", ["x"], lambda: {"a": np.zeros(2)})
    assert not dead.exists() and len(list((tmp_path / "kind").glob("*.npz"))) == 1


def everything_hidden(folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.name.startswith(".") or path.suffix in (".claim", ".lock")]


def family(pid: int) -> list[int]:
    """A process and all that it has started."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:  # it has ended
        return []
    return [pid, *(member for child in children for member in family(int(child)))]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "Z"
    except OSError:
        return True


def kill_some(running: ForkServerProcess, victim: str) -> None:
    """Kill a command with all its processes, it alone, or the first that it has started."""
    members = family(running.pid or 0)
    chosen = members if victim == "all" else members[1:2] if victim == "worker" else members[:1]
    for pid in chosen:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    running.join(300)
    deadline = time.monotonic() + 60
    while not all(map(gone, members)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert all(map(gone, members)), "a process outlived its killed parent"


def kill_commands(folder: Path, wanted: range) -> None:
    """Kill runs, reports and reevaluations at random moments. The next command removes what they left, and every score stays."""
    said = folder.parent
    told_once: dict[str, Any] = {"folder": said, "environment": dict(os.environ)}
    run = ("run", "--methods", "fdk,cgls", "--datasets", "ball", "--views", "5", "--size", "16", "--output", str(folder))
    assert forks.benchmark(*run, **told_once).returncode == 0
    scores = {record.run_id: (record.metrics, record.volume_digest) for record in Results(folder).records}
    commands = [run, ("report", str(folder)), ("reevaluate", str(folder)), run]
    for number in told(wanted):
        rng, command = random.Random(number), commands[number % 4]
        if command is run:
            shutil.rmtree(folder / "runs")
        running = forks.started(*command, said=said, **told_once)
        deadline = time.monotonic() + rng.uniform(0, 8)
        while running.is_alive() and time.monotonic() < deadline:
            if rng.random() < 0.1 and everything_hidden(folder):  # while something is being written
                break
            time.sleep(0.001)
        kill_some(running, rng.choice(("all", "command", "worker")))
        done = forks.benchmark("report", str(folder), **told_once)
        assert done.returncode in (0, 1) or not list(folder.glob("runs/*/*.json")), done.stderr
        assert everything_hidden(folder) == []
        for record in Results(folder).records:
            assert record.status == "failed" or (record.metrics, record.volume_digest) == scores[record.run_id]
    assert forks.benchmark(*run, **told_once).returncode in (0, 1) and everything_hidden(folder) == []


@pytest.mark.slow
def test_the_next_command_removes_what_killed_ones_left(tmp_path):
    kill_commands(tmp_path / "out", numbers(3, 200))
