"""Under a memory cap: slabs and a few views at a time give the numbers of the whole, from a scan that stays on the disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from balls import ball_scan, scanner
from tiny import sweep

from benchmark.api import InputError, Projector, Run, Scan
from benchmark.errors import Mistakes
from benchmark.execution.options import Options
from benchmark.machine.memory import BASE_MEMORY, memory_bytes
from benchmark.methods.fdk import FdkParams
from benchmark.methods.fdk.reconstruct import reconstruct as run_fdk
from benchmark.methods.sart import SartParams
from benchmark.methods.sart.reconstruct import reconstruct as run_sart
from benchmark.projection import slabs
from benchmark.projection.slabs import SlabProjector, cut, with_rows
from benchmark.storage import mapped

ORBITS: list[dict[str, Any]] = [
    {},
    dict(volume_offset=(7.0, -5.0, 3.0), detector_offset=(-6.0, 4.0), axis_shift=2.0),
    dict(arc=210.0, views=17),
    dict(axis_shift=np.linspace(-1, 1, 20)),
]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Room for so many bytes, whatever this process takes already."""

    def limit(count: float) -> int:
        monkeypatch.setattr(slabs, "memory_mb", lambda: 0.0)
        return int(count) + slabs.SPARE

    return limit


def on_disk(scan: Scan, folder: Path) -> Scan:
    np.save(folder / "projections.npy", scan.projections)
    return Scan(np.load(folder / "projections.npy", mmap_mode="r"), scan.geometry)


def test_slabs_fill_the_volume() -> None:
    geometry = scanner(size=24, volume_offset=(7.0, -5.0, 3.0))
    parts = cut(geometry, 7)
    assert [(part.begin, part.end) for part in parts] == [(0, 6), (6, 12), (12, 18), (18, 24)]
    centres = np.concatenate([part.geometry.voxel_centres(0) for part in parts])
    np.testing.assert_allclose(centres, geometry.voxel_centres(0), atol=1e-9)
    for axis in (1, 2):
        np.testing.assert_array_equal(parts[0].geometry.voxel_centres(axis), geometry.voxel_centres(axis))


def test_rows_keep_their_place() -> None:
    geometry = scanner(detector_offset=(-6.0, 4.0))
    part, whole = with_rows(geometry, slice(5, 12)).vectors(), geometry.vectors()
    first = whole[:, 1] + (5 - 17.5) * whole[:, 3]
    np.testing.assert_allclose(part[:, 1] - 3 * part[:, 3], first, atol=1e-9)
    np.testing.assert_allclose(part[:, 2:], whole[:, 2:])


@pytest.mark.parametrize("orbit", [*ORBITS, dict(detector_yaw=0.1, detector_roll=0.2), dict(source_height=np.linspace(-9, 9, 20))])
@pytest.mark.parametrize("thickness", [1, 5, 24])
def test_the_projector_of_slabs_is_the_projector(orbit: dict[str, Any], thickness: int) -> None:
    geometry = scanner(**orbit)
    random = torch.Generator().manual_seed(0)
    volume, data = torch.rand(geometry.volume_shape, generator=random), torch.rand(geometry.projection_shape, generator=random)
    whole, parts = Projector(geometry), SlabProjector.of(geometry, thickness)
    torch.testing.assert_close(parts.forward(volume), whole.forward(volume), rtol=2e-5, atol=2e-3)
    back = torch.cat([part for _, part in parts.adjoint(data)])
    torch.testing.assert_close(back, whole.adjoint(data), rtol=2e-5, atol=2e-3)


@pytest.mark.parametrize("orbit", ORBITS)
@pytest.mark.parametrize(("room", "in_file"), [(3e5, True), (8e5, False)])
def test_fdk_in_pieces_to_float_rounding(orbit: dict[str, Any], room: float, in_file: bool, small: Any, tmp_path: Path) -> None:
    scan, _ = ball_scan(**orbit, volume_shape=(48, 48, 48), volume_spacing=(4.0, 4.0, 4.0))
    whole = run_fdk(scan, FdkParams(), Run())
    pieces = run_fdk(on_disk(scan, tmp_path), FdkParams(), Run(memory_bytes=small(room), scratch=tmp_path))
    assert pieces.info["slabs"] > 1 and pieces.info["views_at_a_time"] < scan.geometry.views
    np.testing.assert_allclose(pieces.volume, whole.volume, atol=2e-5 * whole.volume.max())
    assert (mapped.file_map(pieces.volume) is not None) == in_file
    assert [path.name for path in tmp_path.iterdir()] == ["projections.npy"]


def test_a_cap_that_is_no_limit_changes_no_bit(tmp_path: Path) -> None:
    scan, _ = ball_scan()
    run = Run(memory_bytes=1 << 40)
    pairs: tuple[Any, ...] = ((run_fdk, FdkParams()), (run_sart, SartParams(iterations=2)))
    for method, params in pairs:
        np.testing.assert_array_equal(method(on_disk(scan, tmp_path), params, run).volume, method(scan, params, Run()).volume)


@pytest.mark.parametrize("orbit", [*ORBITS, dict(detector_yaw=0.1)])
@pytest.mark.parametrize("subset", [1, 6])
def test_sart_in_slabs_to_float_rounding(orbit: dict[str, Any], subset: int, small: Any, tmp_path: Path) -> None:
    scan, _ = ball_scan(noise=0.01, **orbit)
    params = SartParams(iterations=3, subset=subset)
    whole = run_sart(scan, params, Run())
    views = 8 * 4 * 36 * 36 * subset
    room = 4 * (24**3 + (slabs.PADDING + 5 * 7) * 24**2) + views
    pieces = run_sart(on_disk(scan, tmp_path), params, Run(memory_bytes=small(room)))
    assert pieces.info["slabs"] >= 3 and "slabs" not in whole.info
    np.testing.assert_allclose(pieces.volume, whole.volume, atol=2e-5 * whole.volume.max())


def test_less_than_the_smallest_pieces_is_an_error_before_any_work(small: Any) -> None:
    scan, _ = ball_scan()
    pairs: tuple[Any, ...] = ((run_fdk, FdkParams()), (run_sart, SartParams()))
    for method, params in pairs:
        with pytest.raises(InputError, match=r"--memory: expected at least \d+ MB for this scan in its smallest pieces, found 51 MB"):
            method(scan, params, Run(memory_bytes=small(1000)))


def test_a_scan_on_the_disk_is_not_copied(tmp_path: Path) -> None:
    scan, _ = ball_scan()
    mapped_scan = on_disk(scan, tmp_path)
    assert mapped.is_read_only_file(mapped_scan.projections) and type(mapped_scan.projections) is np.ndarray
    assert mapped_scan.digest == scan.digest
    with pytest.raises(ValueError, match="read-only"):
        mapped_scan.projections[0] = 0
    with pytest.raises(ValueError, match="WRITEABLE"):
        mapped_scan.projections.setflags(write=True)
    writable = np.load(tmp_path / "projections.npy", mmap_mode="r+")
    assert mapped.file_map(Scan(writable, scan.geometry).projections) is None  # somebody could change it: copied
    writable[3, 4, 5] = writable[7, 0, 0] = np.nan
    with pytest.raises(InputError, match=r"found 2 NaN or Inf, the first at \[view, v, u\] = \(3, 4, 5\)"):
        Scan(np.load(tmp_path / "projections.npy", mmap_mode="r"), scan.geometry)


def test_what_is_let_go_is_still_there(tmp_path: Path) -> None:
    volume = mapped.zeros((4, 5, 6), tmp_path)
    volume[2] = 7
    mapped.release(volume)
    assert volume.sum() == 7 * 30 and list(tmp_path.iterdir()) == []


def test_methods_that_take_a_scan_whole_are_skipped_and_those_in_pieces_say_what_they_need(tmp_path: Path) -> None:
    here = Options(device="cpu", in_process=True)
    for record in sweep(tmp_path, "grey", "cgls", options=replace(here, memory_bytes=BASE_MEMORY)).records:
        assert record.status == "skipped"
        assert record.reason == "takes scan and volume whole: at least 315 MB of memory, more than --memory 315 MB"
    (none,) = sweep(tmp_path / "less", "fdk", options=replace(here, memory_bytes=10**7)).records
    assert none.status == "failed" and none.reason.startswith("--memory: expected at least ")


@pytest.mark.parametrize(("text", "count"), [("8GB", 8 * 10**9), ("1.5 GiB", 3 << 29), ("500mb", 5 * 10**8), ("400000000", 4 * 10**8)])
def test_amounts_of_memory(text: str, count: int) -> None:
    assert memory_bytes(text, "--memory", Mistakes()) == count


@pytest.mark.parametrize("text", ["8", "GB", "-1GB", "8 apples", "1e3GB", "10MB"])
def test_no_amounts_of_memory(text: str) -> None:
    mistakes = Mistakes()
    assert memory_bytes(text, "--memory", mistakes) is None
    with pytest.raises(InputError, match="--memory: expected memory such as 8GB or 500MiB, 315 MB at least, found"):
        mistakes.raise_if_any("command line")
