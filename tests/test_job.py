"""The job of a run: what goes into its folder comes out again, and what does not fit is said."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_plugin
from tiny import tiny_plan, tiny_registry

from benchmark.errors import InputError
from benchmark.execution.attempt import RESULT
from benchmark.execution.job import VERSION, Job, import_path, read_job, read_scan, write_job
from benchmark.execution.options import Options
from benchmark.execution.runner import perform
from benchmark.scan.case import Case

ROOT = Path(__file__).resolve().parent.parent


def tiny_case(**facts: Any) -> Case:
    case = tiny_plugin.load(tiny_plugin.TinyParams())
    return dataclasses.replace(case, scan=dataclasses.replace(case.scan, **facts))


def job_of(case: Case, **settings: Any) -> Job:
    registry = tiny_registry()
    (spec,) = tiny_plan(registry, Path("out"), "grey", budget="2e9samples").runs
    return Job.of(registry.method("grey"), spec, case, Options(device="cpu", **settings))


def changed(folder: Path, **values: Any) -> None:
    """Change values of a job's file; None removes one."""
    path = folder / "job.json"
    content = json.loads(path.read_text()) | values
    path.write_text(json.dumps({key: value for key, value in content.items() if value != "removed"}))


@pytest.mark.parametrize(
    "settings", [{}, {"checkpoints": Path("runs"), "tensorboard": Path("boards"), "memory_bytes": 10**9, "threads": 2}]
)
def test_a_job_and_its_scan_come_back_as_they_were(tmp_path: Path, settings: dict[str, Any]) -> None:
    labels = {"time": np.array([0.1, 1 / 3, 2.0, 1e-300])}
    case = tiny_case(photons=100_000, noise=0.1 + 0.2, view_labels=labels, masks=np.ones((4, 10, 12), bool))
    job = job_of(case, **settings)
    write_job(tmp_path, job, case.scan)
    assert read_job(tmp_path) == job
    again = read_scan(tmp_path, read_job(tmp_path).scan)
    assert again.digest == case.scan.digest and again.photons == 100_000 and again.masks is not None
    assert isinstance(again.projections, np.memmap) or isinstance(again.projections.base, np.memmap | type(None))


def test_nothing_in_a_job_can_be_changed_and_nothing_can_be_added() -> None:
    job = job_of(tiny_case())
    with pytest.raises(ValueError, match="frozen"):
        job.seed = 3  # type: ignore[misc]
    with pytest.raises(ValueError, match="Extra inputs"):
        Job.model_validate(job.model_dump() | {"truth": "42"})


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"version": VERSION + 1}, f"expected a job of version {VERSION}, found version {VERSION + 1}. If the harness was updated while"),
        ({"version": "removed"}, f"expected a job of version {VERSION}, found none"),
        ({"truth": 1}, "found truth: Extra inputs are not permitted"),
        ({"seed": "removed"}, "found seed: Field required"),
        ({"budget": {"steps": 1, "patience": 2}}, "found budget.patience: Unexpected keyword argument"),
        ({"scan": {}, "threads": "many"}, "found scan.geometry: Field required; scan.photons: Field required; .* and 5 more"),
    ],
)
def test_a_job_that_does_not_fit_is_said(tmp_path: Path, values: dict[str, Any], found: str) -> None:
    case = tiny_case()
    write_job(tmp_path, job_of(case), case.scan)
    changed(tmp_path, **values)
    with pytest.raises(InputError, match=found) as error:
        read_job(tmp_path)
    assert error.value.where == str(tmp_path / "job.json")


def test_half_a_job_and_another_geometry_are_said(tmp_path: Path) -> None:
    case = tiny_case()
    job = job_of(case)
    other = job.scan.model_copy(update={"geometry": {**job.scan.geometry, "tilt": 1.0}})
    write_job(tmp_path, job, case.scan)
    with pytest.raises(InputError, match="scan.geometry: .*tilt"):
        read_scan(tmp_path, other)
    (tmp_path / "job.json").write_text((tmp_path / "job.json").read_text()[:100])
    with pytest.raises(InputError, match=f"expected a job of version {VERSION}, found "):
        read_job(tmp_path)


def test_a_child_of_other_sources_reports_that_the_job_does_not_fit(tmp_path: Path) -> None:
    """As after an update under way: a result, not a traceback."""
    case = tiny_case()
    write_job(tmp_path, job_of(case), case.scan)
    changed(tmp_path, version=0)
    command = [sys.executable, "-m", "benchmark.execution.worker", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stdout) == (0, "")
    result = json.loads((tmp_path / RESULT).read_text())
    assert result["status"] == "failed" and "found version 0. If the harness was updated while the sweep was under way" in result["reason"]


def test_a_dataset_whose_facts_have_other_types_fails_its_run_and_is_named(tmp_path: Path) -> None:
    registry = tiny_registry()
    (spec,) = tiny_plan(registry, tmp_path, "grey").runs
    record, volume = perform(registry, spec, tiny_case(length_unit=5), tmp_path / "jobs", Options(device="cpu"), lambda event: None)
    assert (record.status, volume) == ("failed", None) and "found length_unit: Input should be a valid string" in record.reason


def test_import_path_names_what_another_process_can_find() -> None:
    assert import_path(tiny_plugin.grey) == "tiny_plugin:grey"
    assert import_path(tiny_plugin.GreyParams) == "tiny_plugin:GreyParams"
    assert import_path(lambda: None) is None
    assert import_path(job_of) == f"{__name__}:job_of"
