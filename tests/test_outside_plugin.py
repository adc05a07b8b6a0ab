"""A stranger's package with an entry point: installed by pip, listed, run; nothing of it is known to this project."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.results import Results

PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "mean-reconstruction"
version = "0.1"

[project.entry-points.benchmark]
mean = "mean_reconstruction"

[tool.setuptools]
py-modules = ["mean_reconstruction"]
"""

MODULE = """
import numpy as np
from benchmark.api import Field, MethodSpec, Params, Reconstruction, hookimpl


class MeanParams(Params):
    factor: float = Field(1.0, gt=0, description="scale of the mean")


def reconstruct(scan, params, run):
    mean = scan.projections.mean() / max(scan.geometry.volume_extent)
    return Reconstruction(np.full(scan.geometry.volume_shape, params.factor * mean, np.float32))


@hookimpl
def register_methods():
    return [MethodSpec(name="mean", target=reconstruct, params=MeanParams, summary="the mean attenuation everywhere")]
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("target")
    (source / "pyproject.toml").write_text(PROJECT)
    (source / "mean_reconstruction.py").write_text(MODULE)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*pip, "--target", str(target), str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {**os.environ, "PYTHONPATH": str(target)}


def benchmark(environment: dict[str, str], folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "benchmark", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_is_listed_with_its_origin(environment, tmp_path):
    facts = json.loads(benchmark(environment, tmp_path, "list", "--json"))
    (mean,) = [item for item in facts["methods"] if item["name"] == "mean"]
    assert mean["origin"] == "mean (mean-reconstruction)"
    assert facts["problems"] == []


def test_it_runs_on_a_dataset_of_this_project(environment, tmp_path):
    common = ("--methods", "mean", "--datasets", "ball", "--size", "16", "--views", "5", "--no-report", "--device", "cpu")
    benchmark(environment, tmp_path, "run", *common, "--set", "mean.factor=2", "--output", "out")
    (record,) = Results.open(tmp_path / "out").records
    assert (record.status, record.reason) == ("ok", "")
    assert record.spec.method_params == {"factor": 2.0}
    assert record.metrics["volume_psnr"] is not None and record.metrics["projection_psnr"] is not None
    assert Results.open(tmp_path / "out").volume(record).shape == (16, 16, 16)
