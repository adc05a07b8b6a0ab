"""Corrections of a volume towards its measurements, one subset of views after another (the step of SART)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch

from benchmark.machine.engine import Engine
from benchmark.machine.memory import GIB, free_memory
from benchmark.projection.slabs import PADDING, Room, SlabProjector
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan.scan import Scan
from benchmark.storage import mapped

GOLDEN = (math.sqrt(5) - 1) / 2
KEPT = 1 << 30  # [bytes] of column sums, one volume per subset, without a memory limit; more are computed again each time


class OrderedSubsets:
    """Corrections x <- x + relaxation C A^T R (p - A x) by subsets of `size` views (Andersen & Kak 1984, doi 10.1177/016173468400600107).

    R and C are the inverse row and column sums of the subset's A, 0 for rays and voxels without contact. `len()` is the number of
    subsets; consecutive ones are far apart in angle. Volumes lie on `device`; `engine` chooses the projector.

    Where this process would exceed `memory_bytes`, the volume is corrected slab by slab, and R, C and p are computed or read again each
    time: about twice the work, the same numbers to float rounding. Without a limit they are kept as far as a fixed size and the GPU
    allow. Raises InputError for less memory than the smallest pieces need, and for pieces with another engine.
    """

    def __init__(
        self, scan: Scan, size: int = 1, memory_bytes: int | None = None, device: torch.device | str = "cpu", engine: Engine = "auto"
    ) -> None:
        count = -(-scan.geometry.views // min(size, scan.geometry.views))
        order = spread_order(scan.geometry.angles)
        thickness = _thickness(scan.geometry, count, Room(memory_bytes))
        self.slabs = 0 if thickness is None else -(-scan.geometry.volume_shape[0] // thickness)  # 0: the volume is whole
        projector = SlabProjector.of(scan.geometry, thickness or scan.geometry.volume_shape[0], engine, str(device))
        sums = 4 * math.prod(scan.geometry.volume_shape) * count
        keep = thickness is None and (memory_bytes is not None or sums <= KEPT) and sums <= _left_on(device)
        # One block for all column sums: kept one by one between temporary volumes, they would leave holes of several times their size.
        kept = torch.empty((count if keep else 0, *scan.geometry.volume_shape), dtype=torch.float32, device=device)
        places = kept.unbind() if keep else [None] * count
        self._subsets = [_Subset(projector, order[first::count], scan.projections, place, device) for first, place in enumerate(places)]

    def __len__(self) -> int:
        return len(self._subsets)

    def correct(self, volume: torch.Tensor, index: int, relaxation: float, nonnegative: bool = True) -> torch.Tensor:
        """Correct the volume [z, y, x] in place with subset `index` (modulo their number). Return the mean squared residual before."""
        return self._subsets[index % len(self)].correct(volume, relaxation, nonnegative)


def _left_on(device: torch.device | str) -> float:
    """Return the bytes of GPU memory for kept arrays; on the CPU only sizes limit them, for equal numbers on any machine."""
    return free_memory(str(device)) * GIB * 2 / 3 if torch.device(device).type == "cuda" else math.inf


def _thickness(geometry: ConeBeamGeometry, subsets: int, room: Room) -> int | None:
    """Return the planes of a slab, or None if all arrays fit into memory."""
    plane, planes = 4 * math.prod(geometry.volume_shape[1:]), geometry.volume_shape[0]
    pixels = 4 * math.prod(geometry.projection_shape)
    if (subsets + 6) * planes * plane + PADDING * plane + 3 * pixels + 8 * pixels / subsets <= room.bytes:
        return None
    views = 8 * pixels / geometry.views * -(-geometry.views // subsets)  # measured, projected, weights, and the projector's own
    return room.slab(planes, kept=planes * plane + views, fixed=PADDING * plane, each=5 * plane)


class _Subset:
    def __init__(
        self,
        projector: SlabProjector,
        indices: np.ndarray,
        projections: np.ndarray,
        kept: torch.Tensor | None,
        device: torch.device | str,
    ) -> None:
        self.projector, self._device = projector.subset(indices), device
        self._projections, self._indices = projections, indices
        self._most = max(float(sums.max()) for _, sums in self._column_sums())
        self._kept: tuple[torch.Tensor, torch.Tensor, list[tuple[slice, torch.Tensor]]] | None = None
        if kept is not None:
            columns = [(planes, kept[planes].copy_(inverse)) for planes, inverse in self._columns()]
            self._kept = self._measured(), self._rows(), columns

    def correct(self, volume: torch.Tensor, relaxation: float, nonnegative: bool) -> torch.Tensor:
        measured, rows, columns = self._kept or (self._measured(), self._rows(), self._columns())
        residual = measured - self.projector.forward(volume)
        for (planes, inverse), (_, update) in zip(columns, self.projector.adjoint(rows * residual), strict=True):
            part = volume[planes]
            part += relaxation * inverse * update
            if nonnegative:
                part.clamp_(min=0)
        return residual.square().mean()

    def _measured(self) -> torch.Tensor:
        return torch.from_numpy(mapped.take(self._projections, self._indices)).to(self._device)

    def _rows(self) -> torch.Tensor:
        sums = self.projector.forward(torch.ones((), dtype=torch.float32, device=self._device).expand(self.projector.geometry.volume_shape))
        return _inverse(sums, float(sums.max()))

    def _column_sums(self) -> Iterator[tuple[slice, torch.Tensor]]:
        return self.projector.adjoint(torch.ones(self.projector.geometry.projection_shape, dtype=torch.float32, device=self._device))

    def _columns(self) -> Iterator[tuple[slice, torch.Tensor]]:
        return ((planes, _inverse(sums, self._most)) for planes, sums in self._column_sums())


def spread_order(angles: np.ndarray) -> np.ndarray:
    """Return view indices with each view far from the last few: golden-ratio steps through the sorted angles."""
    by_angle = np.argsort(np.mod(angles, 2 * np.pi))
    return by_angle[np.argsort(np.mod(np.arange(len(angles)) * GOLDEN, 1.0))]


def _inverse(sums: torch.Tensor, most: float) -> torch.Tensor:
    met = sums > 1e-3 * most  # grazing rays would blow up
    return torch.where(met, 1 / sums.clamp(min=1e-20), torch.zeros((), dtype=torch.float32))
