"""Scans as other cameras and other light would have shown them: turned, moved and tinted anew in every step of a fit."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from benchmark.api import ConeBeamGeometry, Scan

from . import CarveParams
from .hull import carving_geometry


def augmented(scan: Scan, params: CarveParams, generator: torch.Generator) -> Scan:
    """Return the scan with its thing turned about the vertical, moved, and (photographs) each colour channel brighter or darker."""
    turn, *rest = (2 * torch.rand(7, generator=generator, dtype=torch.float64) - 1).tolist()
    edges = np.array(carving_geometry(scan.geometry, params.voxels).volume_spacing[::-1])  # x y z [mm]
    geometry = moved(scan.geometry, np.deg2rad(params.augment_angle) * turn, params.augment_centre * edges * rest[:3])
    if scan.colours is None:
        return dataclasses.replace(scan, geometry=geometry)
    gains = 1 + params.augment_colour * np.array(rest[3:], dtype=np.float32)
    return dataclasses.replace(scan, geometry=geometry, colours=np.clip(scan.colours * gains, 0, 1))


def moved(geometry: ConeBeamGeometry, angle: float, shift: np.ndarray) -> ConeBeamGeometry:
    """Return the cameras turned by an angle [rad] about the vertical through the middle of the box, then shifted [3] x y z [mm]."""
    if not angle and not shift.any():
        return geometry
    cos, sin = np.cos(angle), np.sin(angle)
    turn, middle = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]]), geometry.volume_bounds.mean(0)
    vectors = geometry.vectors()
    vectors[:, :2] -= middle
    vectors = vectors @ turn.T
    vectors[:, :2] += middle + shift
    names = ("detector_shape", "volume_shape", "volume_spacing", "volume_offset")
    return ConeBeamGeometry.from_vectors(vectors, **{name: getattr(geometry, name) for name in names})
