"""The README's example as a stranger's package with an entry point: installed by pip, listed, run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import forks
import pytest

from benchmark.records.results import Results

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def block(language: str, part: str) -> str:
    """The README's code block of a language that contains `part`."""
    (found,) = [text for text in re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) if part in text]
    return found


@pytest.fixture(scope="module")
def environment(tmp_path_factory) -> dict[str, str]:
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("target")
    (source / "pyproject.toml").write_text(block("toml", "entry-points"))
    (source / "my_method.py").write_text(block("python", "hookimpl"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*pip, "--target", str(target), str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {**os.environ, "PYTHONPATH": str(target)}


def benchmark(environment: dict[str, str], folder: Path, *arguments: str) -> str:
    done = forks.benchmark(*arguments, folder=folder, environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_it_is_listed_with_its_origin(environment, tmp_path):
    facts = json.loads(benchmark(environment, tmp_path, "list", "--json"))
    (sirt,) = [item for item in facts["methods"] if item["name"] == "sirt"]
    assert sirt["origin"] == "sirt (my-method)"
    assert facts["problems"] == []


def test_it_runs_on_a_dataset_of_this_project(environment, tmp_path):
    common = ("--methods", "sirt", "--datasets", "ball", "--size", "16", "--views", "5", "--no-report", "--device", "cpu")
    benchmark(environment, tmp_path, "run", *common, "--set", "sirt.iterations=7", "--output", "out")
    (record,) = Results.open(tmp_path / "out").records
    assert (record.status, record.reason) == ("ok", "")
    assert record.spec.method_params == {"iterations": 7}
    assert record.metrics["volume_psnr"] > 15 and record.metrics["projection_psnr"] > 20
    assert Results.open(tmp_path / "out").volume(record).shape == (16, 16, 16)
