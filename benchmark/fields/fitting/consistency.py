"""The last step of a neural method: what its field cannot express but the measurements say is put back into the volume."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import torch

from benchmark.machine.clock import memory_mb
from benchmark.reconstruction.ordered_subsets import OrderedSubsets
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan.scan import Scan

RELAXATION = 0.3  # of corrections by one view each
TOGETHER, TOGETHER_RELAXATION = 5, 1.0  # views, where many corrections are due on a fine grid: a third of the time for the same result
ROOM = 2 << 30  # [bytes] for what corrections on a fine grid keep; what is larger is made again each time


def data_consistent(
    volume: torch.Tensor,
    scan: Scan,
    corrections: int,
    views: int = 1,
    relaxation: float = RELAXATION,
    memory_bytes: int | None = None,
) -> torch.Tensor:
    """A copy of the volume [z, y, x] after `corrections` SART corrections by `views` views each, at least 0 everywhere; itself for 0.

    Only what the measured rays see changes; between them the field's own answer stays. No regulariser is involved. Maxima cannot be
    put back that way: where the views are no line integrals the volume is unchanged, too. `memory_bytes` as in OrderedSubsets.
    """
    if not corrections or scan.composite != "sum":
        return volume
    subsets, refined = OrderedSubsets(scan, views, memory_bytes, volume.device), volume.clone()
    for index in range(corrections):
        subsets.correct(refined, index, relaxation)
    return refined


def data_consistent_mean(sampled: Callable[[ConeBeamGeometry], torch.Tensor], scan: Scan, corrections: int, finer: int) -> torch.Tensor:
    """A field's mean over each voxel [z, y, x], made consistent with the data on a grid `finer` times as fine.

    `sampled` gives the field [z, y, x] on the grid of the geometry that it gets. What detail the scan shows that the field has not is
    often finer than the voxels: corrected on those, it would be bent to fit what they cannot express. Corrections are by five views
    each, for speed. What they keep and what they make again is a question of sizes alone, so that the numbers are the same on any machine.
    """
    z, y, x = scan.geometry.volume_shape
    fine = dataclasses.replace(scan, geometry=scan.geometry.with_volume((finer * z, finer * y, finer * x)))
    room = max(ROOM, 4 * 4 * math.prod(fine.geometry.volume_shape)) + int(memory_mb() * 2**20)
    volume = data_consistent(sampled(fine.geometry), fine, corrections, TOGETHER, TOGETHER_RELAXATION, room)
    return torch.nn.functional.avg_pool3d(volume[None, None], finer)[0, 0]
