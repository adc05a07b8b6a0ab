"""The last step of a neural method: what its field cannot express but the measurements say is put back into the volume."""

from __future__ import annotations

import torch

from benchmark.ct.algebraic import OrderedSubsets
from benchmark.types import Scan

RELAXATION = 0.3


def data_consistent(volume: torch.Tensor, scan: Scan, corrections: int) -> torch.Tensor:
    """A copy of the volume [z, y, x] after `corrections` view-by-view SART corrections, at least 0 everywhere; unchanged for 0.

    Only what the measured rays see changes; between them the field's own answer stays. No regulariser is involved. Maxima cannot be
    put back that way: where the views are no line integrals the volume is unchanged, too.
    """
    if not corrections or scan.composite != "sum":
        return volume
    subsets, refined = OrderedSubsets(scan, device=volume.device), volume.clone()
    for index in range(corrections):
        subsets.correct(refined, index, RELAXATION)
    return refined
