"""Ellipsoids: objects whose projections and voxel means are known without any projector."""

from __future__ import annotations

import dataclasses

import numpy as np

from benchmark.errors import InputError
from benchmark.scan.geometry import ConeBeamGeometry

_POINTS_AT_ONCE = 1 << 21  # bounds the memory of supersampling


@dataclasses.dataclass(frozen=True, eq=False)
class Ellipsoids:
    """A sum of n homogeneous ellipsoids, whose projections are known in closed form. Attenuation adds up where they overlap.

    `centres` [n, 3] x y z [mm]; `semi_axes` [n, 3] along the ellipsoid's own axes [mm]; `attenuation` [n] [1/mm], negative for cavities;
    `turns` [n], or one for all: rotation about z, counter-clockwise [rad]. Raises InputError for shapes that do not fit.
    """

    centres: np.ndarray
    semi_axes: np.ndarray
    attenuation: np.ndarray
    turns: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(1))

    def __post_init__(self) -> None:
        count = np.size(self.attenuation)
        turns = np.broadcast_to(self.turns, count) if np.size(self.turns) == 1 else self.turns
        for name, value, shape in (
            ("centres", self.centres, (count, 3)),
            ("semi_axes", self.semi_axes, (count, 3)),
            ("attenuation", self.attenuation, (count,)),
            ("turns", turns, (count,)),
        ):
            array = np.array(value, dtype=np.float64)
            if array.shape != shape or not np.isfinite(array).all() or (name == "semi_axes" and (array <= 0).any()):
                raise InputError(f"ellipsoids.{name}", expected=f"finite numbers (semi-axes > 0), shape {shape}", found=f"{array!r}")
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.attenuation)

    def _to_unit_ball(self) -> np.ndarray:
        """Return [n, 3, 3] maps that turn each centred ellipsoid into the unit ball."""
        cos, sin, zero, one = np.cos(self.turns), np.sin(self.turns), np.zeros(len(self)), np.ones(len(self))
        rotation = np.stack([np.stack([cos, sin, zero], -1), np.stack([-sin, cos, zero], -1), np.stack([zero, zero, one], -1)], 1)
        return rotation / self.semi_axes[:, :, None]

    def project(self, geometry: ConeBeamGeometry, sub_rays: int = 1) -> np.ndarray:
        """Return exact projections, float32 [view, v, u]: the mean over sub_rays x sub_rays rays per pixel of the summed chords.

        With o and d the source and the ray in the frame where the ellipsoid is the unit ball, the chord is
        2 sqrt((o.d)^2 - d.d (o.o - 1)) / d.d ray lengths, where that root is real.
        """
        if sub_rays < 1:
            raise InputError("sub_rays", expected="at least 1 ray per pixel and direction", found=f"{sub_rays}")
        shift = (np.arange(sub_rays) + 0.5) / sub_rays - 0.5  # [pixel]
        rows, columns = ((np.arange(count) - (count - 1) / 2)[:, None] + shift for count in geometry.detector_shape)
        projections = np.empty(geometry.projection_shape, dtype=np.float32)
        for view, (source, centre, u, v) in enumerate(geometry.vectors()):
            targets = centre + rows.reshape(-1, 1, 1) * v + columns.reshape(1, -1, 1) * u
            rays = self._line_integrals(source, targets - source)
            projections[view] = rays.reshape(len(rows), sub_rays, len(columns), sub_rays).mean((1, 3))
        return projections

    def _line_integrals(self, source: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """Return the line integrals [...] from the source [3] along rays [..., 3] (full length, to the detector)."""
        total = np.zeros(rays.shape[:-1])
        for frame, centre, attenuation in zip(self._to_unit_ball(), self.centres, self.attenuation, strict=True):
            origin, direction = frame @ (source - centre), rays @ frame.T
            squared = np.einsum("...x,...x->...", direction, direction)
            along = direction @ origin
            total += attenuation * 2 * np.sqrt(np.maximum(along**2 - squared * (origin @ origin - 1), 0)) / squared
        return total * np.linalg.norm(rays, axis=-1)

    def averaged(self, geometry: ConeBeamGeometry, supersample: int = 6) -> np.ndarray:
        """Return the truth: mean attenuation in each voxel of the geometry's volume, float32 [z, y, x] [1/mm].

        Voxels that a surface may cross are sampled at supersample^3 points; all others are exact.
        """
        centres = [geometry.voxel_centres(axis) for axis in (2, 1, 0)]  # x, y, z
        spacing = np.array(geometry.volume_spacing[::-1])
        points = (np.arange(supersample) + 0.5) / supersample - 0.5
        inner = np.stack(np.meshgrid(points, points, points, indexing="ij"), -1).reshape(-1, 3) * spacing
        volume = np.zeros(geometry.volume_shape)
        for frame, centre, axes, attenuation in zip(self._to_unit_ball(), self.centres, self.semi_axes, self.attenuation, strict=True):
            margin = 0.5 * np.linalg.norm(spacing) / axes.min()  # no voxel reaches further in the unit ball's frame
            reach = np.array([max(axes[:2]), max(axes[:2]), axes[2]]) + spacing
            near = [np.flatnonzero(np.abs(c - m) <= r) for c, m, r in zip(centres, centre, reach, strict=True)]
            if min(map(len, near)) == 0:
                continue
            x, y = centres[0][near[0]] - centre[0], centres[1][near[1]] - centre[1]
            slab = max(1, _POINTS_AT_ONCE // (len(x) * len(y)))
            for rows in np.split(near[2], range(slab, len(near[2]), slab)):
                z = centres[2][rows] - centre[2]
                grid = np.stack(np.broadcast_arrays(x[None, None, :], y[None, :, None], z[:, None, None]), -1) @ frame.T  # [z, y, x, 3]
                radius = np.linalg.norm(grid, axis=-1)
                share = (radius < 1).astype(np.float64)
                crossed = np.abs(radius - 1) <= margin
                share[crossed] = _share_inside(grid[crossed], inner @ frame.T)
                volume[np.ix_(rows, near[1], near[0])] += attenuation * share
        return volume.astype(np.float32)


def _share_inside(centres: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return the share of the points centres[m] + offsets[s] inside the unit ball, [m]."""
    share = np.empty(len(centres))
    step = max(1, _POINTS_AT_ONCE // len(offsets))
    for first in range(0, len(centres), step):
        block = centres[first : first + step]
        squared = (block**2).sum(1)[:, None] + 2 * block @ offsets.T + (offsets**2).sum(1)
        share[first : first + step] = (squared < 1).mean(1)
    return share
