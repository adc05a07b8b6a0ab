"""The speed ratios: what is measured is right, and how it is measured."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import itertools
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.api import SpeedSpec, hookimpl
from benchmark.cli import main
from benchmark.errors import InputError
from benchmark.fields import tiny_cuda
from benchmark.plugins.registry import Registry, load
from benchmark.plugins.specs import resolve
from benchmark.projection import tigre
from benchmark.projection.compositing import composite_rays_xray
from benchmark.projection.marching import march
from benchmark.projection.projector import Projector
from benchmark.projection.rays import view_rays
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.speed import cpu, gpu


@pytest.fixture
def small(monkeypatch) -> ConeBeamGeometry:
    monkeypatch.setattr(cpu, "BUSY_STEPS", 2)
    geometry = ConeBeamGeometry(
        source_to_origin=1000.0,
        source_to_detector=1500.0,
        detector_shape=(16, 18),
        detector_pitch=(24.0, 24.0),
        volume_shape=(16, 16, 16),
        volume_spacing=(16.0, 16.0, 16.0),
        angles=np.linspace(0, 2 * np.pi, 4, endpoint=False) + 0.1,
    )
    monkeypatch.setattr(cpu, "standard_geometry", lambda: geometry)
    return geometry


def test_the_ratio_is_ours_over_the_other_alternating(monkeypatch):
    """A clock that only the compared functions move: 2 seconds against 8, then 4 against 8 on a machine that slows down, ..."""
    now, calls = [0.0], []

    def spends(name: str, seconds):
        def function() -> None:
            calls.append(name)
            now[0] += next(seconds)

        return function

    monkeypatch.setattr(cpu.time, "process_time", lambda: now[0])
    ours, other = spends("ours", itertools.cycle([99.0, 2.0, 4.0, 6.0])), spends("other", itertools.cycle([99.0, 8.0, 8.0, 8.0]))
    assert cpu.compare(ours, other, repeats=3) == 0.5
    assert calls == ["ours", "other"] * 4
    calls.clear()
    assert cpu.compare(spends("ours", itertools.repeat(1.0)), spends("other", itertools.repeat(4.0)), repeats=2, calls=3) == 0.25
    assert calls == ["ours", "other", *(["ours"] * 3 + ["other"] * 3) * 2]


def test_measure_joins_all_parts_on_one_thread_and_restores_the_setting(monkeypatch):
    before, seen = torch.get_num_threads(), []
    monkeypatch.setattr(cpu, "MEASUREMENTS", [lambda: {"a": float(torch.get_num_threads())}, dict, lambda: {"b": 0.5}])
    torch.set_num_threads(2)
    try:
        assert cpu.measure(Registry()) == {"a": 1.0, "b": 0.5}
        seen.append(torch.get_num_threads())
        monkeypatch.setattr(cpu, "MEASUREMENTS", [lambda: 1 / 0])
        with pytest.raises(ZeroDivisionError):
            cpu.measure(Registry())
        seen.append(torch.get_num_threads())
    finally:
        torch.set_num_threads(before)
    assert seen == [2, 2]


def test_ratios_of_plugins_are_numbers_or_pairs_to_compare(monkeypatch):
    """In the order in which they were registered; who has only a step of training for GPUs adds none."""

    class Plugin:
        @hookimpl
        def register_speed(self):
            pair = (lambda: sum(range(20_000)), lambda: sum(range(20_000)))
            return [
                SpeedSpec(name="mine", ratios=lambda: {"number": 0.25, "pair": pair}),
                SpeedSpec(name="gpu_only", training_step=lambda device, size: (lambda: None, {})),
            ]

    registry = Registry()
    registry.add(Plugin(), "plugin")
    monkeypatch.setattr(cpu, "MEASUREMENTS", [lambda: {"ours": 1.0}])
    ratios = cpu.measure(registry)
    assert registry.problems == [] and list(registry.speed) == ["mine", "gpu_only"]
    assert list(ratios) == ["ours", "number", "pair"] and ratios["number"] == 0.25 and 0.1 < ratios["pair"] < 10


def test_the_measurements_of_our_methods_can_be_had():
    found = load().speed
    assert list(found) == ["naf", "zerorf"]
    for spec in found.values():
        assert callable(resolve(spec.ratios)) and callable(resolve(spec.training_step))


def test_every_ratio_is_a_positive_number_with_a_name(small):
    ratios = cpu.measure(Registry())
    expected = {"projector_forward_over_plain", "projector_adjoint_over_plain", "march_over_torch", "composite_step_over_torch"}
    expected |= {"gaussians_step_over_torch", "splat_step_over_torch", "busy_machine_over_quiet"}
    assert expected <= set(ratios)
    assert all(isinstance(value, float) and 0 < value < 1000 for value in ratios.values())
    assert json.loads(json.dumps(ratios)) == ratios


def test_the_busy_ratio_is_wall_time_beside_a_loop_for_each_core_over_quiet_on_all_threads(monkeypatch, one_thread):
    """A clock that a step moves by 1 second, and by 3 while the loops run."""
    now, loops, seen = [0.0], [], []

    def step() -> None:
        now[0] += 3.0 if loops else 1.0
        seen.append(torch.get_num_threads())

    @contextlib.contextmanager
    def busy(count: int) -> Iterator[None]:
        loops.extend(range(count))
        yield
        assert len(loops) == 5
        loops.clear()

    for name, value in {"_field_step": lambda: step, "_busy_loops": busy, "available_cores": lambda: 5, "REPEATS": 2}.items():
        monkeypatch.setattr(cpu, name, value)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(cpu.time, "perf_counter", lambda: now[0])
    assert cpu.busy_machine_over_quiet() == {"busy_machine_over_quiet": 3.0}
    assert set(seen) == {5} and torch.get_num_threads() == 1


def test_busy_loops_compute_and_end():
    def seconds() -> float:
        return sum(os.times()[2:4])  # of children that have ended

    before = seconds()
    with cpu._busy_loops(2) as loops:
        time.sleep(0.3)
    assert len(loops) == 2 and all(loop.returncode is not None for loop in loops)
    assert seconds() > before


def test_the_torch_march_that_ours_is_compared_with_does_the_same(small, monkeypatch):
    # Bin centres, as without jitter.
    monkeypatch.setattr(torch, "rand", lambda *shape, dtype, generator: torch.full(shape, 0.5, dtype=dtype))
    rays, bounds = view_rays(small), small.volume_bounds
    expected = march(rays, bounds, samples=cpu.SAMPLES)
    positions, ts = cpu._torch_march(rays, torch.from_numpy(bounds).float(), torch.Generator())
    assert len(expected.positions) > 10000
    torch.testing.assert_close(positions, expected.positions, rtol=0, atol=5e-3)
    torch.testing.assert_close(ts, expected.ts, rtol=1e-4, atol=5e-3)
    hit = expected.rays[:, 1] > 0
    mu = torch.sin(positions[:, 0])
    dense = torch.zeros(len(rays)).masked_scatter(hit, (mu.view(-1, cpu.SAMPLES) * ts[:, 1].view(-1, cpu.SAMPLES)).sum(1))
    torch.testing.assert_close(composite_rays_xray(mu, expected.ts, expected.rays), dense, rtol=1e-3, atol=5e-2)


def test_without_rtk_its_ratios_are_left_out(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert cpu.projector_over_rtk() == {}


@pytest.mark.skipif(importlib.util.find_spec("itk") is None, reason="itk-rtk is not installed")
def test_rtk_computes_the_same_projections(small):
    assert set(cpu.projector_over_rtk()) == {"projector_forward_over_rtk", "projector_adjoint_over_rtk"}


@pytest.mark.slow
def test_the_separable_path_is_as_fast_as_it_should_be():
    ratios = cpu.projector_over_plain()
    assert ratios["projector_forward_over_plain"] < 0.4
    assert ratios["projector_adjoint_over_plain"] < 0.48


# -- on a GPU: the same on the CPU, without what is not installed --------------------------------------------------------


def test_the_gpu_table_says_what_was_measured_and_what_could_not_be(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu, "RAYS", 16)
    monkeypatch.setattr(gpu, "SAMPLES", 8)
    monkeypatch.setattr(gpu, "REPEATS", 1)
    monkeypatch.setattr(gpu, "MATRIX", 64)
    for module in (gpu, tigre, tiny_cuda):
        monkeypatch.setattr(module, "missing_modules", list)
    rows = list(gpu.measure("cpu", load().speed.values(), size=12, views=3, training_size=12))
    measured = [row for row in rows if not row.skipped]
    steps = [f"{name}: a step of training, 12^3 voxels" for name in ("naf", "zerorf")]
    assert [row.name for row in measured] == ["A", "A^T", "A", "A^T", "field step", *steps]
    assert ["bandwidth" in row.other for row in measured[:4]] == [True, True, False, False]
    assert {row.other for row in measured[5:]} == {"the same in plain torch"}
    assert all(row.milliseconds > 0 and row.ratio > 0 for row in measured)
    skipped = {row.other: row.skipped for row in rows if row.skipped}
    assert "needs tigre (install: pip install" in skipped["tigre, the way from and to the host included"]
    assert "pip install astra-toolbox" in skipped["astra"]
    assert "needs tinycudann (install: pip install" in skipped["tinycudann"]
    assert [row.name for row in rows if row.other == "tinycudann"] == ["field step", steps[0]]
    page = tmp_path / "page.md"
    page.write_text(f"before\n{gpu.BEGIN}\n\nold\n\n{gpu.END}\nafter\n")
    for _ in range(2):
        gpu.write(page, gpu.markdown(rows, "a machine"))
    text = page.read_text()
    assert text.startswith(f"before\n{gpu.BEGIN}\n\nMeasured by") and text.endswith(f"{gpu.END}\nafter\n")
    assert "old" not in text and text.count("| A |") == 2 and text.count("| A, A^T |  | astra | needs astra") == 1


def test_what_a_plugin_breaks_in_the_gpu_table_is_a_row(monkeypatch):
    def broken(device, size):
        raise RuntimeError("out of memory")

    for part in ("_projector", "_field"):
        monkeypatch.setattr(gpu, part, lambda *_: iter(()))
    steps = {"broken": broken, "alone": lambda device, size: (lambda: None, {})}
    specs = [SpeedSpec(name=name, training_step=step) for name, step in steps.items()]
    broken_row, alone = gpu.measure("cpu", specs, training_size=12)
    assert (broken_row.skipped, broken_row.milliseconds) == ("RuntimeError: out of memory", None)
    assert alone.name.startswith("alone: a step of training") and alone.milliseconds >= 0 and not alone.skipped
    table = gpu.markdown([broken_row, alone], "a machine")
    assert f"| alone: a step of training, 12^3 voxels | {alone.milliseconds:.3g} |  |  |" in table


def test_planes_are_counted_along_the_main_axis_of_each_ray():
    """Of rays so far from the source that they are parallel: 12 along an axis, and less than that many at 45 degrees."""
    geometry = dataclasses.replace(gpu.problem(12, 1), source_to_origin=1e6, source_to_detector=1.0001e6)
    inside = sum(abs(u) < 128 - 10.7 for u in (np.arange(12) - 5.5) * 400 / 12)  # rays that cross the whole cube; the next miss its faces
    assert gpu.planes_crossed(Projector(geometry), "cpu") == pytest.approx(12 * inside**2, rel=1e-3)
    oblique = dataclasses.replace(geometry, angles=np.array([np.pi / 4]))
    lengths = Projector(oblique).forward(torch.ones(12, 12, 12)) / geometry.volume_spacing[0]
    assert gpu.planes_crossed(Projector(oblique), "cpu") == pytest.approx(float(lengths.sum()) / np.sqrt(2), rel=1e-3)


def test_a_limit_is_what_the_rates_say(monkeypatch):
    """A device that copies in 2 ms, does 10^6 operations a ms and takes 8 ms for everything else."""
    monkeypatch.setattr(gpu, "planes_crossed", lambda projector, device: 1e6)
    monkeypatch.setattr(gpu, "operations_per_millisecond", lambda device: 1e6)
    times = iter([8.0, 8.0, 2.0])
    monkeypatch.setattr(gpu, "median", lambda call, device, repeats=1: next(times))
    limits = list(itertools.islice(gpu._projector("cpu", 8, 2), 4))
    assert [row.ratio for row in limits] == [8.0, 8.0, 8 / gpu.OPERATIONS, 8 / gpu.OPERATIONS]


def test_the_page_has_a_place_for_the_table_and_others_are_refused(tmp_path):
    page = (Path(__file__).parent.parent / "docs" / "performance.md").read_text()
    assert page.count(gpu.BEGIN) == page.count(gpu.END) == 1
    (tmp_path / "other.md").write_text("nothing")
    with pytest.raises(InputError, match="other.md: expected a page with the lines.*found no such lines"):
        gpu.write(tmp_path / "other.md", "table")


def test_a_table_of_the_cpu_is_not_written(capsys):
    assert main.main(["speed", "--write", "page.md"]) == 2
    assert "--write: expected a CUDA device" in capsys.readouterr().err


def test_a_small_projection_is_the_same_everywhere(device):
    assert gpu.difference_from_cpu(device) < 1e-5


@pytest.mark.gpu
def test_times_are_those_of_the_device(cuda):
    """A matrix product of 4096^2 takes a GPU more than a call takes the host."""
    matrix = torch.rand(4096, 4096, device=cuda)
    assert gpu.median(lambda: [matrix @ matrix for _ in range(20)], cuda, 3) > 1.0
