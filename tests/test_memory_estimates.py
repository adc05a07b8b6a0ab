"""What a method says it will take before it starts, against what it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tiny import sweep

from benchmark.execution.options import Options
from benchmark.machine.memory import BASE_MEMORY

FEW = {  # as little work as takes all the memory
    "fista_tv": {"weight": 0.01, "iterations": 2},
    "naf": {"steps": 2, "refine": 1},
    "zerorf": {"steps": 2, "members": 1, "finetune": 1, "refine": 1},
    "gaussians": {"steps": 2, "refine": 1},
}
CHILD = """
import json, sys
from balls import ball_scan
from benchmark.api import Run
from benchmark.machine.clock import peak_memory_mb
from benchmark.machine.memory import BASE_MEMORY
from benchmark.plugins.registry import registry
from benchmark.plugins.specs import resolve
name, size, views, values = json.loads(sys.argv[1])
spec, scan = registry().methods[name], ball_scan(size=size, views=views)[0]
params = spec.params(**values)
needed = BASE_MEMORY + resolve(spec.memory)(scan, params)
resolve(spec.target)(scan, params, Run())
print(json.dumps([needed / 2**20, peak_memory_mb()]))
"""


@pytest.mark.parametrize("name", list(FEW))
@pytest.mark.parametrize(("size", "views"), [(64, 20), pytest.param(128, 50, marks=pytest.mark.slow)])
def test_estimates_are_right_within_30_per_cent(name: str, size: int, views: int) -> None:
    asked = json.dumps([name, size, views, FEW[name]])
    done = subprocess.run([sys.executable, "-c", CHILD, asked], capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    needed, peak = json.loads(done.stdout.splitlines()[-1])
    assert peak / 1.3 < needed < 1.3 * peak


def test_a_run_that_would_not_fit_says_so_before_it_starts(tmp_path: Path) -> None:
    here = Options(device="cpu", in_process=True, memory_bytes=BASE_MEMORY + (10 << 20))
    (record,) = sweep(tmp_path, "zerorf", options=here).records
    assert record.status == "skipped" and not record.seconds
    assert record.reason.startswith("would take about ") and record.reason.endswith(" of memory, --memory allows 326 MB")
    (record,) = sweep(tmp_path, "fista_tv", options=replace(here, memory_bytes=1 << 30)).records
    assert record.status == "ok"


def test_what_is_free_counts_where_there_is_no_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.execution.eligibility.free_memory", lambda: 0.25)
    (record,) = sweep(tmp_path, "fista_tv", options=Options(device="cpu", in_process=True)).records
    assert record.status == "skipped" and record.reason.endswith(" of memory, 269 MB are free")
