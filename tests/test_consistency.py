"""Volumes and fields made consistent with the data."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from balls import ball_scan

from benchmark.api import ConeBeamGeometry, OrderedSubsets, Projector, Scan, averaged, parallel_distances
from benchmark.fields import corrections_memory, data_consistent, data_consistent_finer
from benchmark.fields.fitting import consistency

pytestmark = pytest.mark.usefixtures("one_thread")


def ramp(geometry: ConeBeamGeometry) -> torch.Tensor:
    """A field that grows along x, at the voxels' centres."""
    return torch.from_numpy(0.01 + 1e-5 * geometry.voxel_centres(2)).float().expand(geometry.volume_shape).contiguous()


def parallel(views: int, shape: tuple[int, int, int] = (4, 6, 6), pitch: float = 2.0) -> ConeBeamGeometry:
    """Quarter turns of parallel rays, one through the middle of each row of voxels: a line integral is a row's sum times `pitch`."""
    near, far = parallel_distances((shape[0], shape[1]), (pitch, pitch))
    return ConeBeamGeometry(
        source_to_origin=near,
        source_to_detector=far,
        detector_shape=shape[:2],
        detector_pitch=(pitch, pitch),
        volume_shape=shape,
        volume_spacing=(pitch,) * 3,
        angles=np.arange(views) * np.pi / 2,
    )


def noise(shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_a_residual_is_shared_evenly_by_the_voxels_of_its_ray() -> None:
    """By hand: a row of 6 voxels of 2 mm whose line integral is too small by r gains relaxation r / 12 mm in each of them."""
    geometry = parallel(views=1)
    volume = 0.01 + 0.01 * noise(geometry.volume_shape)
    sums = 2.0 * volume.sum(2)  # [z, y]: at angle 0 rays run along x, columns along y, rows along z
    residual = 0.001 + 0.01 * noise((4, 6), seed=1)
    scan, before = Scan((sums + residual)[None].numpy(), geometry), volume.clone()
    for relaxation in (1.0, 0.25):
        found = data_consistent(volume, scan, 1, relaxation=relaxation)
        expected = volume + relaxation * residual[:, :, None] / 12.0
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)  # not quite parallel
    usual = data_consistent(volume, scan, 1)
    torch.testing.assert_close(usual, volume + 0.3 * residual[:, :, None] / 12.0, rtol=1e-3, atol=1e-5)
    assert torch.equal(volume, before)  # the caller's own is left alone
    assert data_consistent(volume, scan, 0) is volume


def test_a_correction_is_by_so_many_views_and_no_others() -> None:
    geometry = parallel(views=2)
    scan = Scan(np.full(geometry.projection_shape, 0.3, np.float32), geometry)
    for count, views in (
        (1, 1),
        (2, 1),
        (1, 2),
    ):  # each voxel of an empty volume gets 0.3 / 12 mm by the first view, and nothing is left for the next
        found = data_consistent(torch.zeros(geometry.volume_shape), scan, count, views, relaxation=1.0)
        torch.testing.assert_close(found, torch.full_like(found, 0.025), rtol=1e-3, atol=0)
    uneven = Scan(np.stack([scan.projections[0], 3 * scan.projections[1]]), geometry)
    means = [float(data_consistent(torch.zeros(geometry.volume_shape), uneven, count, 1, relaxation=1.0).mean()) for count in (1, 2, 3, 4)]
    assert means == pytest.approx([0.025, 0.075] * 2, rel=1e-3)  # each view's own
    together = data_consistent(torch.zeros(geometry.volume_shape), uneven, 1, 2, relaxation=1.0)
    assert float(together.mean()) == pytest.approx(0.05, rel=1e-3)


def test_what_agrees_with_the_data_or_is_not_seen_stays_and_nothing_is_negative() -> None:
    scan, _ = ball_scan(views=6, size=12)
    volume = ramp(scan.geometry)
    agrees = dataclasses.replace(scan, projections=Projector(scan.geometry).forward(volume).numpy())
    torch.testing.assert_close(data_consistent(volume, agrees, 12, views=2), volume, rtol=1e-5, atol=1e-8)
    narrow = dataclasses.replace(scan.geometry, detector_shape=(18, 4))
    seen = Projector(narrow).adjoint(torch.ones(narrow.projection_shape)) > 0
    found = data_consistent(volume, Scan(np.zeros(narrow.projection_shape, np.float32), narrow), 60, relaxation=1.0)
    assert 0 < int(seen.sum()) < seen.numel() and torch.equal(found[~seen], volume[~seen])
    assert float(found.min()) >= 0 and float(found[seen].mean()) < 0.2 * float(volume[seen].mean())
    twice = dataclasses.replace(scan, projections=2 * scan.projections)  # a pure number: units of attenuation do not matter
    torch.testing.assert_close(data_consistent(2 * volume, twice, 7), 2 * data_consistent(volume, scan, 7), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("finer", [1, 2, 3])
def test_a_mean_is_corrected_on_the_finer_grid(finer: int) -> None:
    """A field whose detail is finer than the voxels and agrees with the data stays, which it would not if its mean were corrected."""
    scan, _ = ball_scan(views=10, size=8)
    fine = scan.geometry.with_volume((8 * finer,) * 3)
    detail, asked = 0.02 * noise(fine.volume_shape), []
    agrees = dataclasses.replace(scan, projections=Projector(fine).forward(detail).numpy())

    def sampled(geometry: ConeBeamGeometry) -> torch.Tensor:
        asked.append(geometry)
        return detail.clone()

    mean = torch.from_numpy(detail.numpy().reshape(8, finer, 8, finer, 8, finer).mean((1, 3, 5)))
    found = averaged(data_consistent_finer(sampled, agrees, 4, finer).numpy(), finer)
    assert [geometry.digest for geometry in asked] == [fine.digest]
    torch.testing.assert_close(torch.from_numpy(found), mean, rtol=1e-4, atol=1e-6)
    if finer > 1:
        assert float((data_consistent(mean, agrees, 4, views=5, relaxation=1.0) - mean).abs().max()) > 1e-4
    same = averaged(data_consistent_finer(ramp, scan, 0, finer).numpy(), finer)
    torch.testing.assert_close(torch.from_numpy(same), ramp(scan.geometry))  # the mean of a linear field is the field


def test_a_mean_is_corrected_by_five_views_at_a_time() -> None:
    """A constant volume takes the mean of five views, then of the other five."""
    geometry = parallel(views=10)
    sums = 0.1 * noise((10,)).numpy()
    scan = Scan(np.broadcast_to(sums[:, None, None], geometry.projection_shape), geometry)
    empty = torch.zeros(geometry.volume_shape)
    first, second, third = (float(data_consistent_finer(lambda fine: empty, scan, count, 1).mean()) for count in (1, 2, 3))
    assert (first + second) / 2 == pytest.approx(sums.mean() / 12, rel=1e-3) and third == pytest.approx(first, rel=1e-3)
    assert abs(first - second) > 0.05 * first


def test_what_is_kept_is_a_question_of_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A volume too large to keep everything for is corrected slab by slab: the same numbers, whatever else takes memory."""
    scan, _ = ball_scan(views=10, size=8)
    expected, rooms = data_consistent_finer(ramp, scan, 3, 2), []
    of = consistency.OrderedSubsets

    def watched(scan: Any, views: int, memory_bytes: int, device: Any) -> OrderedSubsets:
        rooms.append(memory_bytes)
        return of(scan, views, memory_bytes, device)

    monkeypatch.setattr(consistency, "OrderedSubsets", watched)
    monkeypatch.setattr(consistency, "memory_mb", lambda: 1000.0)
    data_consistent_finer(ramp, scan, 3, 2)
    monkeypatch.setattr(consistency, "memory_mb", lambda: 3000.0)
    assert torch.equal(data_consistent_finer(ramp, scan, 3, 2), expected)
    assert rooms[1] - rooms[0] == 2000 << 20  # what the process has already is not counted


def test_the_memory_of_corrections_is_that_of_the_volumes_and_the_column_sums() -> None:
    scan, _ = ball_scan(views=10, size=8)
    volume, pixels = 4 * 8**3, 4 * 10 * 12 * 12
    assert corrections_memory(scan, 0) == 6 * volume + 3 * pixels
    assert corrections_memory(scan, 200) == 16 * volume + 3 * pixels
    assert corrections_memory(scan, 80, 2, together=True) == (6 + 2) * 8 * volume + 3 * pixels
