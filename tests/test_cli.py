"""The command line as a user meets it: in processes of its own, with exit codes and texts."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import forks
import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parent.parent
TINY_DISTRIBUTION = "[benchmark]\ntiny = tiny_plugin\n"


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    """An environment in which the tiny plug-in is an installed package with an entry point."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "tiny_plugin.py").write_text((Path(__file__).parent / "tiny_plugin.py").read_text())
    info = folder / "tiny_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(TINY_DISTRIBUTION)
    return {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "TERM": "dumb"}


@pytest.fixture
def cli(environment, tmp_path):
    def call(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = forks.benchmark(*arguments, folder=tmp_path, environment=environment)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return call


RUN = ("run", "--datasets", "tiny", "--size", "8", "--no-report", "--device", "cpu")
HERE = (*RUN, "--in-process")  # where it does not matter that each run has a process: starting one takes seconds


def test_run_prints_lines_a_table_and_paths_and_running_again_does_nothing(cli, tmp_path):
    done = cli(*HERE, "--methods", "grey,grey:dark", "--views", "4,6", "--output", "out")
    lines = done.stdout.splitlines()
    assert "4 runs" in lines
    assert "[1/4] tiny 8, 4 views: grey ..." in lines
    assert any(line.startswith("[4/4] tiny 8, 6 views: grey:dark: volume ") for line in lines)
    assert lines[-1] == "out/tables/runs.csv"
    assert "\x1b" not in done.stdout
    table = pd.read_csv(tmp_path / "out" / "tables" / "runs.csv")
    assert (len(table), set(table.status), set(table.views)) == (4, {"ok"}, {4, 6})
    again = cli(*HERE, "--methods", "grey,grey:dark", "--views", "4,6", "--output", "out")
    assert "4 runs, 4 of them finished earlier" in again.stdout
    assert "..." not in again.stdout


def test_dry_run_lists_and_touches_nothing(cli, tmp_path):
    done = cli(*RUN, "--methods", "grey", "--views", "4", "--output", "out", "--dry-run")
    assert "tiny 8, 4 views: grey: to do" in done.stdout
    assert not (tmp_path / "out").exists()
    cli(*HERE, "--methods", "grey", "--views", "4", "--output", "out")
    done = cli(*RUN, "--methods", "grey,bad", "--views", "4", "--output", "out", "--dry-run")
    assert "tiny 8, 4 views: grey: done" in done.stdout
    assert "2 runs, 1 done, 1 to do; output out" in done.stdout


def test_a_failing_method_is_a_row_and_exit_code_1(cli, tmp_path):
    done = cli(*RUN, "--methods", "bad,grey", "--views", "4", "--output", "out", code=1)
    assert "failed: ValueError: this method is broken" in done.stdout
    assert "1 of 2 runs failed; the same command tries them again." in done.stdout
    table = pd.read_csv(tmp_path / "out" / "tables" / "runs.csv")
    assert dict(zip(table.method, table.status, strict=True)) == {"bad": "failed", "grey": "ok"}
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--methods", "gray"), "Did you mean 'grey'?"),
        (("--datasets", "tinny"), "Did you mean 'tiny'?"),
        (("--views", "0"), "--views: expected at least one view, found 0"),
        (("--set", "grey.stpes=3"), "Did you mean 'steps'?"),
        (("--config", "nowhere.yaml"), "config nowhere.yaml: expected a YAML file"),
        (("--device", "gpu"), "--device: expected auto, cpu, cuda or cuda:0, found 'gpu'"),
        (("--timeout", "soon"), "--timeout: expected a duration"),
        (("--timeout", "5s", "--in-process"), "--timeout: expected a process per run"),
        (("--threads", "0"), "--threads"),
        (("--workers", "2", "--in-process"), "--in-process: expected one run at a time here, found --workers 2"),
        (("--workers", "2", "--scheduler", "tcp://head:8786"), "--workers: expected none with --scheduler"),
        (("--scheduler", "head"), "--scheduler: expected an address such as tcp://head:8786, found 'head'"),
        (("--output", "/dev/null/out"), "expected a folder that can be written"),
        (("--nonsense",), "No such option: --nonsense"),
    ],
)
def test_a_users_mistake_is_one_message_and_exit_code_2(cli, tmp_path, arguments, text):
    done = cli("run", "--methods", "grey", "--datasets", "tiny", *arguments, code=2)
    assert text in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()
    assert done.stdout == ""


def test_debug_shows_the_traceback(cli):
    assert "Traceback" in cli("run", "--methods", "gray", "--debug", code=2).stderr


def test_a_config_file_and_the_default_output(cli, tmp_path):
    (tmp_path / "mine.yaml").write_text("datasets: [{tiny: {size: 6}}]\nmethods: [{grey: {grid: {level: [0.1, 0.2]}}}]\nviews: 4\n")
    done = cli("run", "--config", "mine.yaml", "--no-report", "--in-process")
    assert "grey (level=0.1)" in done.stdout
    table = pd.read_csv(tmp_path / "results" / "mine" / "tables" / "runs.csv")
    assert table["size"].tolist() == [6, 6]


def test_list_and_show(cli):
    text = cli("list").stdout
    assert "grey" in text and "presets: dark" in text and "from tiny (tiny-plugin)" in text
    assert "needs tigre_that_is_nowhere: pip install tigre_that_is_nowhere" in text
    facts = json.loads(cli("list", "--json").stdout)
    assert {"grey", "bad"} <= {item["name"] for item in facts["methods"]}
    assert facts["problems"] == []
    text = cli("show", "grey").stdout
    assert "value of every voxel [1/mm]" in text and "'hann' | 'cosine'" in text and "preset dark: level=0.001" in text
    facts = json.loads(cli("show", "grey", "--json").stdout)
    steps = next(item for item in facts["parameters"] if item["name"] == "steps")
    assert steps == {"name": "steps", "type": "int", "default": 3, "required": False, "bounds": ">= 1", "meaning": "steps to pretend"}
    assert facts["presets"] == {"dark": {"level": 0.001}}
    assert json.loads(cli("show", "tiny", "--json").stdout)["kind"] == "dataset"
    assert "Did you mean 'grey'?" in cli("show", "gray", code=2).stderr
    text = cli("show", "zerorf").stdout
    assert all(each in text for each in ("float (>= 0, <= 1000) | 'auto'", "'grid' | 'rays'", "int | None (>= 1)", "tuple[int, ...]"))
    assert "preset fast: the defaults" in text and "preset tv: tv=auto" in text


def test_prepare(cli):
    done = cli("prepare", "tiny", "ball")
    assert "tiny: tiny file 0%" in done.stdout and "tiny: ready" in done.stdout
    assert "Did you mean 'tiny'?" in cli("prepare", "tinny", code=2).stderr
    assert "Did you mean 'size'?" in cli("prepare", "tiny", "--set", "tiny.sizes=3", code=2).stderr


def test_report_and_compare_want_results(cli):
    assert "expected a results folder" in cli("report", "nowhere", code=2).stderr
    assert "expected a results folder" in cli("compare", "nowhere", "neither", code=2).stderr


def test_reevaluate_and_verify(cli, tmp_path):
    cli(*RUN, "--methods", "grey", "--views", "4", "--seeds", "0,1", "--output", "out", "--workers", "2")
    record = json.loads(next(tmp_path.glob("out/runs/*/attempt-0001.json")).read_text())
    assert record["command"].startswith("python -m benchmark run --datasets tiny") and record["environment"]["threads"] >= 1
    assert "2 runs scored again, 0 with another record" in cli("reevaluate", "out").stdout
    done = cli("verify", "out", "--seed", "0").stdout
    assert "done again: the same volume to the last bit" in done and "4 as recorded, 0 differ, 0 cannot be told." in done
    next(tmp_path.glob("out/runs/*/volume.nii.gz")).write_bytes(b"")
    damaged = cli("verify", "out", "--no-rerun", code=1).stdout
    assert "differs  run tiny-4v-grey" in damaged and "not a complete NIfTI volume" in damaged and "1 differ" in damaged


def test_speed_prints_a_flat_object_or_a_table(monkeypatch, capsys):
    from benchmark.cli import main as cli

    ratios = {"projector_forward_over_plain": 0.12345, "hash_grid_step_over_torch": 2.0}
    monkeypatch.setitem(sys.modules, "benchmark.speed.cpu", SimpleNamespace(measure=lambda registry: ratios))
    assert cli.main(["speed", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == ratios
    assert cli.main(["speed"]) == 0
    assert "projector_forward_over_plain" in capsys.readouterr().out


def test_output_into_a_pipe_that_closes(environment, tmp_path):
    command = f"{sys.executable} -m benchmark show tiny | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.stderr == ""


def start(environment: dict[str, str], folder: Path, *arguments: str, **streams) -> subprocess.Popen:
    def interruptible() -> None:  # jobs in a shell's background ignore Ctrl-C, and so would their children
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    command = [sys.executable, "-m", "benchmark", *arguments]
    return subprocess.Popen(command, env=environment, cwd=folder, preexec_fn=interruptible, **streams)


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_what_is_done_says_what_remains_and_resumes(environment, cli, tmp_path, signal_number):
    marker = tmp_path / "pids.json"
    arguments = (*RUN, "--methods", "grey,patient,grey:dark", "--set", f"patient.marker={marker}", "--views", "4", "--output", "out")
    process = start(environment, tmp_path, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not marker.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal_number)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert "Stopped. 1 runs are recorded, 2 remain:" in output
    assert "Run the same command again to resume." in output
    assert errors == ""
    done = cli(*RUN, "--methods", "grey,grey:dark", "--views", "4", "--output", "out", "--dry-run")
    assert "2 runs, 1 done, 1 to do" in done.stdout


def test_on_a_terminal_there_are_bars(environment, tmp_path):
    leader, follower = pty.openpty()
    arguments = (*RUN, "--methods", "grey", "--set", "grey.steps=100", "--views", "4", "--output", "out")
    streams = {"stdout": follower, "stderr": follower, "stdin": follower}
    process = start({**environment, "TERM": "xterm", "COLUMNS": "150"}, tmp_path, *arguments, **streams)
    os.close(follower)
    text = b""
    while True:
        try:
            block = os.read(leader, 1 << 16)
        except OSError:  # the other end is closed
            break
        if not block:
            break
        text += block
    os.close(leader)
    assert process.wait(timeout=60) == 0
    shown = text.decode()
    assert "\x1b[" in shown and "sweep" in shown and "loss" in shown and "to go" in shown
    assert "tiny 8, 4 views: grey: volume" in shown


def test_doctor_lists_what_is_there_and_what_is_set_aside(environment, tmp_path):
    broken = tmp_path / "site" / "broken-1.0.dist-info"
    broken.mkdir(parents=True)
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (broken / "entry_points.txt").write_text("[benchmark]\nbroken = no_such_module_anywhere\ncrashing = crashing\nleaving = leaving\n")
    (broken.parent / "crashing.py").write_text("import ctypes; ctypes.string_at(0)")
    (broken.parent / "leaving.py").write_text("import os; os._exit(3)")
    path = os.pathsep.join([str(broken.parent), environment["PYTHONPATH"]])
    command = [sys.executable, "-m", "benchmark"]
    changed = {**environment, "PYTHONPATH": path, "PATH": "/nowhere", "CXX": ""}
    done = subprocess.run([*command, "doctor"], capture_output=True, text=True, env=changed, cwd=tmp_path, timeout=300)
    assert "broken   compiler: no C++ compiler found" in done.stdout
    assert "apt-get install g++" in done.stdout
    assert done.returncode == 1
    assert "plug-in set aside: broken (broken): ModuleNotFoundError: No module named 'no_such_module_anywhere'" in done.stdout
    assert "crashing (broken): ImportError: crashing ends the process that imports it (Segmentation fault)" in done.stdout
    assert "leaving (broken): ImportError: leaving ends the process that imports it (exit code 3)" in done.stdout
    assert "tigre: optional, not installed" in done.stdout or "tigre" in done.stdout
    listed = subprocess.run([*command, "list"], capture_output=True, text=True, env=changed, cwd=tmp_path)
    assert listed.returncode == 0
    assert "set aside: broken (broken): ModuleNotFoundError" in listed.stdout
    assert "grey" in listed.stdout
