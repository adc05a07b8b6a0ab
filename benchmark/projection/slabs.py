"""Slabs of a volume along z, so that projection and backprojection need memory for one slab and a few views at a time.

The operators are linear and interpolation fades to zero over one voxel at a volume's faces, so A x is the sum of A applied to
each slab alone, and A^T p is computed slab by slab: the same numbers as for the whole volume, to float rounding.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from benchmark.errors import InputError
from benchmark.machine import counters
from benchmark.machine.clock import memory_mb
from benchmark.machine.engine import Engine
from benchmark.machine.memory import amount
from benchmark.projection.operators import operators
from benchmark.projection.projector import Projector
from benchmark.projection.tigre import TigreProjector
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.storage import mapped

PADDING = 144  # planes of zeros around a slab in the projector's own copy of it
AT_ONCE = 256 << 20  # [bytes] of a slab, and of its projections: the projector's own copy of a thinner one is mostly padding
SPARE = 48 << 20  # [bytes] for uncounted memory: the allocator's overhead, tables of a Fourier transform


@dataclasses.dataclass(frozen=True)
class Slab:
    """Planes begin .. end - 1 of a volume [z, y, x], and the geometry of a volume of only these planes."""

    begin: int
    end: int
    geometry: ConeBeamGeometry

    @property
    def planes(self) -> slice:
        return slice(self.begin, self.end)

    def rows(self) -> slice:
        """Return the detector rows covered by the slab's voxels in some view, with one more row on either side."""
        count = self.geometry.detector_shape[0]
        low, high = self.geometry.shadow()[:, 0, :].T + (count - 1) / 2
        return slice(max(0, int(np.floor(low.min())) - 1), min(count, int(np.ceil(high.max())) + 2))


def cut(geometry: ConeBeamGeometry, thickness: int) -> list[Slab]:
    """Return the slabs of a volume, each of at most so many planes and about equally thick."""
    planes, spacing = geometry.volume_shape[0], geometry.volume_spacing[0]
    count = -(-planes // thickness)
    edges = [planes * index // count for index in range(count + 1)]
    slabs = []
    for begin, end in zip(edges[:-1], edges[1:], strict=True):
        offset = geometry.volume_offset[0] + ((begin + end) / 2 - planes / 2) * spacing
        shape, centre = (end - begin, *geometry.volume_shape[1:]), (offset, *geometry.volume_offset[1:])
        slabs.append(Slab(begin, end, dataclasses.replace(geometry, volume_shape=shape, volume_offset=centre)))
    return slabs


def with_rows(geometry: ConeBeamGeometry, rows: slice) -> ConeBeamGeometry:
    """Return the scanner with only these rows of its upright detector."""
    count, columns = geometry.detector_shape
    offset = geometry.detector_offset[0] + ((rows.start + rows.stop) / 2 - count / 2) * geometry.detector_pitch[0]
    return dataclasses.replace(
        geometry, detector_shape=(rows.stop - rows.start, columns), detector_offset=(offset, geometry.detector_offset[1])
    )


class Room:
    """Memory left for a method's arrays under a cap [bytes]; no limit for None."""

    def __init__(self, memory_bytes: int | None) -> None:
        self.cap = memory_bytes or 0
        self.bytes = math.inf if memory_bytes is None else memory_bytes - memory_mb() * 2**20 - SPARE

    def take(self, count: int) -> bool:
        """Reserve so many bytes, if they are at most two thirds of the rest."""
        fits = count <= self.bytes * 2 / 3
        self.bytes -= count if fits else 0
        return fits

    def slab(self, planes: int, *, kept: float, fixed: float, each: float) -> int:
        """Return the planes of a slab that needs `fixed` bytes and `each` per plane, beside `kept` bytes.

        Raise InputError, before any work, if not even one plane fits.
        """
        found = (self.bytes - kept - fixed) / each
        if found < 1:
            raise InputError(
                "--memory",
                expected=f"at least {amount(self.cap - self.bytes + kept + fixed + each)} for this scan in its smallest pieces",
                found=amount(self.cap),
                fix="Give more memory, fewer voxels (--size) or average more detector pixels.",
            )
        return int(min(planes, found))


def empty_volume(geometry: ConeBeamGeometry, room: Room, folder: Path | None) -> np.ndarray:
    """Return zeros [z, y, x]: in memory, or in a file if they would take more than two thirds of the room."""
    if room.take(4 * math.prod(geometry.volume_shape)):
        return np.zeros(geometry.volume_shape, dtype=np.float32)
    return mapped.zeros(geometry.volume_shape, folder)


def project(volume: np.ndarray, geometry: ConeBeamGeometry) -> np.ndarray:
    """Project a volume [z, y, x] -> [view, v, u], slab by slab and a few views at a time; both may lie in files.

    A volume in memory is one slab: bitwise equal to the Projector's result.
    """
    views = max(1, AT_ONCE // (4 * math.prod(geometry.detector_shape)))
    thickness = geometry.volume_shape[0]
    if mapped.file_map(volume) is not None:
        thickness = max(1, AT_ONCE // (4 * math.prod(geometry.volume_shape[1:])))
    path = Projector(geometry).path

    def write(projections: np.ndarray) -> None:
        for first in range(0, geometry.views, views):
            chosen = np.arange(first, min(first + views, geometry.views))
            total = projections[first : first + views]
            for slab in cut(geometry.subset(chosen), thickness):
                part = torch.from_numpy(np.array(volume[slab.planes], dtype=np.float32))
                mapped.release(volume)
                found = Projector(slab.geometry, path).forward(part).numpy()
                total[:] = found if slab.begin == 0 else np.add(total, found, out=found)
            mapped.release(projections)

    with torch.no_grad():
        return mapped.filled(geometry.projection_shape, write)


class SlabProjector:
    """Projector A of a volume given and corrected slab by slab; with one slab, the Projector itself."""

    def __init__(self, projectors: Sequence[tuple[slice, Projector | TigreProjector]], geometry: ConeBeamGeometry) -> None:
        self._projectors, self.geometry = projectors, geometry

    @classmethod
    def of(cls, geometry: ConeBeamGeometry, thickness: int, engine: Engine = "auto", device: str = "cpu") -> SlabProjector:
        """Return slabs of at most so many planes. Other engines take only whole volumes: raise InputError for more than one slab."""
        if engine == "tigre":
            if thickness < geometry.volume_shape[0]:
                raise InputError("--memory", expected="enough for the whole volume with engine tigre", found="less", fix="Use native.")
            return cls([(slice(0, thickness), operators(geometry, engine, device))], geometry)
        path = Projector(geometry).path
        return cls([(slab.planes, Projector(slab.geometry, path)) for slab in cut(geometry, thickness)], geometry)

    def subset(self, indices: Sequence[int] | np.ndarray) -> SlabProjector:
        """Return the projector of only these views."""
        projectors = [(planes, projector.subset(indices)) for planes, projector in self._projectors]
        return SlabProjector(projectors, self.geometry.subset(indices))

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        """Return A volume: [z, y, x], possibly in a file, -> [view, v, u]."""
        total: torch.Tensor | None = None
        for planes, projector in self._projectors:
            with counters.paused():
                part = projector.forward(volume[planes])
            total = part if total is None else total.add_(part)
        assert total is not None
        counters.count("forward_views", self.geometry.views)
        return total

    def adjoint(self, projections: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor]]:
        """Yield A^T projections, [view, v, u] -> the planes and the values of each slab in turn."""
        counters.count("adjoint_views", self.geometry.views)
        for planes, projector in self._projectors:
            with counters.paused():
                part = projector.adjoint(projections)
            yield planes, part
