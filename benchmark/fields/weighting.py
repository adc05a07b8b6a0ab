"""How much each measured line integral counts in a training loss."""

from __future__ import annotations

from typing import Literal

import torch

from benchmark.scan.scan import Scan

By = Literal["equal", "photons"]


class Weighting:
    """Weights of residuals by photon statistics, with mean 1 over the scan.

    A pixel with line integral p counts I0 exp(-p) photons, so that var(p) = exp(p) / I0 (Bouman & Sauer 1996,
    doi 10.1109/83.491321): 'photons' weighs by exp(-p), 'equal' by 1. The attribute `by` is 'equal' wherever the scan does not say how
    many photons it had.
    """

    def __init__(self, scan: Scan, by: By) -> None:
        self.by: By = by if scan.photons is not None else "equal"
        self.mean = float(counted(torch.tensor(scan.projections)).double().mean())

    def residual(self, rendered: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Return sqrt(weight) (rendered - values), of any shape."""
        if self.by == "equal":
            return rendered - values
        return (counted(values) / self.mean).sqrt() * (rendered - values)


def counted(values: torch.Tensor) -> torch.Tensor:
    """The part of the photons that comes through; more than all of them is noise."""
    return (-values).clamp(max=0).exp()
