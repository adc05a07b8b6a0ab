"""A scan as described, possible or not; hypotheses change it, residuals are computed from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
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
    volume is the region that the detector sees.
    """

    projections: np.ndarray
    geometry: Mapping[str, Any]
    truth: np.ndarray | None = None
    box_follows: bool = False
    masks: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, case: Case) -> Setup:
        """Return the training views and the truth of a case. Raise InputError unless the views are line integrals."""
        if case.scan.composite != "sum":
            raise InputError(f"case '{case.name}'", expected=MEASURED["sum"], found=MEASURED[case.scan.composite])
        values = {field.name: getattr(case.scan.geometry, field.name) for field in dataclasses.fields(case.scan.geometry)}
        return cls(case.scan.projections, values, case.truth, masks=case.scan.masks, notes=case.notes)

    def changed(self, **values: Any) -> Setup:
        """Return the setup with other geometry keywords."""
        return dataclasses.replace(self, geometry={**self.geometry, **values})

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
        if total <= count:
            return self
        chosen = np.linspace(0, total, count, endpoint=False).astype(int)
        per_view = {
            name: np.asarray(value)[chosen]
            for name, value in self.geometry.items()
            if name == "angles" or (name in (*ConeBeamGeometry.PER_VIEW, "view_vectors") and np.ndim(value) > 0)
        }
        return dataclasses.replace(self, projections=self.projections[chosen], geometry={**self.geometry, **per_view})

    def coarse(self, geometry: ConeBeamGeometry, pixels: int, voxels: int) -> Coarse:
        """Return the scan on a detector of about `pixels` and a grid of `voxels`, at most, along the longest edges."""
        factor = max(1, min(round(max(geometry.detector_shape) / pixels), min(geometry.detector_shape)))
        rows, columns = (count // factor * factor for count in geometry.detector_shape)
        cut = self.projections[:, :rows, :columns]
        measured = cut.reshape(len(cut), rows // factor, factor, columns // factor, factor).mean((2, 4), dtype=np.float64)
        share = min(1.0, voxels / max(geometry.volume_shape))
        z, y, x = (max(1, round(count * share)) for count in geometry.volume_shape)
        grid = geometry.binned(factor).with_volume((z, y, x))
        volume = self.truth
        if volume is not None and share < 1:
            volume = Voxels(volume, geometry.volume_spacing, geometry.volume_offset).averaged(grid)
        return Coarse(measured.astype(np.float32), grid, volume)


@dataclasses.dataclass(frozen=True, eq=False)
class Coarse:
    """A scan small enough to be projected a hundred times in seconds."""

    measured: np.ndarray  # [view, v, u]
    geometry: ConeBeamGeometry
    volume: np.ndarray | None
