"""Ray batches: chosen for the free memory, halved when it runs out, and said. The line with which a run begins."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from balls import scanner

from benchmark.api import Params, Scan
from benchmark.cli.main import main
from benchmark.execution.attempt import start_line
from benchmark.execution.eligibility import least_memory
from benchmark.fields.fitting.ray_batch import RayBatch, most_rays, out_of_memory
from benchmark.machine.memory import free_memory
from benchmark.methods.fdk import FdkParams
from benchmark.methods.naf import NafParams
from benchmark.methods.zerorf import ZeroRFParams


@pytest.mark.parametrize("gib, rays", [(80, 65536), (24, 65536), (23.9, 32768), (16, 16384), (12, 8192), (3, 1024), (0.1, 1024)])
def test_rays_follow_the_free_memory(gib: float, rays: int) -> None:
    assert most_rays(gib) == rays


def test_free_memory_is_less_than_the_machine_has() -> None:
    import os

    assert 0 < free_memory() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def test_what_does_not_fit_is_said_once() -> None:
    batch = RayBatch()
    batch.most = 2048
    assert [batch.allowed(65536), batch.allowed(65536), batch.allowed(100)] == [2048, 2048, 100]
    assert len(batch.notes) == 1 and "2048 rays a step instead of 65536" in batch.notes[0]


def test_running_out_of_memory_halves_the_batch_and_goes_on() -> None:
    batch, used = RayBatch(), []
    batch.most = 1000

    def step() -> int:
        used.append(batch.allowed(1 << 16))
        if used[-1] > 300:
            torch.empty(1 << 60)  # really does not fit
        return used[-1]

    assert batch.attempt(step, 1 << 16) == 250
    assert used == [1000, 500, 250]
    assert "goes on with 250" in batch.notes[-1]


def test_other_errors_and_hopeless_ones_are_raised() -> None:
    batch = RayBatch()
    with pytest.raises(RuntimeError, match="shape"):
        batch.attempt(_wrong_shape, 1024)
    with pytest.raises(RuntimeError) as caught:
        batch.attempt(lambda: torch.empty(1 << 60), 40)
    assert out_of_memory(caught.value)


def _wrong_shape() -> None:
    raise RuntimeError("shape")


# -- what a run begins with ---------------------------------------------------------------------------------------------


def test_a_run_begins_with_its_memory_and_its_precision() -> None:
    """By hand: 300 MiB for the process, and each twice the 7 x 20^2 pixels and the 10^3 voxels, 4 bytes each."""
    scan = Scan(np.zeros((7, 20, 20)), geometry := scanner(views=7, size=10, detector_shape=(20, 20)))
    needed = 300 * 2**20 + 4 * (2 * 7 * 20**2 + 2 * 10**3)
    assert least_memory(geometry) == needed
    said = re.compile(rf"cpu: \d+(\.\d GB| MB) of memory free, at least {math.ceil(needed / 1e6)} MB needed")
    plain = start_line(scan, FdkParams(), "cpu", None)
    assert said.fullmatch(plain)
    assert re.fullmatch(said.pattern + r"; AMP off \(float32\)", start_line(scan, NafParams(), "cpu", None))
    assert start_line(scan, ZeroRFParams(precision="bfloat16"), "cpu", None).endswith("; AMP on (bfloat16)")
    assert start_line(scan, NafParams(engine="tinycudann"), "cpu", None).endswith("; half precision by tiny-cuda-nn")
    vast = dataclasses.replace(scan, geometry=geometry.with_volume((4000,) * 3))
    assert start_line(vast, FdkParams(), "cpu", None).endswith("at least 512.3 GB needed: too little")
    estimated = start_line(scan, FdkParams(), "cpu", f"{__name__}:estimate")
    assert estimated.endswith(f"of memory free, about {math.ceil((300 * 2**20 + 10**8) / 1e6)} MB needed")


def estimate(scan: Scan, params: Params) -> float:
    return 1e8


def test_the_line_is_shown_when_the_run_begins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--datasets", "ball", "--size", "8", "--views", "3", "--methods", "fdk", "--no-report", "--in-process"]
    assert main(["run", *arguments, "--output", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    begin = next(index for index, line in enumerate(lines) if line.endswith("fdk ..."))
    assert re.fullmatch(r"\[1/1\]   \w+(:\d)?: .* of memory free, at least \d+ MB needed", lines[begin + 1])
