"""The volume's box against the projections: rays that miss it although they show something."""

from __future__ import annotations

import numpy as np

from benchmark.scan.geometry import ConeBeamGeometry

MOST_VIEWS, MOST_PIXELS = 12, 128  # views, and pixels a side, that are looked at
SHOWN = 0.05  # of a large line integral: less is noise, scatter or air that was not calibrated
NOISE = 5  # times the median difference of neighbours, about a standard deviation: less is noise
WORTH_SAYING = 0.0005  # of all line integrals: 0.08 % beside a box that cuts a limb cost SART 11 dB


def beside_box(projections: np.ndarray, geometry: ConeBeamGeometry) -> float:
    """Return the share (0 .. 1) of the measured line integrals [view, v, u] that lies on rays which miss the volume's box."""
    views = np.unique(np.linspace(0, geometry.views - 1, min(MOST_VIEWS, geometry.views)).astype(int))
    rows, columns = (np.arange(0, count, -(-count // MOST_PIXELS)) for count in geometry.detector_shape)
    across = np.stack([np.asarray(projections[view])[rows] for view in views]).astype(np.float64)
    measured = across[..., columns]
    noise = float(np.median(np.abs(np.diff(across)))) if across.shape[2] > 1 else 0.0
    shown = np.where(measured > max(SHOWN * np.percentile(measured, 99), NOISE * noise), measured, 0.0)
    total = float(shown.sum())
    return 0.0 if total <= 0 else float(shown[~_hits_box(geometry, views, rows, columns)].sum()) / total


def beside_box_note(projections: np.ndarray, geometry: ConeBeamGeometry) -> list[str]:
    """Return a sentence about line integrals beside the box, with the remedy, if they matter."""
    share = beside_box(projections, geometry)
    if share < WORTH_SAYING:
        return []
    edges = " x ".join(f"{edge:.4g}" for edge in geometry.volume_extent)
    return [
        f"{share:.{0 if share >= 0.01 else 2}%} of the measured line integrals miss the volume's box ({edges}, z y x): the body is larger. "
        "Methods that iterate press all of it into the box. Enlarge volume.extent, or set volume.margin or volume.extent: auto."
    ]


def _hits_box(geometry: ConeBeamGeometry, views: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return True for rays that meet the box, voxel faces included, bool [view, row, column]."""
    source, centre, u, v = (part[:, None, None] for part in geometry.vectors()[views].transpose(1, 0, 2))
    height, width = geometry.detector_shape
    i, j = columns[None, None, :, None] - (width - 1) / 2, rows[None, :, None, None] - (height - 1) / 2
    # Half a pixel and half a voxel of room: a pixel shows a strip of the body.
    spare = np.array(geometry.volume_spacing[::-1]) / 2
    low, high = geometry.volume_bounds
    near = (np.linalg.norm(u + v, axis=-1, keepdims=True) / geometry.magnification) / 2
    ray = centre + i * u + j * v - source
    ray = np.where(np.abs(ray) < 1e-12, 1e-12, ray)
    enter, leave = (low - spare - near - source) / ray, (high + spare + near - source) / ray
    first, last = np.minimum(enter, leave).max(-1), np.maximum(enter, leave).min(-1)
    found: np.ndarray = first <= last
    return found
