"""Where the Gaussians start: drawn where a quick reconstruction sees attenuation, as wide as they are apart."""

from __future__ import annotations

import math

import numpy as np
import torch

from benchmark.api import ConeBeamGeometry, OrderedSubsets, Scan, filtered_backprojection, not_circular
from benchmark.fields import Mixture, MixtureProjector
from methods.gaussians import GaussiansParams

WIDTH = 0.6  # standard deviation over the distance between neighbours
VOXELS, PIXELS = 20, 14  # for each Gaussian and its eleven numbers
FAINT = 0.05  # voxels below this fraction of the brightest ones (99.5 %) get no Gaussian


def start_mixture(scan: Scan, params: GaussiansParams, generator: torch.Generator, device: str = "cpu") -> tuple[Mixture, str]:
    """The mixture before the first step, on `device`, and what it was drawn from ('fdk', 'sart' or 'random')."""
    geometry = scan.geometry
    kind = params.start or ("sart" if not_circular(geometry) else "fdk")
    volume = start_volume(scan, kind, device).cpu()
    count = params.gaussians or max(1, min(math.prod(geometry.volume_shape) // VOXELS, math.prod(geometry.projection_shape) // PIXELS))
    count = min(count, params.cap or count)
    chosen, density = draw(volume, count, generator)
    mixture = place(geometry, volume.reshape(-1)[chosen], chosen, density, params, generator)
    return matched(Mixture(*(tensor.to(device) for tensor in mixture)), scan), kind


def start_volume(scan: Scan, kind: str, device: str = "cpu") -> torch.Tensor:
    """[z, y, x], at least 0: an FDK, one SART pass from nothing, or ones."""
    if kind == "fdk":
        return torch.from_numpy(filtered_backprojection(scan.projections, scan.geometry, device=device)[0]).clamp(min=0)
    volume = torch.zeros(scan.geometry.volume_shape, device=device)
    if kind == "random":
        return volume + 1
    subsets = OrderedSubsets(scan, device=device)
    for index in range(min(len(subsets), 50)):
        subsets.correct(volume, index, 0.5)
    return volume


def draw(volume: torch.Tensor, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """`count` voxel indices, drawn with a probability that grows with the volume, and the expected number in each of them.

    Systematic draws along a space-filling (Morton) curve spread more evenly than independent ones.
    """
    values = volume.reshape(-1)
    bright = float(values.quantile(0.995)) if values.numel() < 1 << 24 else float(values.max())
    weights = torch.where(values > FAINT * bright, values.clamp(max=bright), torch.zeros(()))
    if not float(weights.sum()) > 0:
        weights = torch.ones_like(values)  # a dark scan
    order = torch.from_numpy(morton_order(tuple(volume.shape)))
    expected = (weights / weights.double().sum() * count)[order]
    at = (torch.arange(count) + torch.rand(count, generator=generator)).double()
    places = torch.searchsorted(expected.cumsum(0), at).clamp(max=len(order) - 1)
    return order[places], expected[places].float().clamp(min=1e-6)


def morton_order(shape: tuple[int, ...]) -> np.ndarray:
    """Flat indices of a grid [z, y, x] along a curve whose neighbours are neighbours in space."""
    axes = np.meshgrid(*(np.arange(n, dtype=np.int64) for n in shape), indexing="ij")
    key = np.zeros(shape, dtype=np.int64)
    for bit in range(max(shape).bit_length()):
        for axis, index in enumerate(axes):
            key |= ((index >> bit) & 1) << (3 * bit + axis)
    return np.argsort(key.reshape(-1), kind="stable")


def place(geometry: ConeBeamGeometry, values: torch.Tensor, chosen: torch.Tensor, density: torch.Tensor, params: GaussiansParams,
          generator: torch.Generator) -> Mixture:
    """Round Gaussians anywhere in the chosen voxels; `density` is their number per voxel there."""
    count, (_, rows, columns) = len(chosen), geometry.volume_shape
    index = torch.stack([chosen % columns, chosen // columns % rows, chosen // (columns * rows)], 1)  # x y z
    lower = torch.tensor(geometry.volume_bounds[0])
    spacing = torch.tensor(geometry.volume_spacing[::-1], dtype=torch.float64)
    means = (lower + (index + torch.rand(count, 3, generator=generator)) * spacing).float()
    scales = (WIDTH * density ** (-1 / 3)).clamp(params.smallest, params.largest)  # [voxels]
    overlap = (2 * math.pi) ** 1.5 * scales**3 * density  # what amplitude 1 adds up to
    quaternions = torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(count, 1)
    edge = math.prod(geometry.volume_spacing) ** (1 / 3)
    return Mixture(means, quaternions, (scales * edge).log()[:, None].repeat(1, 3), (values / overlap).clamp(min=1e-12).log())


def matched(mixture: Mixture, scan: Scan) -> Mixture:
    """All amplitudes times the factor that fits the measurements best (least squares)."""
    device = mixture.means.device
    rendered, values = MixtureProjector(scan.geometry, device=device)(mixture), torch.tensor(scan.projections, device=device)
    factor = float((rendered.double() * values).sum() / rendered.double().square().sum().clamp(min=1e-30))
    return mixture._replace(log_amplitudes=mixture.log_amplitudes + math.log(max(factor, 1e-12)))
