"""A scan as described, possible or not; hypotheses change it, residuals are computed from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmark.acquisition.voxels import Voxels
from benchmark.errors import InputError
from benchmark.scan.case import Case
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan.scan import MEASURED
from benchmark.scan_folder.orbit import field_of_view


@dataclasses.dataclass(frozen=True, eq=False)
class Setup:
    """Measured numbers [view, v, u], the keywords of a ConeBeamGeometry (which need not describe a scanner), truth [z, y, x] or None,
    masks bool [view, v, u] or None, and notes for the user about the data.

    `detector_shape` and `volume_shape` always follow the arrays. `box_follows`: the description gives no position of the volume, so the
    volume is the region that the detector sees. `every_angle` are the angles of all views of the scan, of which the setup has `indices`
    (None: it has all). `binning`: pixels of the measured views along the edge of one of the setup's. `voxel`: edges (z, y, x) as
    described, None where the description leaves them open. `partial_truth`: the truth is smaller than the volume.
    """

    projections: np.ndarray
    geometry: Mapping[str, Any]
    truth: np.ndarray | None = None
    box_follows: bool = False
    masks: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    every_angle: np.ndarray | None = None
    indices: np.ndarray | None = None
    binning: int = 1
    voxel: tuple[float, float, float] | None = None
    length_unit: str = "mm"
    partial_truth: bool = False

    @classmethod
    def of(cls, case: Case) -> Setup:
        """Return the training views and the truth of a case. Raise InputError unless the views are line integrals."""
        if case.scan.composite != "sum":
            raise InputError(f"case '{case.name}'", expected=MEASURED["sum"], found=MEASURED[case.scan.composite])
        values = {field.name: getattr(case.scan.geometry, field.name) for field in dataclasses.fields(case.scan.geometry)}
        voxel, unit, notes = case.scan.geometry.volume_spacing, case.scan.length_unit, case.notes
        return cls(case.scan.projections, values, case.truth, masks=case.scan.masks, notes=notes, voxel=voxel, length_unit=unit)

    def changed(self, **values: Any) -> Setup:
        """Return the setup with other geometry keywords."""
        return dataclasses.replace(self, geometry={**self.geometry, **values})

    def with_angles(self, change: Callable[[np.ndarray], np.ndarray]) -> Setup:
        """Return the setup with changed angles; `change` sees those of all views of the scan, in their order."""
        if self.every_angle is None or self.indices is None:
            return self.changed(angles=change(np.asarray(self.geometry["angles"])))
        every = change(self.every_angle)
        return dataclasses.replace(self.changed(angles=every[self.indices]), every_angle=every)

    def with_projections(self, projections: np.ndarray) -> Setup:
        """Return the setup with the detector's axes flipped or swapped."""
        return dataclasses.replace(self, projections=projections, geometry={**self.geometry, "detector_shape": projections.shape[1:]})

    def with_truth(self, truth: np.ndarray) -> Setup:
        """Return the setup with the volume's axes reversed or swapped."""
        return dataclasses.replace(self, truth=truth, geometry={**self.geometry, "volume_shape": truth.shape})

    @property
    def any_orbit(self) -> bool:
        """True if a table of vectors gives the orbit: angles, distances and offsets then have no meaning."""
        return self.geometry.get("view_vectors") is not None

    def possible(self) -> ConeBeamGeometry | None:
        """Return the geometry, or None if it describes no scanner, or one that does not see the volume."""
        values = dict(self.geometry)
        if self.box_follows:
            box, longest = field_of_view(values), max(values["volume_shape"])
            if self.truth is None:
                values["volume_shape"] = tuple(max(1, round(longest * edge / max(box))) for edge in box)
            values["volume_spacing"] = tuple(edge / count for edge, count in zip(box, values["volume_shape"], strict=True))
        try:
            geometry = ConeBeamGeometry(**values)
            geometry.check_sees_volume()
            return geometry
        except InputError:
            return None

    def some_views(self, count: int) -> Setup:
        """Return the setup with at most `count` views, evenly chosen."""
        total = len(self.projections)
        return self if total <= count else self.only(np.linspace(0, total, count, endpoint=False).astype(int))

    def only(self, chosen: np.ndarray) -> Setup:
        """Return the setup with these of its views."""
        per_view = {
            name: np.asarray(value)[chosen]
            for name, value in self.geometry.items()
            if name == "angles" or (name in (*ConeBeamGeometry.PER_VIEW, "view_vectors") and np.ndim(value) > 0)
        }
        return dataclasses.replace(
            self,
            projections=self.projections[chosen],
            masks=None if self.masks is None else self.masks[chosen],
            geometry={**self.geometry, **per_view},
            every_angle=np.asarray(self.geometry["angles"]) if self.every_angle is None else self.every_angle,
            indices=chosen if self.indices is None else self.indices[chosen],
        )

    def binned(self, pixels: int, voxels: int) -> Setup:
        """Return the setup on a detector of about `pixels` and with a truth of `voxels`, at most, along the longest edges.

        The factor is as in `coarse`, which has nothing left to do then. Any orbit stays as it is.
        """
        if self.any_orbit:
            return self
        found = self
        factor = _factor(self.projections.shape[1:], pixels)
        if factor > 1:
            (v, u), (offset_v, offset_u) = self.geometry["detector_pitch"], self.geometry.get("detector_offset", (0.0, 0.0))
            measured = _binned(self.projections, factor)
            rows, columns = (total % factor for total in self.projections.shape[1:])
            found = self.with_projections(measured).changed(
                detector_pitch=(v * factor, u * factor), detector_offset=(offset_v - rows / 2 * v, offset_u - columns / 2 * u)
            )
            found = dataclasses.replace(found, masks=None, binning=self.binning * factor)
        if self.truth is None or max(self.truth.shape) <= voxels:
            return found
        spacing = found.geometry["volume_spacing"]
        shape = tuple(max(1, round(count * voxels / max(self.truth.shape))) for count in self.truth.shape)
        edges = tuple(count * edge / new for count, edge, new in zip(self.truth.shape, spacing, shape, strict=True))
        truth = Voxels(self.truth, spacing).averaged(far_grid(shape, edges))
        return dataclasses.replace(found, truth=truth, geometry={**found.geometry, "volume_shape": shape, "volume_spacing": edges})

    def coarse(self, geometry: ConeBeamGeometry, pixels: int, voxels: int) -> Coarse:
        """Return the scan on a detector of about `pixels` and a grid of `voxels`, at most, along the longest edges."""
        factor = _factor(geometry.detector_shape, pixels)
        measured = _binned(self.projections, factor)
        share = min(1.0, voxels / max(geometry.volume_shape))
        z, y, x = (max(1, round(count * share)) for count in geometry.volume_shape)
        grid = geometry.binned(factor).with_volume((z, y, x))
        volume = self.truth
        if volume is not None and share < 1:
            volume = Voxels(volume, geometry.volume_spacing, geometry.volume_offset).averaged(grid)
        return Coarse(measured, grid, volume)


@dataclasses.dataclass(frozen=True, eq=False)
class Coarse:
    """A scan small enough to be projected a hundred times in seconds."""

    measured: np.ndarray  # [view, v, u]
    geometry: ConeBeamGeometry
    volume: np.ndarray | None


def _factor(detector: tuple[int, ...], pixels: int) -> int:
    """Return how many pixels of a detector along each axis to average, for about `pixels` along the longer one."""
    return max(1, min(round(max(detector) / pixels), min(detector)))


def _binned(projections: np.ndarray, factor: int) -> np.ndarray:
    if factor == 1:
        return np.ascontiguousarray(projections, dtype=np.float32)
    rows, columns = (count // factor for count in projections.shape[1:])
    cut = projections[:, : rows * factor, : columns * factor]
    return cut.reshape(len(cut), rows, factor, columns, factor).mean((2, 4), dtype=np.float64).astype(np.float32)


def far_grid(shape: tuple[int, ...], spacing: tuple[float, ...], offset: tuple[float, ...] = (0.0, 0.0, 0.0)) -> ConeBeamGeometry:
    """Return a geometry with this volume [z, y, x], seen from far enough away to be possible."""
    size = float(np.linalg.norm(np.multiply(shape, spacing))) + float(np.linalg.norm(offset))
    (z, y, x), (edge_z, edge_y, edge_x), (off_z, off_y, off_x) = shape, spacing, offset
    return ConeBeamGeometry(
        source_to_origin=10 * size, source_to_detector=20 * size, detector_shape=(1, 1), detector_pitch=(10 * size, 10 * size),
        angles=np.zeros(1),
        volume_shape=(z, y, x), volume_spacing=(edge_z, edge_y, edge_x), volume_offset=(off_z, off_y, off_x),
    )  # fmt: skip
