"""Unmeasured views and other resolutions of a checkpoint's field."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmark.errors import InputError
from benchmark.plugins.specs import resolve
from benchmark.runtime.checkpoint import Checkpoint
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan.scan import Composite

MOST_VOXELS = 1 << 31


class NovelField:
    """Field of a checkpoint file. Raise InputError for a file or a method without a field."""

    def __init__(self, path: Path) -> None:
        found = Checkpoint.read(path)
        try:
            method, params, self.geometry = found.method, found.params, found.geometry
        except InputError as error:
            raise error.at(str(path)) from error
        if method.field is None:
            raise InputError(str(path), expected="a checkpoint of a method with a field", found=f"one of '{method.name}'")
        self.composite: Composite = found.facts.get("composite", "sum")  # absent in older files
        self.field: Any = resolve(method.field)(found.state, params, self.geometry)

    def views(self, angles: np.ndarray, samples: int | None = None) -> tuple[np.ndarray, ConeBeamGeometry]:
        """Return projections [view, v, u] (line integrals or maxima, as in the scan; opacities for photographs) at angles [rad].

        `samples` is per ray; None: two per voxel along the longest edge.
        """
        import torch

        from benchmark.projection.marching import line_integral
        from benchmark.projection.rays import view_rays

        geometry = self.geometry.with_angles(angles)
        count = samples or 2 * max(geometry.volume_shape)
        with torch.no_grad():
            mode: Literal["sum", "max"] = "max" if self.composite == "max" else "sum"
            values = line_integral(self.field, view_rays(geometry), geometry.volume_bounds, samples=count, mode=mode)
        if self.composite == "over":
            values = -torch.expm1(-values)
        return values.numpy().reshape(geometry.projection_shape), geometry

    def volume(self, size: int, supersample: int = 1) -> tuple[np.ndarray, ConeBeamGeometry]:
        """Return the volume [z, y, x] (1/mm) with `size` voxels along its longest edge, the others in proportion."""
        from benchmark.fields.volume import field_volume

        longest = max(self.geometry.volume_extent)
        z, y, x = (max(1, round(size * extent / longest)) for extent in self.geometry.volume_extent)
        if size < 1 or z * y * x > MOST_VOXELS:
            raise InputError("--size", expected=f"1 or more, and at most {math.floor(MOST_VOXELS ** (1 / 3))} for a cube", found=f"{size}")
        geometry = self.geometry.with_volume((z, y, x))
        return field_volume(self.field, geometry, supersample).numpy(), geometry
