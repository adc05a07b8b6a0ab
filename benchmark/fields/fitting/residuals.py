"""Residuals of projections in a training loss: weighted by photons, sharpened along detector rows, averaged, or compared by SSIM."""

from __future__ import annotations

import dataclasses
from typing import Literal

import torch
import torch.nn.functional as F

from benchmark.fields.fitting.training_params import FieldParams
from benchmark.projection.projector import Projector
from benchmark.scan.scan import Scan

By = Literal["equal", "photons"]
WINDOW, SIGMA = 11, 1.5  # of SSIM [pixels]


class Weighting:
    """Residuals scaled by the square root of their weight; the weights have mean 1 over the scan.

    A pixel with line integral p counts I0 exp(-p) photons, so that var(p) = exp(p) / I0 (Bouman & Sauer 1996,
    doi 10.1109/83.491321): by "photons" its weight is exp(-p). `by` is the weighting in use: "equal" if the scan does not state
    its number of photons.
    """

    def __init__(self, scan: Scan, by: By) -> None:
        self.by: By = by if scan.photons is not None else "equal"
        self.mean = float(counted(torch.tensor(scan.projections)).double().mean())

    def residual(self, rendered: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Return sqrt(weight) (rendered - measured values), of any shape."""
        if self.by == "equal":
            return rendered - values
        return (counted(values) / self.mean).sqrt() * (rendered - values)


class Misfit:
    """Mean loss of a residual r of any shape, by `params.loss`, in the unit of r^2: the weight of total variation keeps its meaning.

    - `mse`: r^2.
    - `l1`: s |r|, s being the root mean square of the measurements.
    - `huber` (Huber 1964, doi 10.1214/aoms/1177703732): r^2 up to d = `params.huber` s, 2 d |r| - d^2 beyond.
    """

    def __init__(self, scan: Scan, params: FieldParams) -> None:
        self.loss = params.loss
        self.level = float(torch.tensor(scan.projections).double().square().mean().sqrt()) or 1.0
        self.bend = params.huber * self.level

    def __call__(self, residual: torch.Tensor) -> torch.Tensor:
        if self.loss == "mse":
            return residual.square().mean()
        if self.loss == "l1":
            return self.level * residual.abs().mean()
        return 2 * F.huber_loss(residual, torch.zeros_like(residual), delta=self.bend)

    @torch.no_grad()
    def tamed(self, scan: Scan, volume: torch.Tensor) -> Scan:
        """Return the scan with the residuals of a volume's projections cut at d (Huber's pseudo-values), for corrections by squares.

        For `mse`, and for views that are not line integrals, the scan itself.
        """
        if self.loss == "mse" or scan.composite != "sum":
            return scan
        rendered = Projector(scan.geometry).forward(volume).cpu()
        residual = (torch.tensor(scan.projections) - rendered).clamp(-self.bend, self.bend)
        return dataclasses.replace(scan, projections=(rendered + residual).numpy())


def counted(values: torch.Tensor) -> torch.Tensor:
    """Return the transmitted fraction of the photons, clamped to 1 (more is noise)."""
    return (-values).clamp(max=0).exp()


def ramp_filtered(residual: torch.Tensor, power: float) -> torch.Tensor:
    """Filter each detector row [..., u] by |frequency|^power, scaled to keep the energy of white noise.

    Projections damp a volume's high frequencies by the ramp (Fourier slice theorem); the filter takes a part of that back, so that
    fine detail of a volume converges as fast as its shape.
    """
    if not power:
        return residual
    count = residual.shape[-1]
    frequency = torch.fft.rfftfreq(2 * count, dtype=residual.dtype, device=residual.device) * 2 + 1 / (2 * count)  # for the mean to count
    gain = frequency**power
    gain = gain / gain.square().mean().sqrt()
    return torch.fft.irfft(torch.fft.rfft(residual, 2 * count) * gain, 2 * count)[..., :count]


def ssim(images: torch.Tensor, others: torch.Tensor, data_range: float) -> torch.Tensor:
    """Return the mean structural similarity of two stacks [view, v, u] (Wang et al. 2004, doi 10.1109/TIP.2003.819861), differentiable.

    The Gaussian window stays inside the images; small images get a smaller one.
    """
    size = min(WINDOW, *images.shape[1:])
    window = torch.exp(-0.5 * ((torch.arange(size, dtype=torch.float32, device=images.device) - (size - 1) / 2) / SIGMA) ** 2)
    window = window / window.sum()

    def blurred(stack: torch.Tensor) -> torch.Tensor:
        along = F.conv2d(stack[:, None], window.view(1, 1, -1, 1))
        return F.conv2d(along, window.view(1, 1, 1, -1))[:, 0]

    x, y = blurred(images), blurred(others)
    xx, yy, xy = blurred(images * images) - x * x, blurred(others * others) - y * y, blurred(images * others) - x * y
    one, two = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    return ((2 * x * y + one) * (2 * xy + two) / ((x * x + y * y + one) * (xx + yy + two))).mean()
