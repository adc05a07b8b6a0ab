"""The shipped plans: each resolves to the runs that its comment promises, and runs from end to end within a small budget."""

from __future__ import annotations

import re

import pytest

from benchmark.cli.main import main
from benchmark.plan.plan import CONFIGS, Flags, Plan, load_plan
from benchmark.plugins.registry import registry
from benchmark.records.results import Results

NAMES = sorted(path.stem for path in CONFIGS.glob("*.yaml"))
RUNS = {"gpu": 60, "mip": 27, "noisy": 108, "photographs": 10, "quick": 30, "suite": 330, "xray": 12}


def plan(name: str) -> Plan:
    return load_plan(registry(), name, Flags())


def test_every_plan_is_known_here():
    assert set(RUNS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_plan_resolves_to_its_runs_and_says_what_for_and_how_long(name):
    made = plan(name)
    assert len(made.runs) == RUNS[name] and str(made.output) == f"results/{name}"
    comment = " ".join(
        line.removeprefix("#") for line in (CONFIGS / f"{name}.yaml").read_text(encoding="utf-8").splitlines() if line[:1] == "#"
    )
    assert re.search(r"\?|every cell of the first table", comment) and re.search(r"minutes|hour|days", comment)
    assert name == "quick" or re.search(rf"\b{RUNS[name]} runs", comment) or name in ("xray", "gpu")


def test_the_suite_has_ten_bodies_and_keeps_those_apart_that_methods_were_set_on():
    made = plan("suite")
    assert len({run.dataset for run in made.runs}) == 10
    assert set(made.suite.tuning) == {"thorax", "phantom"} and made.suite.baseline == "fdk"
    sums = {name for name, spec in registry().methods.items() if "sum" in spec.composites}
    assert {run.method for run in made.runs} >= sums


def test_long_training_is_what_the_plan_says():
    settings = {run.method: run.method_params for run in plan("xray").runs}
    zerorf, naf = settings["zerorf"], settings["naf"]
    assert zerorf["render"] == naf["render"] == "rays"
    for params in (zerorf, naf):
        assert (params["rays"], params["rays_end"]) == (2048, 16384)
        assert (params["samples"], params["importance"], params["steps"], params["precision"]) == (256, 256, 10_000, "bfloat16")
    assert naf["epochs"] is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name if name in ("mip", "photographs") else pytest.param(name, marks=pytest.mark.network) for name in NAMES]
)
def test_every_plan_runs_in_small(tmp_path, name):
    small = ["--views", "5", "--size", "16", "--budget", "1s", "--in-process", "--no-report", "--output", str(tmp_path / name)]
    assert main(["run", "--config", name, *small]) == 0
    results = Results(tmp_path / name)
    optional = {"sart:tigre", "fdk:tigre", "naf:tcnn"}  # their engines are installed on few machines
    for record in results.records:
        assert record.status == "ok" or f"{record.spec.method}:{record.spec.preset}" in optional and "(install: " in record.reason
    assert len(results.records) == len(
        {(run.dataset, run.dataset_params.get("photons"), run.method, run.preset, str(_own(run))) for run in plan(name).runs}
    )


def _own(run) -> tuple[object, ...]:
    return tuple(run.dataset_params.get(key) for key in ("neuron", "frame", "kind"))
