"""Held-back views and a volume's error on them, to choose a parameter from the scan alone."""

from __future__ import annotations

import math

import numpy as np
import torch

from benchmark.projection.projector import Projector
from benchmark.scan.geometry import ConeBeamGeometry

BOXES = 3.5  # of a voxel's width, see blur_widths


def held_back_views(angles: np.ndarray) -> np.ndarray:
    """Return the indices of about every fifth view, ten at most, spread over the arc [rad] and away from its ends."""
    count = min(10, max(1, round(angles.size / 5)))
    ordered = np.argsort(angles, kind="stable")
    return np.sort(ordered[((np.arange(count) + 0.5) * angles.size / count).astype(int)])


class ViewError:
    """Error of a volume on some views of a scan, made comparable to the error of the volume itself.

    The residual passes through the ramp filter along u, because an error of the volume at frequency f reaches the projections divided by
    f (central slice theorem). The views are blurred to the resolution of the voxels, because interpolated voxel means cannot show
    finer detail; otherwise volumes that are too sharp would fit best. `projections` are [view, v, u], on the device of the volumes.
    """

    def __init__(self, geometry: ConeBeamGeometry, projections: torch.Tensor) -> None:
        self.projector = Projector(geometry)
        self.target = blur(projections, *blur_widths(geometry))
        self.samples = 2 * geometry.detector_shape[1]
        self.scale = max(self._energy(self.target), 1e-30)

    def error(self, x: torch.Tensor) -> float:
        """Return the filtered residual of a volume [z, y, x] relative to the filtered views (root mean square, dimensionless)."""
        return math.sqrt(self._energy(self.projector.forward(x) - self.target) / self.scale)

    def _energy(self, projections: torch.Tensor) -> float:
        ramp = torch.fft.rfftfreq(self.samples, dtype=torch.float32, device=projections.device)
        return float((torch.fft.rfft(projections, self.samples).abs() * ramp).double().square().sum())


def blur_widths(geometry: ConeBeamGeometry) -> tuple[float, float]:
    """Return the standard deviation, in pixels along v and u, of the blur between a pixel's aperture and a voxel's.

    A projected grid of voxel means is blurred by boxes of the voxel's width (one for the mean, two for the linear interpolation, the
    rest for detail finer than voxels: 4 suit voxel means of phantoms, 3 the walnut's least-squares truth), a pixel by one box
    of its own width; the variance of a box of width w is w^2 / 12.
    """
    widths = []
    voxels = (geometry.volume_spacing[0], max(geometry.volume_spacing[1:]))
    for voxel, pixel in zip(voxels, geometry.detector_pitch, strict=True):
        voxel_in_pixels = voxel * geometry.magnification / pixel
        widths.append(math.sqrt(max(0.0, BOXES * voxel_in_pixels**2 - 1) / 12))
    return widths[0], widths[1]


def blur(projections: torch.Tensor, sigma_v: float, sigma_u: float) -> torch.Tensor:
    """Return the Gaussian blur of [view, v, u] along v and u, with edges repeated."""
    images = projections[:, None]
    for sigma, vertical in ((sigma_v, True), (sigma_u, False)):
        if sigma < 0.05:
            continue
        reach = math.ceil(4 * sigma)
        kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=torch.float32, device=images.device) / sigma) ** 2)
        kernel /= kernel.sum()
        pad = (0, 0, reach, reach) if vertical else (reach, reach, 0, 0)
        images = torch.nn.functional.conv2d(
            torch.nn.functional.pad(images, pad, mode="replicate"), kernel.view(1, 1, -1, 1) if vertical else kernel.view(1, 1, 1, -1)
        )
    return images[:, 0]
