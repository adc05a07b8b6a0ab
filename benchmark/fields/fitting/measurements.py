"""Training data of neural methods: one ray per measured pixel that meets the volume, and the scale of the attenuation."""

from __future__ import annotations

import torch

from benchmark.kernels.transfer import to_device
from benchmark.projection.marching import clip
from benchmark.projection.rays import Rays, view_rays
from benchmark.scan.scan import Scan


class Measurements:
    """A scan as training data: one ray per measured pixel that meets the volume, and the scale of its attenuation.

    `rays` [N] and `values` [N] (measured along them) lie on `device`. `mean_attenuation` [1/mm] is that of a homogeneous box with the same
    mean: the mean line integral over the mean chord, or the mean maximum.
    """

    def __init__(self, scan: Scan, device: torch.device | str = "cpu") -> None:
        parts, spans = [], []
        for view in range(scan.geometry.views):  # all at once would take five times the memory of the rays
            rays = view_rays(scan.geometry, [view], device=device)
            spans.append(clip(rays, scan.geometry.volume_bounds))
            parts.append(rays[spans[-1][:, 1] > spans[-1][:, 0]])
        chords = torch.cat(spans).diff(dim=1)[:, 0]
        meets = chords > 0
        self.rays: Rays = Rays.joined(parts)
        self.values = torch.tensor(scan.projections, device=device).reshape(-1)[meets]
        lengths = chords if scan.composite == "sum" else meets.float()
        self.mean_attenuation = max(float(self.values.sum() / lengths.sum()), 1e-9)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Rays, torch.Tensor]:
        """Draw `count` random rays, with replacement, and their measured values [count]."""
        chosen = to_device(torch.randint(len(self.values), (count,), generator=generator), self.values.device)
        return self.rays[chosen], self.values[chosen]
