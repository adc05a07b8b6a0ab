"""The Python interface: the same sweep as the command, one volume, and what a caller is told."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny_plugin

import benchmark
from benchmark.api import MethodSpec, Params, Reconstruction, Run, Scan
from benchmark.cli.main import main
from benchmark.plugins.registry import registry
from benchmark.records.record import RunRecord

HERE: dict[str, Any] = {"in_process": True, "report": False, "progress": False, "device": "cpu"}
BALL: dict[str, Any] = {"datasets": "ball", "size": 8, "views": 5}
GREY = MethodSpec(name="grey", target=tiny_plugin.grey, params=tiny_plugin.GreyParams)
PATIENT = MethodSpec(name="patient", target=tiny_plugin.patient, params=tiny_plugin.BadParams)
BAD = MethodSpec(name="bad", target=tiny_plugin.bad, params=tiny_plugin.BadParams)


def spy(scan: Scan, params: Params, run: Run) -> Reconstruction:
    """Tell what is within reach: the kind of the first argument, the files of the run, and the modules with truth or results."""
    assert run.scratch is not None
    files = sorted(path.name for path in run.scratch.iterdir())
    known = sorted(name for name in sys.modules if name.startswith(("benchmark.metrics", "benchmark.sweep", "benchmark.python")))
    volume = np.zeros(scan.geometry.volume_shape, np.float32)
    return Reconstruction(volume, info={"kind": type(scan).__name__, "files": files, "modules": known, "process": os.getpid()})


SPY = MethodSpec(name="spy", target=spy)


@pytest.mark.parametrize(
    ("values", "options"),
    [
        ({"methods": ["fdk", "sart"], "views": [5, 3]}, "--methods fdk,sart --views 5,3"),
        ({"methods": "fdk", "views": [[0, 5, 9]]}, "--methods fdk --views [0,5,9]"),
        ({"methods": ["cgls"], "seeds": range(2), "size": [8, np.int64(9)]}, "--methods cgls --seeds 0,1 --size 8,9"),
        ({"methods": ["fdk"], "photons": [None, 1e5]}, "--methods fdk --photons none,1e5"),
        ({"methods": ["fdk"], "photons": 1e5, "budget": "20s"}, "--methods fdk --photons 1e5 --budget 20s"),
        (
            {
                "methods": ["sart"],
                "set": {"sart.relaxation": 1e-05, "sart.engine": "native", "sart.nonnegative": False, "sart.iterations": 1},
            },
            "--methods sart --set sart.relaxation=1e-05 --set sart.engine=native --set sart.nonnegative=false --set sart.iterations=1",
        ),
        ({"methods": ["fdk"], "set": ["ball.radius=50"], "views": "5"}, "--methods fdk --set ball.radius=50"),
    ],
)
def test_a_call_and_the_command_are_the_same_runs(
    values: dict[str, Any], options: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = benchmark.run(**{**BALL, **values, **HERE}, output=tmp_path)
    assert table["status"].eq("ok").all() and table.attrs["output"] == str(tmp_path)
    words = ["run", "--datasets", "ball", *options.split(), "--output", str(tmp_path), "--dry-run"]
    words += [word for option in ("views", "size") if f"--{option}" not in words for word in (f"--{option}", str(BALL[option]))]
    assert main(words) == 0
    assert f"{len(table)} runs, {len(table)} done, 0 to do" in capsys.readouterr().out


def test_the_table_is_runs_csv_and_a_second_call_repeats_nothing(tmp_path: Path) -> None:
    table = benchmark.run(["fdk", GREY], **BALL, **HERE, output=tmp_path)
    written = pd.read_csv(tmp_path / "tables" / "runs.csv", keep_default_na=False, na_values=[""])
    assert list(written) == list(table) and list(written["run_id"]) == list(table["run_id"])
    np.testing.assert_allclose(written["volume_psnr"], table["volume_psnr"])
    again = benchmark.run([GREY, "fdk"], **BALL, **HERE, output=tmp_path)
    assert again.equals(table[::-1].reset_index(drop=True))  # in the order asked for
    one = benchmark.run("fdk", **BALL, **HERE, output=tmp_path)  # the rows of this call, not those of the folder
    assert list(one["method"]) == ["fdk"]
    redone = benchmark.run(GREY, **BALL, **HERE, output=tmp_path, rerun="grey")
    assert len(list((tmp_path / "runs" / redone["run_id"][0]).glob("attempt-*.json"))) == 2


def test_the_record_holds_the_call(tmp_path: Path) -> None:
    benchmark.run(["fdk"], **BALL, **HERE, output=tmp_path / "first", set={"fdk.filter": "hann"})
    (record,) = benchmark.load_results(tmp_path / "first").records
    shutil.rmtree(tmp_path / "first")
    again = eval(record.command.replace("benchmark.run(", "benchmark.run(progress=False, report=False, "))
    assert record.command.startswith("benchmark.run(methods='fdk', datasets='ball', views='5', size='8'")
    assert again["run_id"].tolist() == [record.run_id]


def test_a_plan_may_be_a_mapping(tmp_path: Path) -> None:
    plan = {"datasets": ["ball"], "methods": [{"sart": {"grid": {"relaxation": [0.25, 0.5]}, "iterations": 1}}], "views": (5,), "size": 8}
    table = benchmark.run(config=plan, **HERE, output=tmp_path)
    assert len(table) == 2 and set(table["views"]) == {5}  # a tuple is a list of numbers, as in an argument, and no list of indices
    again = benchmark.run(config={**plan, "views": np.array([5]), "seeds": range(1), "baseline": "sart"}, **HERE, output=tmp_path)
    assert list(again["run_id"]) == list(table["run_id"]) and benchmark.load_results(tmp_path).suite.baseline == "sart"
    assert len(list(tmp_path.glob("runs/*/attempt-*.json"))) == 2
    with pytest.raises(benchmark.InputError, match="methodz: expected one of .*Did you mean 'methods'"):
        benchmark.run(config={**plan, "methodz": "fdk"}, **HERE, output=tmp_path)


@pytest.mark.parametrize(
    ("values", "options"),
    [
        ({"methods": ["fdkk"]}, "--methods fdkk"),
        ({"views": 0}, "--views 0"),
        ({"views": [[1, 1]]}, "--views [1,1]"),
        ({"budget": 20}, "--budget 20"),
        ({"set": {"fdk.filterr": "hann"}}, "--set fdk.filterr=hann"),
        ({"timeout": -1}, "--timeout -1"),
        ({"device": "gpu"}, "--device gpu"),
        ({"memory": 5}, "--memory 5"),
        ({"rerun": "naf"}, "--rerun naf"),
        ({"config": "nonesuch"}, "--config nonesuch"),
        ({"scan": "a", "volume": "b"}, "--scan a --volume b"),
        ({"seeds": -1, "size": 2}, "--seeds -1 --size 2"),
    ],
)
def test_wrong_values_have_the_message_of_the_command(
    values: dict[str, Any], options: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"methods": "fdk", "datasets": "ball", "size": 8, "views": 5, **values}
    words = [word for name, value in given.items() if name not in values for word in (f"--{name}", str(value))]
    assert main(["run", *words, *options.split(), "--output", str(tmp_path / "results")]) == 2
    with pytest.raises(benchmark.InputError) as caught:
        benchmark.run(**{"output": tmp_path / "results", **given})
    assert capsys.readouterr().err == f"error: {caught.value}\n"
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"methods": 5}, "methods: expected names of methods, or MethodSpecs, found 5"),
        ({"methods": ["fdk", None]}, "methods: expected names of methods, or MethodSpecs, found None"),
        ({"set": 5}, 'set: expected {"zerorf.steps": 50} or .*, found 5'),
        ({"set": ["fdk.filter=hann", ("fdk.filter", "hann")]}, r"set: expected .*, found \('fdk.filter', 'hann'\)"),
        ({"output": 5}, "output: expected a path, as text or pathlib.Path, found 5"),
        ({"scan": ""}, "scan: expected a path, as text or pathlib.Path, found ''"),
        ({"volume": "a\0b"}, "volume: expected a path"),
        ({"config": ["quick"]}, "config: expected a path"),
        ({"views": 10**30}, "--views: expected at most 1000000 views"),
        ({"scheduler": 5}, "--scheduler: expected an address"),
        ({"serve": "x"}, "--serve-port: expected a whole number from 0 .* to 65535, found 'x'"),
        ({"serve": 70000}, "--serve-port: expected"),
    ],
)
def test_values_of_wrong_types_are_said_as_well(values: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(benchmark.InputError, match=message):
        benchmark.run(**{"methods": "fdk", **BALL, "output": tmp_path / "results", **values})
    assert not (tmp_path / "results").exists()


def test_places_of_wrong_types_are_said() -> None:
    calls: list[Any] = [benchmark.load_case, benchmark.load_results]
    for call in calls:
        for wrong in (5, b"ball", "", ["ball"]):
            with pytest.raises(benchmark.InputError, match="expected a path, as text or pathlib.Path"):
                call(wrong)


@pytest.mark.parametrize("values", [{"workers": 0}, {"threads": True}, {"workers": 1.5}])
def test_numbers_of_processes_and_threads_are_checked(values: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(benchmark.InputError, match="expected a whole number from 1"):
        benchmark.run("fdk", **BALL, output=tmp_path, **values)


def test_a_method_that_no_process_can_import_is_refused() -> None:
    def local(scan: Scan, params: Params, run: Run) -> Reconstruction:
        raise AssertionError

    with pytest.raises(benchmark.InputError, match=r"method 'mine': target: expected the top of a module.*my_method\.py"):
        benchmark.run([MethodSpec(name="mine", target=local)], **BALL)
    with pytest.raises(benchmark.InputError, match="the name 'fdk' is taken by benchmark.methods.fdk"):
        benchmark.run([MethodSpec(name="fdk", target=spy)], **BALL)
    assert "grey" not in registry().methods  # a spec is known to its own call only


def test_without_progress_nothing_is_printed_but_warnings_are_logged(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    benchmark.run("fdk", **BALL, **HERE, output=tmp_path)
    (tmp_path / "runs" / "damaged").mkdir()
    (tmp_path / "runs" / "damaged" / "attempt-0001.json").write_text("{")
    with caplog.at_level(logging.WARNING, logger="benchmark"):
        benchmark.run("fdk", **BALL, **HERE, output=tmp_path)
    assert any("unreadable record" in message for message in caplog.messages)
    assert capfd.readouterr().out == ""


def test_a_failed_run_is_a_row_with_its_reason(tmp_path: Path) -> None:
    table = benchmark.run([BAD, "fdk"], **BALL, **HERE, output=tmp_path)
    assert table.set_index("method")["status"].to_dict() == {"bad": "failed", "fdk": "ok"}
    assert table.set_index("method")["reason"]["bad"].startswith("ValueError: this method is broken (tiny_plugin.py:")


def test_an_interrupt_is_raised_when_the_runs_have_ended_and_the_same_call_resumes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    marker = tmp_path / "processes"
    call: dict[str, Any] = {**BALL, "output": tmp_path / "results", "report": False, "set": {"patient.marker": str(marker)}}
    waiting = threading.Thread(target=_interrupt_when, args=(marker,), daemon=True)
    before_test = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background of a script
    try:
        waiting.start()
        with pytest.raises(KeyboardInterrupt):
            benchmark.run([GREY, PATIENT], **call)
    finally:
        signal.signal(signal.SIGINT, before_test)
    assert "Stopped. 1 runs are recorded, 1 remain; the same call resumes." in capsys.readouterr().out
    assert not any(alive(process) for process in json.loads(marker.read_text()))
    before = _records(tmp_path / "results")
    assert [record.spec.method for record in before] == ["grey"]
    resumed = benchmark.run([GREY], **{**call, "set": None})
    assert resumed["run_id"].tolist() == [before[0].run_id] and _records(tmp_path / "results") == before


def _interrupt_when(marker: Path) -> None:
    while not marker.exists() or not marker.read_text():
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGINT)


def alive(process: int) -> bool:
    """Whether a process runs; one that has ended and waits to be reaped does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _records(folder: Path) -> list[RunRecord]:
    return benchmark.load_results(folder).records


SCRIPT = """
import threading

import benchmark

found = []
call = dict(methods="fdk", datasets="ball", size=8, views=5, output="results", report=False)
thread = threading.Thread(target=lambda: found.append(benchmark.run(**call)))
thread.start()
thread.join()
print("rows:", found[0]["status"].tolist())
"""


def test_a_script_needs_no_guard_and_may_call_from_a_thread(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert sum(line.startswith("[1/1] ball 8, 5 views: fdk: volume") for line in lines) == 1
    assert lines[-1] == "rows: ['ok']" and "\x1b" not in done.stdout


def test_one_volume_is_that_of_the_sweep_with_the_same_scores(tmp_path: Path) -> None:
    table = benchmark.run("sart", **BALL, **HERE, output=tmp_path, set={"sart.iterations": 2})
    case = benchmark.load_case("ball", size=8, views=5)
    found = benchmark.reconstruct("sart", case.scan, iterations=2, device="cpu", progress=False)
    results = benchmark.load_results(tmp_path)
    stored = results.volume(results.records[0])
    assert stored is not None and found.volume.dtype == np.float32 and found.volume.flags.writeable
    np.testing.assert_array_equal(found.volume, stored)
    scores = benchmark.score(found, case)
    assert scores["volume_psnr"] == pytest.approx(table["volume_psnr"][0], abs=1e-6)
    assert scores["projection_ssim"] == pytest.approx(table["projection_ssim"][0], abs=1e-6)
    assert found.info["device"] == "cpu" and found.info["seconds"] > 0
    assert "sart" in str(benchmark.compare(tmp_path, results))


def test_a_method_gets_the_scan_of_a_case_and_nothing_else() -> None:
    case = benchmark.load_case("ball", size=8, views=5)
    assert case.truth is not None and case.heldout is not None
    info = benchmark.reconstruct(SPY, case, device="cpu", progress=False).info
    assert info["kind"] == "Scan" and info["modules"] == [] and info["process"] != os.getpid()
    assert info["files"] == ["job.json", "log.txt", "projections.npy", "stacks.txt"]


def test_reconstruct_says_why_there_is_no_volume(capsys: pytest.CaptureFixture[str]) -> None:
    case = benchmark.load_case("ball", size=8, views=5)
    with pytest.raises(benchmark.InputError, match="--device: expected auto, cpu"):
        benchmark.reconstruct("fdk", case, device=None)  # type: ignore[arg-type]
    assert capsys.readouterr().out == ""  # said before a run is announced
    reason = r"^bad: ValueError: this method is broken \(tiny_plugin\.py:\d+ in bad\)\n(.|\n)*last words"
    with pytest.raises(benchmark.RunFailed, match=reason) as failed:
        benchmark.reconstruct(BAD, case, progress=False)
    assert failed.value.record.status == "failed"
    maxima = benchmark.Scan(case.scan.projections, case.scan.geometry, composite="max")
    with pytest.raises(benchmark.InputError, match="method fdk: expected a scan that it can reconstruct, found understands"):
        benchmark.reconstruct("fdk", maxima, progress=False)
    with pytest.raises(benchmark.InputError, match="fdk.filterr: expected one of .*Did you mean 'filter'"):
        benchmark.reconstruct("fdk", case, filterr="hann")
    with pytest.raises(benchmark.InputError, match=r"seed: expected one whole number, found \[1, 2\]"):
        benchmark.reconstruct("fdk", case, seed=[1, 2])  # type: ignore[arg-type]
    with pytest.raises(benchmark.InputError, match="scan: expected a Scan or a Case.*found ndarray"):
        benchmark.reconstruct("fdk", case.scan.projections)  # type: ignore[arg-type]


def test_a_case_of_a_name_of_a_scan_and_of_a_volume(tmp_path: Path) -> None:
    noisy = benchmark.load_case("ball", size=8, views=(0, 4, 9), photons=1e4)
    assert noisy.scan.photons == 1e4 and noisy.training_views == (0, 4, 9)
    path = tmp_path / "block.npy"
    volume = np.zeros((8, 8, 8), np.float32)
    volume[2:6, 2:6, 2:6] = 0.02
    np.save(path, volume)
    case = benchmark.load_case(path, spacing=2.0, unit="attenuation", views=4)
    assert case.name == "block" and case.truth is not None and case.truth.max() == pytest.approx(0.02)
    options = ["--format", "folder", "--size", "8", "--views", "6", "--output", str(tmp_path / "s")]
    assert main(["export-scan", "ball", *options]) == 0
    assert benchmark.load_case(tmp_path / "s").scan.geometry.views == 6


@pytest.mark.parametrize(
    ("source", "values", "message"),
    [
        ("bal", {}, "expected one of .*Did you mean 'ball'"),
        ("no/such.nii.gz", {}, "expected a file or folder, or the name of a dataset, found none"),
        ("ball", {"views": [1, 1]}, "views: expected every view index once"),
        ("ball", {"viewss": 3}, "expected one of .*Did you mean 'views'"),
    ],
)
def test_a_wrong_case_is_said(source: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(benchmark.InputError, match=message):
        benchmark.load_case(source, **values)


def test_a_volume_that_does_not_fit_has_no_score() -> None:
    case = benchmark.load_case("ball", size=8, views=5)
    with pytest.raises(benchmark.InputError, match=r"volume: expected float32 \[z, y, x\] = \(8, 8, 8\), found float64 \(8, 8\)"):
        benchmark.score(np.zeros((8, 8)), case)
    with pytest.raises(benchmark.InputError, match="1 of 512 voxels are NaN or Inf"):
        benchmark.score(np.where(np.arange(512).reshape(8, 8, 8) == 3, np.nan, 0.0), case)
    with pytest.raises(benchmark.InputError, match="512 of 512 voxels are NaN or Inf"):
        benchmark.score(np.full((8, 8, 8), 1e300), case)
    with pytest.raises(benchmark.InputError, match="case: expected a Case, .*, found Scan"):
        benchmark.score(np.zeros((8, 8, 8)), case.scan)  # type: ignore[arg-type]
    with pytest.raises(benchmark.InputError, match="scan.geometry: expected a ConeBeamGeometry, found NoneType"):
        benchmark.Scan(case.scan.projections, None)  # type: ignore[arg-type]
    assert case.truth is not None
    right, empty = (benchmark.score(volume, case)["fit_psnr"] for volume in (case.truth, np.zeros_like(case.truth)))
    assert right is not None and empty is not None and right > empty + 10
