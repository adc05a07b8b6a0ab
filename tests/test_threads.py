"""How OpenMP's threads wait: asleep in every process that computes, unless the user decided otherwise."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import sweep

from benchmark.cli import doctor
from benchmark.machine import threads
from benchmark.machine.threads import FOR_ALL, MARK, POLICY, set_variables

ROOT = Path(__file__).resolve().parent.parent
USER = ({"OMP_WAIT_POLICY": "active"}, {"GOMP_SPINCOUNT": "7"}, {"KMP_BLOCKTIME": "200"})
OURS = ["GOMP_SPINCOUNT=30000", "KMP_BLOCKTIME=1", "KMP_BLOCKTIME=1"]  # of libgomp, libomp, libiomp5


@pytest.fixture
def undecided(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An environment in which nobody has decided how threads wait: this process's, and as a dictionary."""
    for name in (*POLICY, FOR_ALL, MARK):
        monkeypatch.setenv(name, "")  # or what a test sets would outlive it
        monkeypatch.delenv(name)
    monkeypatch.setattr(threads, "_late", [])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}


def test_every_runtime_gets_its_variable_and_again_changes_nothing():
    environment: dict[str, str] = {}
    assert set_variables(environment) == set(POLICY)
    first = dict(environment)
    assert POLICY.items() <= first.items() and FOR_ALL not in first
    assert set_variables(environment) == set() and environment == first


@pytest.mark.parametrize("choice", USER)
def test_a_choice_of_the_user_stays(choice):
    environment = dict(choice)
    set_variables(environment)
    assert choice.items() <= environment.items()
    others = {} if FOR_ALL in choice else {name: value for name, value in POLICY.items() if name not in choice}
    assert {name: environment[name] for name in POLICY if name in environment and name not in choice} == others


@pytest.mark.parametrize("choice", USER)
def test_a_choice_made_after_ours_counts_for_child_processes(choice):
    environment: dict[str, str] = {}
    set_variables(environment)
    environment |= choice
    set_variables(environment)
    assert choice.items() <= environment.items()
    assert FOR_ALL not in choice or not set(environment) & set(POLICY)


def openmp_said(environment: dict[str, str], *command: str) -> str:
    """What the OpenMP runtimes that a process loads read from their environment."""
    done = subprocess.run(
        [sys.executable, *command], env={**environment, "OMP_DISPLAY_ENV": "verbose"}, capture_output=True, text=True, timeout=300
    )
    return done.stderr


def needs_libgomp(said: str) -> None:
    if "GOMP_SPINCOUNT" not in said:
        pytest.skip("no libgomp in this process")


@pytest.mark.parametrize(
    "first", ["benchmark.api", "benchmark.projection.projector", "benchmark.kernels.cpu_library", "benchmark.execution.worker"]
)
def test_whoever_imports_a_part_of_us_before_torch_has_threads_that_sleep(undecided, first):
    said = openmp_said(undecided, "-c", f"import {first}, torch")
    needs_libgomp(said)
    assert set(re.findall(r"GOMP_SPINCOUNT = '(\d+)'", said)) == {"30000"}


def test_a_verb_has_threads_that_sleep_or_what_the_user_wants(undecided, tmp_path):
    validate = ("-m", "benchmark", "validate", "ball", "--size", "16", "--views", "8", "--output", str(tmp_path / "picture.png"))
    for choice, count in (({}, "30000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "passive"}, "0")):
        said = openmp_said(undecided | choice, *validate)
        needs_libgomp(said)
        assert set(re.findall(r"GOMP_SPINCOUNT = '(\d+)'", said)) == {count}


def test_the_process_of_a_run_has_threads_that_sleep(undecided, tmp_path):
    (record,) = sweep(tmp_path, "waits").records
    assert record.info["waiting"] == OURS and record.info["late"] == []


def test_the_process_of_a_run_has_what_the_user_wants(undecided, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    (record,) = sweep(tmp_path, "waits").records
    assert record.info["waiting"] == ["OMP_WAIT_POLICY=active"] * 3


def test_doctor_says_who_decided_what(undecided, monkeypatch):
    threads.limit_spinning()
    threads._late.clear()  # of torch, which the tests have loaded
    ours = doctor._threads()
    assert ours.status == "ok" and "libgomp GOMP_SPINCOUNT=30000 (set by benchmark)" in ours.detail
    assert "libomp KMP_BLOCKTIME=1 (set by benchmark)" in ours.detail
    monkeypatch.setenv("KMP_BLOCKTIME", "200")
    assert "libgomp GOMP_SPINCOUNT=30000 (set by benchmark), libomp KMP_BLOCKTIME=200 (set by you)" in doctor._threads().detail
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    threads.limit_spinning()
    assert "libgomp OMP_WAIT_POLICY=active (set by you)" in doctor._threads().detail


def test_doctor_names_a_runtime_that_was_loaded_too_early(undecided, monkeypatch):
    monkeypatch.setattr(threads, "loaded_runtimes", lambda: ["libgomp"])
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")  # read when it was loaded
    threads.limit_spinning()
    assert doctor._threads().status == "ok"
    monkeypatch.delenv("GOMP_SPINCOUNT")
    threads.limit_spinning()
    check = doctor._threads()
    assert check.status == "warning" and "its threads spin: libgomp" in check.detail and "before torch" in check.fix


def test_the_runtimes_of_this_process_are_found():
    import torch

    if not Path("/proc/self/maps").exists() or "OpenMP" not in torch.__config__.parallel_info():
        pytest.skip("nothing to be found here")
    found = threads.loaded_runtimes()
    assert found and set(found) <= set(threads.RUNTIMES)
