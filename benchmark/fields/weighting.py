"""Weights of measured line integrals in a training loss."""

from __future__ import annotations

from typing import Literal

import torch

from benchmark.scan.scan import Scan

By = Literal["equal", "photons"]


class Weighting:
    """Weights of residuals by photon statistics, with mean 1 over the scan.

    A pixel with line integral p counts I0 exp(-p) photons, so that var(p) = exp(p) / I0 (Bouman & Sauer 1996,
    doi 10.1109/83.491321): 'photons' weighs by exp(-p), 'equal' by 1. The attribute `by` is 'equal' if the scan does not state
    its number of photons.
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
    """Return the transmitted fraction of the photons, clamped to 1 (more is noise)."""
    return (-values).clamp(max=0).exp()
