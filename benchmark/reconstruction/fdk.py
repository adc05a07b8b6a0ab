"""Filtered backprojection for circular cone-beam scans: the fast reference for every sparse-view method."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark.errors import InputError
from benchmark.kernels.dispatch import call
from benchmark.machine import counters
from benchmark.projection.filters import FilterName, filter_rows, padded_length
from benchmark.projection.slabs import Room, Slab, cut, empty_volume, with_rows
from benchmark.reconstruction.redundancy import redundancy
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.storage import mapped


def filtered_backprojection(
    projections: np.ndarray,
    geometry: ConeBeamGeometry,
    *,
    filter: FilterName = "hann",
    cutoff: float = 1.0,
    nonnegative: bool = False,
    memory_bytes: int | None = None,
    folder: Path | None = None,
    device: torch.device | str = "cpu",
) -> tuple[np.ndarray, dict[str, Any]]:
    """Reconstruct by FDK: the volume [z, y, x] [1/mm], and notes for the record about redundant or missing rays.

    Cosine weights, windowed ramp along u, redundancy weights, 1 / U^2 backprojection (Feldkamp, Davis, Kress 1984, doi
    10.1364/JOSAA.1.000612); detector offsets, an axis off centre (Gullberg et al. 1986, doi 10.1109/TMI.1986.4307736), irregular
    angles, gaps, short scans and displaced detectors are corrected for. `projections` are line integrals [view, v, u]. `cutoff` (0 .. 1] is
    relative to Nyquist of the coarser of voxels and detector pixels (at the axis). `nonnegative` sets negative values to 0.

    Where this process would exceed `memory_bytes`, the volume is made slab by slab from a few views at a time: the same numbers to float
    rounding; a volume larger than two thirds of the remaining memory lies in a file in `folder`. `device` does the work; the volume
    comes back to the host. Raises InputError for orbits that are not circular and for less memory than the smallest pieces need.
    """
    why = not_circular(geometry)
    if why:
        raise InputError("geometry", expected="a circular orbit with an upright detector", found=why)
    weights = redundancy(geometry)
    factors = weights.weights[:, None].astype(np.float32)
    # Filtered projections extend beyond the detector: a displaced detector needs them on its short side.
    before, after = _columns_beyond(geometry)
    pixel = geometry.detector_pitch[1] / geometry.magnification  # [mm] at the axis
    window = cutoff * min(1.0, pixel / max(geometry.volume_spacing[1:]))

    def part(projections: np.ndarray, geometry: ConeBeamGeometry, factors: np.ndarray) -> np.ndarray:
        weighted = torch.from_numpy(np.asarray(projections, dtype=np.float32) * cosine_weights(geometry)).to(device)
        weighted *= torch.from_numpy(factors).to(device)
        filtered = filter_rows(torch.nn.functional.pad(weighted, (before, after)), filter, pixel, window)
        return backproject(filtered.transpose(1, 2).contiguous(), _widened(geometry, before, after)).cpu().numpy()

    def clipped(volume: np.ndarray) -> np.ndarray:
        return np.maximum(volume, 0, out=volume) if nonnegative else volume

    info = {"redundancy": weights.kind, **({"note": weights.note} if weights.note else {})}
    room, row = Room(memory_bytes), _bytes_per_row(geometry, before + after)
    if 4 * math.prod(geometry.volume_shape) + math.prod(geometry.projection_shape[:2]) * row <= room.bytes:
        return clipped(part(projections, geometry, factors)), info
    volume = empty_volume(geometry, room, folder)
    slabs, batches = _pieces(geometry, room, row)
    for slab, rows in slabs:
        for chosen in batches:
            views = with_rows(slab.geometry, rows).subset(chosen)
            volume[slab.planes] += part(mapped.take(projections, chosen, rows), views, factors[chosen])
        clipped(volume[slab.planes])
        mapped.release(volume)
    return volume, info | {"slabs": len(slabs), "views_at_a_time": len(batches[0])}


def _bytes_per_row(geometry: ConeBeamGeometry, beyond: int) -> int:
    """Return the bytes for a row of one view: measured, weighted, widened, filtered (real Fourier transform and inverse), transposed."""
    columns = geometry.detector_shape[1]
    return 12 * columns + 8 * (columns + beyond) + 14 * padded_length(columns + beyond)


def _pieces(geometry: ConeBeamGeometry, room: Room, row: int) -> tuple[list[tuple[Slab, slice]], list[np.ndarray]]:
    """Return slabs with their detector rows, and the number of views per batch, such that both fit into the room."""
    plane, planes = 4 * math.prod(geometry.volume_shape[1:]), geometry.volume_shape[0]
    half = room.bytes / 2  # for the views, at least one whole view
    thickness = room.slab(planes, kept=max(half, row * geometry.detector_shape[0]), fixed=0, each=2 * plane)  # its own, and the file's
    slabs = [(slab, slab.rows()) for slab in cut(geometry, thickness)]
    tallest = max(rows.stop - rows.start for _, rows in slabs)
    most = int((room.bytes - 2 * thickness * plane) // (row * tallest))
    batches = np.array_split(np.arange(geometry.views), -(-geometry.views // most))
    return [(slab, rows) for slab, rows in slabs if rows.stop > rows.start], batches


def not_circular(geometry: ConeBeamGeometry) -> str | None:
    """Return the reason why FDK cannot reconstruct this orbit, or None if it can."""
    if geometry.is_circular:
        return None
    if geometry.view_vectors is not None:
        return "the orbit is given by a table of vectors"
    if np.ptp(geometry.source_height):
        return "the source moves along the axis (a helix)"
    return "the detector is turned (roll, pitch or yaw)"


def cosine_weights(geometry: ConeBeamGeometry) -> np.ndarray:
    """Return cos of the angle between each ray and the central ray, times the Jacobian of an axis off centre: float32 [view or 1, v, u]."""
    offsets = []
    for axis in (0, 1):
        n = geometry.detector_shape[axis]
        offsets.append((np.arange(n) - (n - 1) / 2) * geometry.detector_pitch[axis] + geometry.detector_offset[axis])
    v, u = offsets[0][None, :, None], offsets[1][None, None, :]
    distance = geometry.source_to_detector
    shift = np.atleast_1d(geometry.axis_shift)[:, None, None] * u / (distance * geometry.source_to_origin)
    return (distance / np.sqrt(distance**2 + u**2 + v**2) * (1 - shift)).astype(np.float32)


def _columns_beyond(geometry: ConeBeamGeometry) -> tuple[int, int]:
    """Return the columns to add on either side of the detector so that every view covers the volume's shadow."""
    low, high = geometry.volume_bounds[:, :2]
    corners = np.array([(x, y) for x in (low[0], high[0]) for y in (low[1], high[1])])
    source, centre, u, _ = geometry.vectors()[..., :2].transpose(1, 0, 2)
    ray = centre - source
    towards = corners[None] - source[:, None]  # [view, corner, 2]

    def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]

    # Crossing with u and with the ray solves towards = depth (ray + column u).
    column = cross(ray[:, None], towards) / cross(towards, u[:, None])
    half = (geometry.detector_shape[1] - 1) / 2
    return max(0, int(np.ceil(-column.min() - half))), max(0, int(np.ceil(column.max() - half)))


def _widened(geometry: ConeBeamGeometry, before: int, after: int) -> ConeBeamGeometry:
    """Return the scanner with more detector columns."""
    rows, columns = geometry.detector_shape
    offset = geometry.detector_offset[1] + (after - before) / 2 * geometry.detector_pitch[1]
    return dataclasses.replace(
        geometry, detector_shape=(rows, columns + before + after), detector_offset=(geometry.detector_offset[0], offset)
    )


def backproject(filtered: torch.Tensor, geometry: ConeBeamGeometry) -> torch.Tensor:
    """Return the sum over views of filtered [view, u, v] (rows last) times (source_to_origin / U)^2; float32 [z, y, x]."""
    volume = torch.empty(geometry.volume_shape, dtype=torch.float32, device=filtered.device)
    counters.count("adjoint_views", geometry.views)
    call(
        "fdk_backproject", volume, geometry.volume_shape, _feet(geometry), *geometry.projection_shape, filtered, geometry.magnification**-2
    )
    return volume


def _feet(geometry: ConeBeamGeometry) -> np.ndarray:
    """Return FdkView of fdk.h for each view: float64 [view, 9]."""
    source, centre, u, v = geometry.voxel_vectors().transpose(1, 2, 0)
    ray = centre - source
    # (x, y) - source = depth (ray + column u), solved by Cramer's rule.
    determinant = ray[0] * u[1] - ray[1] * u[0]
    depth = [u[1], -u[0], source[1] * u[0] - source[0] * u[1]]
    across = [-ray[1], ray[0], ray[1] * source[0] - ray[0] * source[1]]
    linear = np.stack(depth + across) / determinant
    return np.ascontiguousarray(np.concatenate([linear, [1 / v[2], source[2], -ray[2] / v[2]]]).T)
