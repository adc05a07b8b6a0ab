"""Start of the Gaussians: drawn from a quick reconstruction, as wide as their distance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from benchmark.api import ConeBeamGeometry, InputError, OrderedSubsets, Scan, filtered_backprojection, maximum_positions, upper_bound
from benchmark.fields import Measurements, Mixture, MixtureMaxima, MixtureProjector

from . import GaussiansParams
from .neuron import along_neuron

WIDTH = {"sum": 0.6, "max": 1.2}  # standard deviation over the distance between neighbours: a maximum has dips between narrow ones
VOXELS, PIXELS = 20, 14  # for each Gaussian and its eleven numbers
GLOWING_VOXELS = 4  # the same of voxels that may glow at all, in maximum projections
FAINT = 0.05  # voxels below this fraction of the brightest ones (99.5 %) get no Gaussian


def start_mixture(scan: Scan, params: GaussiansParams, generator: torch.Generator, device: str = "cpu") -> tuple[Mixture, str]:
    """Return the mixture before the first step, on `device`, and its source (see `start`)."""
    kind = start_kind(scan, params)
    mixture = along_neuron(scan, params) if kind == "swc" else drawn(scan, start_volume(scan, kind, device).cpu(), params, generator)
    mixture = as_asked(Mixture(*(tensor.to(device) for tensor in mixture)), scan, params)
    return mixture if params.init_amplitude is not None else matched(mixture, scan, params), kind


def continued(weights: dict[str, Any], scan: Scan, params: GaussiansParams, device: str = "cpu") -> Mixture:
    """Return the Gaussians of an earlier fit, the brightest `cap` of them. Raise InputError for those of another kind of views."""
    kind = weights["field"]["composite"]
    if kind != scan.composite:
        expected = f"Gaussians fitted to views of the scan's kind ({scan.composite})"
        raise InputError("gaussians.weights", expected=expected, found=f"those of the kind {kind}")
    mixture = Mixture(*(tensor.to(device) for tensor in weights["population"]["mixture"]))
    if params.cap is None or mixture.size <= params.cap:
        return mixture
    kept = mixture.log_amplitudes.topk(params.cap).indices.sort().values
    return Mixture(*(tensor[kept] for tensor in mixture))


def as_asked(mixture: Mixture, scan: Scan, params: GaussiansParams) -> Mixture:
    """Return the mixture with the standard deviation and the amplitude of `init_scale` and `init_amplitude`, where these are given."""
    if params.init_scale is not None:
        edge = math.prod(scan.geometry.volume_spacing) ** (1 / 3)
        mixture = mixture._replace(log_scales=torch.full_like(mixture.log_scales, math.log(params.init_scale * edge)))
    if params.init_amplitude is not None:
        level = float(scan.projections.max()) if scan.composite == "max" else Measurements(scan).mean_attenuation
        log_amplitude = math.log(params.init_amplitude * max(level, 1e-12))
        mixture = mixture._replace(log_amplitudes=torch.full_like(mixture.log_amplitudes, log_amplitude))
    return mixture


def drawn(scan: Scan, volume: torch.Tensor, params: GaussiansParams, generator: torch.Generator) -> Mixture:
    """Return round Gaussians drawn by the density of a volume [z, y, x], as bright as the volume."""
    count = params.gaussians or usual_count(scan, volume)
    count = min(count, params.cap or count)
    chosen, density = draw(volume, count, generator)
    values = volume.reshape(-1)[chosen]
    scales = (WIDTH[scan.composite] * density ** (-1 / 3)).clamp(params.smallest, params.largest)  # [voxels]
    if scan.composite == "sum":  # what amplitude 1 adds up to where neighbours overlap
        values = values / ((2 * math.pi) ** 1.5 * scales**3 * density)
    return place(scan.geometry, values, chosen, scales, generator)


def start_kind(scan: Scan, params: GaussiansParams) -> str:
    """Return the source to draw from. Raise InputError for a source that the scan's kind of views cannot provide."""
    if params.start is None and params.swc is not None:
        return "swc"
    deep = scan.depths is not None and np.isfinite(scan.depths).any()
    kind = params.start or (("depths" if deep and params.depth else "bound") if scan.composite == "max" else "sart")
    possible = (("bound", *(["depths"] if deep else []), "random", "swc")) if scan.composite == "max" else ("fdk", "sart", "random", "swc")
    if kind not in possible:
        raise InputError("gaussians.start", expected=f"one of {', '.join(possible)} for such views", found=f"'{kind}'")
    return kind


def usual_count(scan: Scan, volume: torch.Tensor) -> int:
    """Return the number of Gaussians that voxels and pixels can resolve; for maxima only voxels that may glow count."""
    if scan.composite == "max":
        of_voxels = int((volume > FAINT * volume.max()).sum()) // GLOWING_VOXELS
    else:
        of_voxels = math.prod(scan.geometry.volume_shape) // VOXELS
    return max(1, min(of_voxels, math.prod(scan.geometry.projection_shape) // PIXELS))


def start_volume(scan: Scan, kind: str, device: str = "cpu") -> torch.Tensor:
    """Return [z, y, x], at least 0: an FDK, one SART pass from zero, the upper bound from maxima, the maxima at their depths, or ones."""
    if kind == "fdk":
        return torch.from_numpy(filtered_backprojection(scan.projections, scan.geometry, device=device)[0]).clamp(min=0)
    if kind == "bound":
        return upper_bound(scan, device).clamp(min=0)
    volume = torch.zeros(scan.geometry.volume_shape, dtype=torch.float32, device=device)
    if kind == "depths":
        return at_depths(scan).to(device)
    if kind == "random":
        return volume + 1
    subsets = OrderedSubsets(scan, device=device)
    for index in range(min(len(subsets), 50)):
        subsets.correct(volume, index, 0.5)
    return volume


def at_depths(scan: Scan) -> torch.Tensor:
    """Return [z, y, x]: the largest of the maxima that lie in each voxel, 0 where none lies."""
    geometry, (positions, values) = scan.geometry, maximum_positions(scan)
    volume = np.zeros(geometry.volume_shape, dtype=np.float32)
    index = np.floor((positions - geometry.volume_bounds[0]) / geometry.volume_spacing[::-1]).astype(int)[:, ::-1]  # z y x
    inside = ((index >= 0) & (index < geometry.volume_shape)).all(1)
    np.maximum.at(volume, tuple(index[inside].T), values[inside])
    return torch.from_numpy(volume)


def draw(volume: torch.Tensor, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw `count` voxel indices with a probability that grows with the volume; return them and the expected number in each.

    Systematic draws along a space-filling (Morton) curve spread more evenly than independent ones.
    """
    values = volume.reshape(-1)
    bright = float(values.quantile(0.995)) if values.numel() < 1 << 24 else float(values.max())
    weights = torch.where(values > FAINT * bright, values.clamp(max=bright), torch.zeros((), dtype=torch.float32))
    if not float(weights.sum()) > 0:
        weights = torch.ones_like(values)  # a dark scan
    order = torch.from_numpy(morton_order(tuple(volume.shape)))
    expected = (weights / weights.double().sum() * count)[order]
    at = (torch.arange(count) + torch.rand(count, dtype=torch.float32, generator=generator)).double()
    places = torch.searchsorted(expected.cumsum(0), at).clamp(max=len(order) - 1)
    return order[places], expected[places].float().clamp(min=1e-6)


def morton_order(shape: tuple[int, ...]) -> np.ndarray:
    """Return flat indices of a grid [z, y, x] along a Morton curve, whose neighbours are neighbours in space."""
    axes = np.meshgrid(*(np.arange(n, dtype=np.int64) for n in shape), indexing="ij")
    key = np.zeros(shape, dtype=np.int64)
    for bit in range(max(shape).bit_length()):
        for axis, index in enumerate(axes):
            key |= ((index >> bit) & 1) << (3 * bit + axis)
    return np.argsort(key.reshape(-1), kind="stable")


def place(
    geometry: ConeBeamGeometry, amplitudes: torch.Tensor, chosen: torch.Tensor, scales: torch.Tensor, generator: torch.Generator
) -> Mixture:
    """Return round Gaussians at random positions in the chosen voxels; `scales` are their standard deviations [voxels]."""
    count, (_, rows, columns) = len(chosen), geometry.volume_shape
    index = torch.stack([chosen % columns, chosen // columns % rows, chosen // (columns * rows)], 1)  # x y z
    lower = torch.tensor(geometry.volume_bounds[0])
    spacing = torch.tensor(geometry.volume_spacing[::-1], dtype=torch.float64)
    means = (lower + (index + torch.rand(count, 3, dtype=torch.float32, generator=generator)) * spacing).float()
    quaternions = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float32).repeat(count, 1)
    edge = math.prod(geometry.volume_spacing) ** (1 / 3)
    log_scales = (scales * edge).log()[:, None].repeat(1, 3)
    return Mixture(means, quaternions, log_scales, amplitudes.clamp(min=1e-12).log())


def matched(mixture: Mixture, scan: Scan, params: GaussiansParams) -> Mixture:
    """Return the mixture with amplitudes scaled by the factor that fits the measurements best (least squares; exact maxima)."""
    geometry, device = scan.geometry, mixture.means.device
    projector = MixtureProjector(geometry, device=device) if scan.composite == "sum" else MixtureMaxima(geometry, 0.0, params.cutoff)
    rendered, values = projector(mixture), torch.tensor(scan.projections, device=device)
    factor = float((rendered.double() * values).sum() / rendered.double().square().sum().clamp(min=1e-30))
    return mixture._replace(log_amplitudes=mixture.log_amplitudes + math.log(max(factor, 1e-12)))
