"""Volumes and fields made consistent with the data."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from balls import ball_scan

from benchmark.api import ConeBeamGeometry, OrderedSubsets
from benchmark.fields import data_consistent, data_consistent_mean
from benchmark.fields.fitting import consistency

pytestmark = pytest.mark.usefixtures("one_thread")


def ramp(geometry: ConeBeamGeometry) -> torch.Tensor:
    """A field that grows along x, at the voxels' centres."""
    return torch.from_numpy(0.01 + 1e-5 * geometry.voxel_centres(2)).float().expand(geometry.volume_shape).contiguous()


def test_corrections_are_those_of_sart() -> None:
    scan, _ = ball_scan(views=6, size=12)
    volume, expected, subsets = ramp(scan.geometry), ramp(scan.geometry), OrderedSubsets(scan, 2)
    for index in range(5):
        subsets.correct(expected, index, 0.7)
    assert torch.equal(data_consistent(volume, scan, 5, views=2, relaxation=0.7), expected)
    assert torch.equal(volume, ramp(scan.geometry))  # the caller's own is left alone
    assert data_consistent(volume, scan, 0) is volume


@pytest.mark.parametrize("finer", [1, 2, 3])
def test_a_mean_is_corrected_on_the_finer_grid(finer: int) -> None:
    """Fields are asked for at the finer voxels, corrected there by five views at a time, and averaged over each voxel."""
    scan, _ = ball_scan(views=10, size=8)
    asked: list[ConeBeamGeometry] = []

    def sampled(geometry: ConeBeamGeometry) -> torch.Tensor:
        asked.append(geometry)
        return ramp(geometry)

    found = data_consistent_mean(sampled, scan, 3, finer).numpy()
    (fine,) = asked
    assert fine.volume_shape == (8 * finer,) * 3 and np.allclose(fine.volume_bounds, scan.geometry.volume_bounds)
    volume, subsets = ramp(fine), OrderedSubsets(dataclasses.replace(scan, geometry=fine), 5)
    for index in range(3):
        subsets.correct(volume, index, 1.0)
    np.testing.assert_allclose(found, volume.numpy().reshape(8, finer, 8, finer, 8, finer).mean((1, 3, 5)), rtol=1e-5, atol=1e-9)
    uncorrected = data_consistent_mean(ramp, scan, 0, finer)
    torch.testing.assert_close(uncorrected, ramp(scan.geometry))  # the mean of a linear field is the field
    assert float((uncorrected - torch.from_numpy(found)).abs().max()) > 1e-3


def test_what_is_kept_is_a_question_of_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A volume too large to keep everything for is corrected slab by slab: the same numbers, whatever else takes memory."""
    scan, _ = ball_scan(views=10, size=8)
    expected, rooms = data_consistent_mean(ramp, scan, 3, 2), []
    of = consistency.OrderedSubsets

    def watched(scan: object, views: int, memory_bytes: int, device: object) -> OrderedSubsets:
        rooms.append(memory_bytes)
        return of(scan, views, memory_bytes, device)

    monkeypatch.setattr(consistency, "OrderedSubsets", watched)
    monkeypatch.setattr(consistency, "memory_mb", lambda: 1000.0)
    data_consistent_mean(ramp, scan, 3, 2)
    monkeypatch.setattr(consistency, "memory_mb", lambda: 3000.0)
    assert torch.equal(data_consistent_mean(ramp, scan, 3, 2), expected)
    assert rooms[1] - rooms[0] == 2000 << 20  # what the process has already is not counted
