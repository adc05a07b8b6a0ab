"""Global state that a plug-in sets, at import or in a call, changes nothing for others, and `check` names it."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import random
import re
import resource
import signal
import socket
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import forks
import numpy as np
import pytest
import torch
from tiny import tiny_registry
from tiny_plugin import TinyParams, load

from benchmark.conformance.checks import CHECKS
from benchmark.conformance.subject import Subject, Violation
from benchmark.machine import global_state
from benchmark.metrics.scorer import Scorer
from benchmark.plugins.isolation import call, isolated
from benchmark.plugins.specs import MethodSpec, MetricSpec

TOPS = {
    "float16": "import torch; torch.set_default_dtype(torch.float16)",
    "float64": "import torch; torch.set_default_dtype(torch.float64)",
    "gradients": "import torch; torch.set_grad_enabled(False); torch.set_num_threads(1); torch.set_flush_denormal(True)",
    "device": "import torch; torch.set_default_device('meta'); torch.use_deterministic_algorithms(True)",
    "numpy": "import numpy; numpy.seterr(all='raise'); numpy.set_printoptions(precision=1); numpy.random.seed(1)",
    "process": "import os, warnings, locale, signal; warnings.simplefilter('error'); os.chdir('/'); os.umask(0o777); "
    "os.environ.clear(); signal.signal(signal.SIGTERM, signal.SIG_IGN); locale.setlocale(locale.LC_ALL, 'C')",
    "logging": "import logging, sys, gc; logging.disable(logging.CRITICAL); logging.getLogger('benchmark').disabled = True; "
    "sys.setrecursionlimit(80); gc.disable(); import multiprocessing; multiprocessing.set_start_method('forkserver', force=True)",
}
PLUGIN = """
{top}
import numpy as np
from benchmark.api import MethodSpec, MetricSpec, Reconstruction, hookimpl


def reconstruct(scan, params, run):
    return Reconstruction(np.zeros(scan.geometry.volume_shape, np.float32))


def worst(volume, truth):
    {top}
    return abs(np.asarray(volume) - truth).max()


@hookimpl
def register_methods():
    return [MethodSpec(name="strange", target="strange:reconstruct")]


@hookimpl
def register_metrics():
    return [MetricSpec(name="aaa_worst", kind="volume", unit="1/mm", higher_is_better=False, target="strange:worst")]
"""


def install(folder: Path, top: str) -> dict[str, str]:
    """An environment in which the plug-in is an installed package."""
    folder.mkdir(parents=True)
    (folder / "strange.py").write_text(PLUGIN.format(top=top))
    info = folder / "strange-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strange\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[benchmark]\nstrange = strange\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])}


def scores(folder: Path, top: str, *options: str) -> dict[str, Any]:
    """Every digit of the scores of two methods with such a plug-in installed; its metric is called between those of the harness."""
    arguments = ("run", "--methods", "fdk,sart", "--datasets", "ball", "--views", "6", "--size", "16", "--no-report", *options, "--output")
    done = forks.benchmark(*arguments, str(folder / "out"), folder=folder, environment=install(folder / "site", top))
    assert done.returncode == 0, done.stdout + done.stderr
    records = [json.loads(path.read_text()) for path in (folder / "out").glob("runs/*/attempt-0001.json")]
    assert len(records) == 2 and all(record["metrics"].get("volume_aaa_worst") for record in records)
    return {record["run_id"]: (record["metrics"], record["volume_digest"]) for record in records}


@pytest.fixture(scope="module")
def usual(tmp_path_factory) -> dict[str, Any]:
    return scores(tmp_path_factory.mktemp("usual"), "pass")


@pytest.mark.slow
@pytest.mark.parametrize("name", TOPS)
def test_scores_keep_every_digit_whatever_an_installed_plugin_sets(tmp_path, usual, name):
    assert scores(tmp_path, TOPS[name]) == usual


def test_scores_keep_every_digit_with_a_plugin_that_sets_all_of_it_in_the_process_of_the_runs(tmp_path):
    usual, strange = (scores(tmp_path / name, top, "--in-process") for name, top in (("usual", "pass"), ("all", "; ".join(TOPS.values()))))
    assert strange == usual


def change_everything() -> str:
    torch.set_default_dtype(torch.float16)
    torch.set_default_device("meta")
    torch.set_num_threads(1 + torch.get_num_threads())
    torch.set_grad_enabled(False)
    torch.use_deterministic_algorithms(True)
    torch.set_flush_denormal(True)
    torch.manual_seed(5)
    np.seterr(all="raise")
    np.set_printoptions(precision=1)
    np.random.seed(5)
    random.seed(5)
    socket.setdefaulttimeout(0.1)
    torch.set_autocast_enabled("cpu", True)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    warnings.simplefilter("error")
    os.chdir("/")
    os.umask(0o777)
    os.environ["OF_A_PLUGIN"] = "1"
    sys.path.insert(0, "/of/a/plugin")
    sys.setrecursionlimit(1234)
    logging.disable(logging.CRITICAL)
    logging.getLogger("benchmark").disabled = True
    multiprocessing.set_start_method("forkserver", force=True)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return "done"


def test_everything_is_restored_and_named():
    before = global_state.state()
    with isolated() as changes:
        change_everything()
    after = global_state.state()
    added = after.pop("the order of sys.path")
    assert added == [*before.pop("the order of sys.path"), "/of/a/plugin"]  # of use to later imports of the plug-in, in nobody's way
    sys.path.remove("/of/a/plugin")
    assert after == before
    words = {change.words for change in changes if change.grave}
    assert {"sets torch's default dtype to float16", "sets the current folder to /", "sets the recursion limit to 1234"} <= words
    assert "changes numpy's error state (divide, invalid, over, under)" in words and len(words) > 15
    assert any("the environment (OF_A_PLUGIN" in change.words for change in changes if not change.grave)


def test_an_error_of_a_plugin_restores_too_and_comes_through():
    def fail() -> None:
        change_everything()
        raise ValueError("of the plug-in")

    with pytest.raises(ValueError, match="of the plug-in"):
        call(fail)
    assert torch.get_default_dtype() == torch.float32 and np.geterr()["over"] == "warn"
    sys.path.remove("/of/a/plugin")


def test_threads_do_not_restore_what_another_plugin_has_set():
    first_inside, first_may_end = threading.Event(), threading.Event()

    def first() -> None:
        with isolated():
            torch.set_default_dtype(torch.float64)
            first_inside.set()
            first_may_end.wait(10)

    def second() -> None:
        with isolated():
            pass

    threads = [threading.Thread(target=first), threading.Thread(target=second)]
    threads[0].start()
    first_inside.wait(10)
    threads[1].start()
    threads[1].join()
    first_may_end.set()
    threads[0].join()
    assert torch.get_default_dtype() == torch.float32


def spoil(prediction: np.ndarray, truth: np.ndarray) -> float:
    prediction[:] = 0
    return 1.0


def leave(prediction: np.ndarray, truth: np.ndarray) -> float:
    sys.exit("no licence")


@pytest.mark.parametrize(("target", "reason"), [(spoil, "ValueError: .*read-only"), (leave, "SystemExit: no licence")])
def test_a_metric_that_writes_into_its_arrays_or_leaves_changes_no_other_score(target, reason):
    case = load(TinyParams())
    assert case.truth is not None
    volume, truth, known = case.truth + np.float32(0.001), case.truth.copy(), list(tiny_registry().metrics.values())
    strange = [MetricSpec(name="first", kind=kind, target=target) for kind in ("volume", "projection")]
    usual, _ = Scorer(case, known).score(volume.copy())
    scores, problems = Scorer(case, [*strange, *known]).score(volume)
    assert {name: score for name, score in scores.items() if not name.endswith("_first")} == usual
    assert (volume == truth + np.float32(0.001)).all() and (case.truth == truth).all()
    assert len(problems) == 3 and all(re.search(reason, problem) for problem in problems)


def flag(scan: Any, params: Any, run: Any) -> Any:
    from benchmark.api import Reconstruction

    torch.set_default_dtype(torch.float64)
    np.random.seed(run.seed)
    return Reconstruction(np.zeros(scan.geometry.volume_shape, np.float32))


def test_check_names_what_a_run_changes():
    with pytest.raises(Violation, match=r"sets torch's default dtype to float64 in a run \(restored for others; set it back"):
        CHECKS["global-state"](Subject(MethodSpec(name="flag", target=flag), {}))
    assert torch.get_default_dtype() == torch.float32


def test_check_names_what_an_import_changes(tmp_path):
    environment = install(tmp_path / "site", TOPS["float16"])
    done = forks.benchmark("check", "strange", "--only", "global-state", folder=tmp_path, environment=environment)
    assert done.returncode == 1
    assert "failed         global-state: sets torch's default dtype to float16 at import (restored for others; " in done.stdout
