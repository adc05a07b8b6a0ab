"""Work is counted where the kernels are called, the same for every method, and what the harness does itself is not."""

from __future__ import annotations

import timeit

import numpy as np
import pytest
import torch

from benchmark.api import Projector, Rays, filtered_backprojection, line_integral, march
from benchmark.machine import counters
from benchmark.records.frame import row
from benchmark.runtime.context import Run
from benchmark.scan.geometry import ConeBeamGeometry


@pytest.fixture
def geometry():
    counters.reset()
    return ConeBeamGeometry(
        source_to_origin=500.0,
        source_to_detector=800.0,
        detector_shape=(8, 10),
        detector_pitch=(10.0, 10.0),
        volume_shape=(8, 8, 8),
        volume_spacing=(4.0, 4.0, 4.0),
        angles=np.arange(6) * np.pi / 3,
    )


def test_views_of_a_and_of_its_transpose_gradients_included(geometry):
    projector = Projector(geometry)
    volume = torch.ones(8, 8, 8, requires_grad=True)
    projector.forward(volume).sum().backward()
    assert counters.totals() == {"adjoint_views": 6, "forward_views": 6}
    projector.subset([0, 2]).adjoint(torch.ones(2, 8, 10))
    assert counters.totals() == {"adjoint_views": 8, "forward_views": 6}


def test_the_backprojection_of_fdk_counts_once(geometry):
    filtered_backprojection(np.ones((6, 8, 10)), geometry)
    assert counters.totals() == {"adjoint_views": 6}


def test_samples_along_rays(geometry):
    rays = Rays(torch.tensor([[-50.0, 0, 0], [0, 0, -90.0], [0, 90.0, 0]]), torch.tensor([[1.0, 0, 0], [0, 0, 1.0], [1.0, 0, 0]]))
    bounds = [[-16.0, -16, -16], [16, 16, 16]]
    seen = []
    line_integral(lambda positions: (seen.append(len(positions)), positions[:, 0] * 0)[1], rays, bounds, samples=7, chunk=8)
    assert counters.totals() == {"ray_samples": 14} and sum(seen) == 14  # the third ray misses
    march(rays, bounds, step=4.0)
    assert counters.totals() == {"ray_samples": 14 + 2 * 8}


def test_what_the_harness_asks_for_does_not_count(geometry):
    projector = Projector(geometry)
    run = Run(on_snapshot=lambda step, seconds, volume: None)
    for _ in run.steps(2):
        run.snapshot(lambda: (projector.forward(torch.ones(8, 8, 8)), np.zeros((8, 8, 8)))[1])
    assert counters.totals() == {}


def test_counting_costs_nothing_to_speak_of(geometry):
    """Less than a percent of the cheapest kernel call there is."""
    volume, projector = torch.ones(8, 8, 8), Projector(geometry)
    call = min(timeit.repeat(lambda: projector.forward(volume), number=50, repeat=5)) / 50
    count = min(timeit.repeat(lambda: counters.count("forward_views", 6), number=1000, repeat=5)) / 1000
    assert count < 0.02 * call


def test_the_record_and_the_table_have_them(tmp_path):
    from tiny import sweep

    record = sweep(tmp_path, "grey", {"working": {}}).records[1]
    assert record.counters == {"adjoint_views": 2, "forward_views": 8}
    assert row(record)["projections"] == 2.0 and row(record)["backprojections"] == 0.5 and row(record)["ray_samples"] == 0
