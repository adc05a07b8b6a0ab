"""Test data by a discretisation other than the reconstruction's: exact ray lengths through piecewise-constant native voxels.

The projector of the methods interpolates on the reconstruction grid; data made by that projector would flatter
the methods (the inverse crime). Here every ray is cut at the faces of the native voxels (Siddon 1985), several rays per pixel,
and the truth is the mean of the native voxels over each voxel of the reconstruction grid.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmark.errors import InputError
from benchmark.kernels.dispatch import call
from benchmark.scan.depths import central_rays
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.storage import mapped


@dataclasses.dataclass(frozen=True, eq=False)
class Voxels:
    """Piecewise-constant attenuation on the grid where it was measured; 0 outside.

    `values` float32 [z, y, x] [1/mm]; `spacing` (z, y, x) [mm]; `centre` of the grid (z, y, x) [mm]; `note` on the file they come from
    (', ...'); `facts` for the case. Projections integrate the native
    voxels exactly, by another discretisation than any method's. Raises InputError for other shapes and for values that are not finite.
    """

    values: np.ndarray
    spacing: tuple[float, float, float]
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    note: str = ""
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        values = np.asarray(self.values)
        values = mapped.contiguous(values) if values.ndim == 3 and values.size else values
        if values.ndim != 3 or values.size == 0 or mapped.not_finite(values):
            raise InputError("voxels", expected="a finite volume [z, y, x]", found=f"shape {values.shape} or NaN or Inf")
        if len(self.spacing) != 3 or not all(np.isfinite(length) and length > 0 for length in self.spacing):
            raise InputError("voxels.spacing", expected="three positive lengths (z, y, x) in mm", found=f"{self.spacing}")
        if len(self.centre) != 3 or not np.isfinite(self.centre).all():
            raise InputError("voxels.centre", expected="three numbers (z, y, x) in mm", found=f"{self.centre}")
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "spacing", tuple(float(length) for length in self.spacing))

    @property
    def extent(self) -> tuple[float, float, float]:
        """Edge lengths (z, y, x) [mm]."""
        z, y, x = (count * length for count, length in zip(self.values.shape, self.spacing, strict=True))
        return (z, y, x)

    def averaged(self, geometry: ConeBeamGeometry) -> np.ndarray:
        """Return the truth: mean attenuation in each voxel of the geometry's volume, float32 [z, y, x] [1/mm], by exact overlaps.

        Values in a file are read a few planes at a time: the same numbers to float rounding.
        """
        shares = [self._shares(geometry, axis) for axis in range(3)]
        if mapped.file_map(self.values) is None:
            return _contracted(self.values, shares)

        def write(volume: np.ndarray) -> None:
            depth = max(1, mapped.WHOLE * len(volume) // self.values.nbytes)  # planes in about one piece of the values
            for start in range(0, len(volume), depth):
                planes = shares[0][start : start + depth]
                met = np.flatnonzero(planes.any(0))
                near = slice(met[0], met[-1] + 1) if len(met) else slice(0, 1)
                volume[start : start + depth] = _contracted(self.values[near], [planes[:, near], *shares[1:]])
                mapped.release(self.values)
                mapped.release(volume)

        return mapped.filled(geometry.volume_shape, write)

    def _shares(self, geometry: ConeBeamGeometry, axis: int) -> np.ndarray:
        """Return the shares [target, native] of native voxels in each voxel of the geometry's volume along an axis."""
        faces = np.linspace(-0.5, 0.5, geometry.volume_shape[axis] + 1) * geometry.volume_extent[axis] + geometry.volume_offset[axis]
        native = np.linspace(-0.5, 0.5, self.values.shape[axis] + 1) * self.extent[axis] + self.centre[axis]
        return _overlaps(faces, native)

    def project(self, geometry: ConeBeamGeometry, sub_rays: int = 2) -> np.ndarray:
        """Return noise-free line integrals, float32 [view, v, u], of the part inside the geometry's reconstruction box.

        A pixel is the mean line integral over sub_rays x sub_rays rays, spread evenly over it. (A real pixel averages intensities, which
        at edges gives slightly less than the mean integral: an error that no linear model can explain. The data sets of the field leave
        it out, and so does this one.) Raises InputError unless sub_rays >= 1.
        """
        return self._project("simulate_voxels", geometry, sub_rays)

    def maxima(self, geometry: ConeBeamGeometry, sub_rays: int = 2) -> np.ndarray:
        """Return maximum projections, float32 [view, v, u] [1/mm]: each ray's largest voxel inside the reconstruction box, 0 outside.

        A pixel is the mean over sub_rays x sub_rays rays. Raises InputError unless sub_rays >= 1.
        """
        return self._project("simulate_voxel_maxima", geometry, sub_rays)

    def maximum_depths(self, geometry: ConeBeamGeometry) -> np.ndarray:
        """Return where along each pixel's central ray its largest voxel lies (the middle of the first such stretch; see `central_rays`),
        float32 [view, v, u]; NaN where nothing is above 0."""
        rows, columns = geometry.detector_shape
        reach = float(np.abs(geometry.volume_bounds).max(0) @ np.ones(3))  # [mm] beyond the box, whatever the direction
        steps = np.arange(-reach, reach, min(self.spacing) / 2)
        low, high = geometry.volume_bounds
        corner = np.array(self.centre[::-1]) - np.array(self.extent[::-1]) / 2
        found = np.empty(geometry.projection_shape, dtype=np.float32)
        for view in range(geometry.views):
            nearest, directions = central_rays(geometry, view)
            for row in range(rows):
                points = nearest[row, :, None] + steps[None, :, None] * directions[row, :, None]  # [u, step, 3]
                x, y, z = np.moveaxis(np.floor((points - corner) / self.spacing[::-1]).astype(int), -1, 0)
                inside = ((points >= low) & (points <= high)).all(-1)
                for index, count in zip((x, y, z), self.values.shape[::-1], strict=True):
                    inside &= (index >= 0) & (index < count)
                values = np.where(inside, self.values[tuple(np.where(inside, index, 0) for index in (z, y, x))], 0)
                found[view, row] = _middle_of_largest(values, steps)
        return found

    def _project(self, kernel: str, geometry: ConeBeamGeometry, sub_rays: int) -> np.ndarray:
        if sub_rays < 1:
            raise InputError("sub_rays", expected="at least 1 ray per pixel and direction", found=f"{sub_rays}")
        low, high = np.ascontiguousarray(geometry.volume_bounds)
        spacing = np.array(self.spacing[::-1])
        corner = np.array(self.centre[::-1]) - np.array(self.extent[::-1]) / 2
        vectors = np.ascontiguousarray(geometry.vectors())
        projections = np.empty(geometry.projection_shape, dtype=np.float32)
        grid = (self.values, self.values.shape[::-1], spacing, corner, low, high)
        call(kernel, *grid, vectors, *geometry.projection_shape, sub_rays, projections)
        return projections


def _middle_of_largest(values: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Return the middle of the first stretch of the largest value along each row [row, step]; NaN for rows without any above 0."""
    largest = values.max(1, keepdims=True)
    equal = values == largest
    after = np.arange(values.shape[1]) > equal.argmax(1)[:, None]
    stretch = equal & ~np.logical_or.accumulate(~equal & after, axis=1)
    middle = (stretch * steps).sum(1) / stretch.sum(1)
    return np.where(largest[:, 0] > 0, middle, np.nan)


def _contracted(values: np.ndarray, shares: list[np.ndarray]) -> np.ndarray:
    """Return the values contracted along each axis with its shares, [target, native] each; float32."""
    for axis in range(3):
        values = np.moveaxis(np.tensordot(shares[axis], values, axes=(1, axis)), 0, axis)
    return np.ascontiguousarray(values, dtype=np.float32)


def _overlaps(faces: np.ndarray, native: np.ndarray) -> np.ndarray:
    """Return the share of each target interval (between `faces`) covered by each native interval: float32 [target, native]."""
    low = np.maximum(faces[:-1, None], native[None, :-1])
    high = np.minimum(faces[1:, None], native[None, 1:])
    return (np.maximum(high - low, 0) / np.diff(faces)[:, None]).astype(np.float32)
