"""Start along a neuron's shape: Gaussians from node to node, as thick as the neurite and as long as their distance."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch

from benchmark.api import InputError, Morphology, Scan, read_swc
from benchmark.fields import Mixture

from . import GaussiansParams

APART = 1.0  # of two Gaussians along a neurite, in its radii (but at least one voxel)
THICK = 0.6  # standard deviation across, in radii: half of the peak is left at 0.7 radii, a quarter at one
LONG = 0.6  # standard deviation along, in distances to the next Gaussian
MOST_OUTSIDE = 0.5  # of the nodes: with more, scale or origin is wrong


def along_neuron(scan: Scan, params: GaussiansParams) -> Mixture:
    """Return equally bright Gaussians along the edges of the SWC file, as many as `cap` allows.

    Raise InputError for a neuron mostly outside the volume.
    """
    assert params.swc is not None
    tree, edge = placed(scan, params), math.prod(scan.geometry.volume_spacing) ** (1 / 3)
    distance = max(1.0, params.smallest) * edge
    starts, ends, radii = pieces(tree, distance)
    if params.cap is not None and len(radii) > params.cap:
        kept = np.linspace(0, len(radii) - 1, params.cap).round().astype(int)
        starts, ends, radii = starts[kept], ends[kept], radii[kept]
    lengths = np.linalg.norm(ends - starts, axis=1)
    across = THICK * radii
    along = np.maximum(LONG * lengths, across)
    scales = np.stack([along, across, across], 1).clip(params.smallest * edge, params.largest * edge)
    brightness = max(float(np.quantile(scan.projections, 0.999)), 1e-12)
    means, directions = (starts + ends) / 2, (ends - starts) / np.maximum(lengths, 1e-12)[:, None]
    directions[lengths == 0] = [1.0, 0.0, 0.0]
    return Mixture(
        torch.tensor(means, dtype=torch.float32),
        torch.tensor(turned_to(directions), dtype=torch.float32),
        torch.tensor(np.log(scales), dtype=torch.float32),
        torch.full((len(means),), math.log(brightness), dtype=torch.float32),
    )


def placed(scan: Scan, params: GaussiansParams) -> Morphology:
    """Return the file's trees in the scan's unit and coordinates, including nodes outside the box."""
    path = Path(str(params.swc))
    tree, bounds = read_swc(path), scan.geometry.volume_bounds
    origin = bounds.mean(0) if params.swc_origin == "middle" else bounds[0]
    positions = tree.positions * params.swc_scale + origin
    outside = ((positions < bounds[0]) | (positions > bounds[1])).any(1)
    if outside.mean() > MOST_OUTSIDE:
        raise InputError(
            f"gaussians.swc {path}",
            expected=f"a neuron inside the volume of {' x '.join(f'{n:.4g}' for n in np.diff(bounds, axis=0)[0])} {scan.length_unit}",
            found=f"{int(outside.sum())} of {len(positions)} nodes outside",
            fix="Set gaussians.swc_scale or gaussians.swc_origin.",
        )
    return Morphology(positions, tree.radii * params.swc_scale, tree.parents)


def pieces(tree: Morphology, shortest: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return both ends [n, 3] and the mean radius [n] of pieces of the edges, about APART radii long."""
    starts, ends, radii = [], [], []
    for child, parent in tree.edges:
        a, b = tree.positions[child], tree.positions[parent]
        thick, thin = tree.radii[child], tree.radii[parent]
        count = max(1, math.ceil(np.linalg.norm(b - a) / max(APART * (thick + thin) / 2, shortest)))
        cuts = np.linspace(0, 1, count + 1)
        starts.append(a + cuts[:-1, None] * (b - a))
        ends.append(a + cuts[1:, None] * (b - a))
        radii.append(thick + (cuts[:-1] + cuts[1:]) / 2 * (thin - thick))
    return np.concatenate(starts), np.concatenate(ends), np.concatenate(radii)


def turned_to(directions: np.ndarray) -> np.ndarray:
    """Return quaternions [n, 4] (w x y z) of the shortest rotations that turn x to unit directions [n, 3]."""
    x = directions[:, 0]
    quaternions = np.stack([1 + x, np.zeros_like(x), -directions[:, 2], directions[:, 1]], 1)
    quaternions[x < -1 + 1e-9] = [0.0, 0.0, 0.0, 1.0]  # half a turn about z
    return quaternions / np.linalg.norm(quaternions, axis=1, keepdims=True)
