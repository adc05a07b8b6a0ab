"""Last step of a neural method: measured detail that its field cannot express is restored in the volume."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import torch

from benchmark.machine.clock import memory_mb
from benchmark.reconstruction.ordered_subsets import KEPT, OrderedSubsets
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan.scan import Scan

RELAXATION = 0.3  # of corrections by one view each
TOGETHER, TOGETHER_RELAXATION = 5, 1.0  # views, for many corrections on a fine grid: same result in a third of the time
ROOM = 2 << 30  # [bytes] cache of corrections on a fine grid; larger arrays are computed again each time


def data_consistent(
    volume: torch.Tensor,
    scan: Scan,
    corrections: int,
    views: int = 1,
    relaxation: float = RELAXATION,
    memory_bytes: int | None = None,
) -> torch.Tensor:
    """Return a copy of the volume [z, y, x] after `corrections` SART corrections by `views` views each, non-negative.

    A last step of neural methods: only what the measured rays see changes. The volume itself is returned for 0 corrections and for views
    that are not line integrals. `memory_bytes` is that of OrderedSubsets.
    """
    if not corrections or scan.composite != "sum":
        return volume
    subsets, refined = OrderedSubsets(scan, views, memory_bytes, volume.device), volume.clone()
    for index in range(corrections):
        subsets.correct(refined, index, relaxation)
    return refined


def data_consistent_finer(sampled: Callable[[ConeBeamGeometry], torch.Tensor], scan: Scan, corrections: int, finer: int) -> torch.Tensor:
    """Return a field on a grid `finer` times as fine as the scan's [z, y, x], corrected by the data there.

    `sampled(geometry)` samples the field [z, y, x] on that geometry's grid. Detail that the scan shows and the field lacks is often finer
    than the voxels; corrected on the voxels, the volume would be bent to fit it. Corrections use five views each, for speed.
    """
    z, y, x = scan.geometry.volume_shape
    fine = dataclasses.replace(scan, geometry=scan.geometry.with_volume((finer * z, finer * y, finer * x)))
    room = max(ROOM, 4 * 4 * math.prod(fine.geometry.volume_shape)) + int(memory_mb() * 2**20)
    return data_consistent(sampled(fine.geometry), fine, corrections, TOGETHER, TOGETHER_RELAXATION, room)


def data_consistent_mean(sampled: Callable[[ConeBeamGeometry], torch.Tensor], scan: Scan, corrections: int, finer: int) -> torch.Tensor:
    """Return the means of `data_consistent_finer` over the scan's voxels [z, y, x]."""
    volume = data_consistent_finer(sampled, scan, corrections, finer)
    return torch.nn.functional.avg_pool3d(volume[None, None], finer)[0, 0]


def corrections_memory(scan: Scan, corrections: int, finer: int = 1, *, together: bool = False) -> float:
    """Return about the bytes that `data_consistent` takes, or, with `together`, `data_consistent_finer`, for so many corrections.

    Column sums are kept as far as there is room; beside them lie the volumes before, during and after a correction.
    """
    volume, pixels = 4 * finer**3 * math.prod(scan.geometry.volume_shape), 4 * math.prod(scan.geometry.projection_shape)
    views = scan.geometry.views
    sums = volume * (-(-views // min(views, TOGETHER)) if together else views) if corrections and scan.composite == "sum" else 0
    room = max(ROOM, 4 * volume) if together else KEPT
    return 6 * volume + 3 * pixels + (sums if sums + 6 * volume * together <= room else 0)
