"""The geometry of a cone-beam scan, as a frozen value.

Axes (right-handed, [mm]): the rotation axis is z. At angle theta the source stands at
source_to_origin * (cos theta, sin theta, 0); detector columns run along u = (-sin theta, cos theta, 0),
rows along v = (0, 0, 1), row 0 lowest. Volumes are [z, y, x], projections [view, v, u].
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from benchmark.errors import InputError
from benchmark.scan import pinholes
from benchmark.scan.turn import Turn

Triple = tuple[float, float, float]
Pair = tuple[float, float]


SHORTEST, LONGEST = 1e-12, 1e12  # [mm] of a pixel or a voxel; products of others overflow


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ConeBeamGeometry:
    """Position of source, detector and volume for every view: a frozen value. Lengths [mm], angles [rad].

    The rotation axis is z. At angle a the source is at source_to_origin * (cos a, sin a, 0); columns run along u = (-sin a, cos a, 0),
    rows along v = z, row 0 lowest. `axis_shift` moves source and detector along u (an axis off centre), `source_height` along z (a helix).
    `detector_roll`, `detector_pitch_angle` and `detector_yaw` turn the detector about the central ray, about u and about v. Each of
    these five is one number, or one per view. `view_vectors` replaces all of it for any other orbit (see `from_vectors`).

    Raise InputError, naming the field, for impossible values.
    """

    source_to_origin: float  # [mm]
    source_to_detector: float  # [mm]
    detector_shape: tuple[int, int]  # (v, u)
    detector_pitch: Pair  # (v, u) [mm]
    volume_shape: tuple[int, int, int]  # (z, y, x)
    volume_spacing: Triple  # (z, y, x) [mm]
    angles: np.ndarray  # [view] [rad]
    detector_offset: Pair = (0.0, 0.0)  # (v, u) [mm]
    volume_offset: Triple = (0.0, 0.0, 0.0)  # (z, y, x) [mm], centre of the volume
    axis_shift: float | np.ndarray = 0.0  # [mm]
    source_height: float | np.ndarray = 0.0  # [mm]
    detector_roll: float | np.ndarray = 0.0  # [rad]
    detector_pitch_angle: float | np.ndarray = 0.0  # [rad]
    detector_yaw: float | np.ndarray = 0.0  # [rad]
    view_vectors: np.ndarray | None = None  # [view, 4, 3] [mm]

    PER_VIEW: ClassVar = ("axis_shift", "source_height", "detector_roll", "detector_pitch_angle", "detector_yaw")

    def __post_init__(self) -> None:
        angles = np.atleast_1d(_numbers("angles", self.angles))
        if angles.ndim != 1 or angles.size == 0:
            raise InputError("geometry.angles", expected="at least one view, shape [view]", found=f"shape {angles.shape}")
        if not np.isfinite(angles).all():
            raise InputError("geometry.angles", expected="finite angles in rad", found="NaN or Inf")
        angles.setflags(write=False)
        self._set("angles", angles)
        for name, count in (("detector_shape", 2), ("volume_shape", 3)):
            self._set(name, _integers(name, getattr(self, name), count))
        for name, count in (("detector_pitch", 2), ("volume_spacing", 3)):
            self._set(name, _within_bounds(name, _floats(name, getattr(self, name), count, positive=True)))
        for name, count in (("detector_offset", 2), ("volume_offset", 3)):
            self._set(name, _floats(name, getattr(self, name), count))
        for name in ("source_to_origin", "source_to_detector"):
            self._set(name, _floats(name, [getattr(self, name)], 1, positive=True)[0])
        if self.source_to_detector <= self.source_to_origin:
            raise InputError(
                "geometry.source_to_detector",
                expected=f"more than source_to_origin = {self.source_to_origin:g} mm (the detector is behind the axis)",
                found=f"{self.source_to_detector:g} mm",
                fix="Check that the two distances are not swapped and that both are in mm.",
            )
        for name in self.PER_VIEW:
            value = _numbers(name, getattr(self, name))
            if value.ndim > 1 or (value.ndim == 1 and value.size != angles.size) or not np.isfinite(value).all():
                raise InputError(
                    f"geometry.{name}",
                    expected=f"a finite number or one per view ({angles.size})",
                    found=f"shape {value.shape}" if np.isfinite(value).all() else "NaN or Inf",
                )
            value.setflags(write=False)
            self._set(name, float(value) if value.ndim == 0 else value)
        if self.view_vectors is not None:
            self._set("view_vectors", _checked_vectors(self.view_vectors, angles.size))
        radius = float(np.hypot(*(np.abs(self.volume_offset[1:]) + np.multiply(self.volume_extent[1:], 0.5))))
        if radius >= self.source_to_origin:
            raise InputError(
                "geometry.source_to_origin",
                expected=f"a source outside the volume (whose corner is {radius:g} mm from the axis)",
                found=f"{self.source_to_origin:g} mm",
                fix="Check the length units of the volume spacing and of the distances.",
            )

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    # -- derived values ---------------------------------------------------------------------------------------------

    @property
    def views(self) -> int:
        """Number of views."""
        return int(self.angles.size)

    @property
    def projection_shape(self) -> tuple[int, int, int]:
        """Shape of the projections (view, v, u)."""
        return (self.views, *self.detector_shape)

    @property
    def volume_extent(self) -> Triple:
        """Edge lengths of the volume, faces included, (z, y, x) [mm]."""
        z, y, x = (n * d for n, d in zip(self.volume_shape, self.volume_spacing, strict=True))
        return (z, y, x)

    @property
    def volume_bounds(self) -> np.ndarray:
        """Lower and upper corner of the volume, faces included, [2, 3] x y z [mm]."""
        centre = np.array(self.volume_offset[::-1])
        half = np.array(self.volume_extent[::-1]) / 2
        return np.stack([centre - half, centre + half])

    @property
    def magnification(self) -> float:
        """source_to_detector / source_to_origin."""
        return self.source_to_detector / self.source_to_origin

    def voxel_centres(self, axis: int) -> np.ndarray:
        """Return the coordinates of the voxel centres along axis 0 (z), 1 (y) or 2 (x) [mm]."""
        n, d = self.volume_shape[axis], self.volume_spacing[axis]
        return (np.arange(n) - (n - 1) / 2) * d + self.volume_offset[axis]

    def voxel_vectors(self) -> np.ndarray:
        """Return `vectors` in voxels; positions count from the centre of the first voxel."""
        spacing = np.array(self.volume_spacing[::-1])
        vectors = self.vectors()
        vectors[:, :2] -= self.volume_bounds[0] + spacing / 2
        return np.ascontiguousarray(vectors / spacing)

    def vectors(self) -> np.ndarray:
        """Return source, detector centre, u step and v step (one pixel) of every view: float64 [view, 4, 3], x y z [mm].

        Pixel (row j, column i) lies at centre + (i - (W - 1) / 2) u + (j - (H - 1) / 2) v.
        """
        if self.view_vectors is not None:
            return np.array(self.view_vectors)
        cos, sin = np.cos(self.angles), np.sin(self.angles)
        zero, one = np.zeros_like(cos), np.ones_like(cos)
        ray = np.stack([-cos, -sin, zero], -1)  # central ray, from the source to the detector
        u = np.stack([-sin, cos, zero], -1)
        v = np.stack([zero, zero, one], -1)
        shift = np.broadcast_to(self.axis_shift, cos.shape)[:, None] * u + np.broadcast_to(self.source_height, cos.shape)[:, None] * v
        source = -self.source_to_origin * ray + shift
        u_turned, v_turned = u, v
        for axis, angle in ((ray, self.detector_roll), (u, self.detector_pitch_angle), (v, self.detector_yaw)):
            if np.any(angle):
                angle = np.broadcast_to(angle, cos.shape)
                u_turned, v_turned = _rotate(u_turned, axis, angle), _rotate(v_turned, axis, angle)
        centre = source + self.source_to_detector * ray + self.detector_offset[1] * u + self.detector_offset[0] * v
        return np.stack([source, centre, u_turned * self.detector_pitch[1], v_turned * self.detector_pitch[0]], 1)

    @property
    def is_circular(self) -> bool:
        """True for a circular orbit with an upright detector, which FDK needs; offsets and an axis shift are allowed."""
        turned = (self.detector_roll, self.detector_pitch_angle, self.detector_yaw)
        return self.view_vectors is None and not (np.ptp(self.source_height) or any(np.any(angle) for angle in turned))

    @property
    def fan_angle(self) -> float:
        """Full fan angle of the detector in the mid plane [rad]."""
        half = self.detector_shape[1] * self.detector_pitch[1] / 2
        return float(sum(np.arctan((half + s * self.detector_offset[1]) / self.source_to_detector) for s in (1, -1)))

    @property
    def arc(self) -> float:
        """Angle covered by the views [rad], 2 pi at most: the circle less its widest gap, unless that is a step (lost or unequal views)."""
        turn = Turn.of(self.angles)
        if turn.step > 2 * np.pi - 1e-9:  # one direction
            return 0.0
        return float(2 * np.pi - turn.missing().max())

    # -- other beams and orbits --------------------------------------------------------------------------------------------------

    @classmethod
    def from_vectors(cls, vectors: np.ndarray, **grid: Any) -> ConeBeamGeometry:
        """Return a geometry of any orbit from `vectors` [view, 4, 3]: source, detector centre, u step and v step (one pixel), x y z [mm].

        `grid` holds the remaining fields: detector_shape, volume_shape, volume_spacing, volume_offset. Angles become those of the sources
        about z; distances and pixel size become means over the views. Code that needs a circular orbit rejects the result.
        """
        return cls(**cls.nominal(vectors), **grid)

    @staticmethod
    def nominal(vectors: np.ndarray) -> dict[str, Any]:
        """Return the fields that `vectors` [view, 4, 3] determine: view_vectors, and the nearest angles, distances and pixel size."""
        vectors = _checked_vectors(vectors, None)
        source, centre, u, v = vectors.transpose(1, 0, 2)
        return {
            "view_vectors": vectors,
            "angles": np.arctan2(source[:, 1], source[:, 0]),
            "source_to_origin": float(np.linalg.norm(source - [0, 0, source[:, 2].mean()], axis=1).mean()),
            "source_to_detector": float(np.linalg.norm(centre - source, axis=1).mean()),
            "detector_pitch": (float(np.linalg.norm(v, axis=1).mean()), float(np.linalg.norm(u, axis=1).mean())),
        }

    def pinholes(self) -> tuple[np.ndarray, np.ndarray]:
        """Return every view as a pinhole camera of OpenCV: intrinsics K [view, 3, 3] in pixels, camera-to-world poses [view, 4, 4] in mm.

        Camera axes are x right (along u), y down, z forward. Pixel (x, y) is projections[view, H - 1 - y, x] (images have their top row
        first, projections their lowest); (0, 0) is the centre of the top left pixel, so conventions that count from its corner need
        cx + 0.5 and cy + 0.5. The camera stands at the source and looks at right angles onto the detector: offsets are in cx, cy, a turned
        detector turns the camera, oblique pixels are K's skew. A mirrored detector (u x v away from the source) has a negative fx.
        A parallel beam is a source far away (see `parallel_distances`), and K as large.
        """
        return pinholes.from_vectors(self.vectors(), self.detector_shape)

    @classmethod
    def from_pinholes(
        cls,
        intrinsics: np.ndarray,
        poses: np.ndarray,
        *,
        detector_shape: tuple[int, int],
        detector_pitch: Pair | None = None,
        distance: float | np.ndarray | None = None,
        **grid: Any,
    ) -> ConeBeamGeometry:
        """Return the geometry of pinhole cameras as `pinholes` returns them; images need their rows reversed.

        Cameras determine rays, but not where the detector stands: give the size of its pixels (v, u) [mm] or its `distance` from the
        source along the camera's z axis [mm], one number or one per view. Without either it is 1.5 times as far as the origin, which
        changes no ray. `grid` holds the fields of the volume: volume_shape, volume_spacing, volume_offset. Raise InputError, naming the
        view, for impossible cameras and for one that looks away from the volume.
        """
        vectors = pinholes.to_vectors(intrinsics, poses, detector_shape, detector_pitch, distance)
        pinholes.check_in_front(vectors, np.array(grid.get("volume_offset", (0.0, 0.0, 0.0)))[::-1])
        return cls.from_vectors(vectors, detector_shape=detector_shape, **grid)

    # -- other geometries from this one -----------------------------------------------------------------------------

    def subset(self, indices: Sequence[int] | np.ndarray) -> ConeBeamGeometry:
        """Return the same scanner with only these views."""
        indices = np.asarray(indices, dtype=np.int64)
        if indices.size == 0:
            raise InputError("views", expected="at least one view", found="none")
        if indices.min() < 0 or indices.max() >= self.views:
            raise InputError("views", expected=f"indices 0 .. {self.views - 1}", found=f"{indices.min()} .. {indices.max()}")
        per_view = {n: getattr(self, n)[indices] for n in self.PER_VIEW if isinstance(getattr(self, n), np.ndarray)}
        vectors = None if self.view_vectors is None else self.view_vectors[indices]
        return dataclasses.replace(self, angles=self.angles[indices], view_vectors=vectors, **per_view)

    def with_angles(self, angles: Sequence[float] | np.ndarray) -> ConeBeamGeometry:
        """Return the same scanner at other angles [rad]. Values given per view become their mean, `view_vectors` the nearest circle."""
        per_view: dict[str, Any] = {n: float(np.mean(getattr(self, n))) for n in self.PER_VIEW}
        return dataclasses.replace(self, angles=np.array(angles, dtype=np.float64), view_vectors=None, **per_view)

    def with_volume(self, shape: tuple[int, int, int], spacing: Triple | None = None) -> ConeBeamGeometry:
        """Return the same scanner with another grid [z, y, x] in the same box; a `spacing` (z, y, x) [mm] changes the box."""
        if spacing is None:
            z, y, x = (extent / n for extent, n in zip(self.volume_extent, shape, strict=True))
            spacing = (z, y, x)
        return dataclasses.replace(self, volume_shape=shape, volume_spacing=spacing)

    def binned(self, factor: int) -> ConeBeamGeometry:
        """Return the same detector with factor x factor pixels averaged; incomplete bins at the end are dropped."""
        if factor == 1:
            return self
        rows, columns = self.detector_shape
        shape = (rows // factor, columns // factor)
        # Cutting k pixels at the end moves the detector's centre by -k/2 pixels.
        offset = (
            self.detector_offset[0] - (rows % factor) / 2 * self.detector_pitch[0],
            self.detector_offset[1] - (columns % factor) / 2 * self.detector_pitch[1],
        )
        pitch = (self.detector_pitch[0] * factor, self.detector_pitch[1] * factor)
        turned = any(np.any(angle) for angle in (self.detector_roll, self.detector_pitch_angle, self.detector_yaw))
        vectors = self.vectors() if turned and (rows % factor or columns % factor) else self.view_vectors  # the cut follows the turned axes
        if vectors is not None:
            source, centre, u, v = vectors.transpose(1, 0, 2)
            centre = centre - (rows % factor) / 2 * v - (columns % factor) / 2 * u
            vectors = np.stack([source, centre, u * factor, v * factor], 1)
            offset = self.detector_offset
        return dataclasses.replace(self, detector_shape=shape, detector_pitch=pitch, detector_offset=offset, view_vectors=vectors)

    # -- identity ---------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return numbers and lists, for JSON; `from_dict` is the inverse."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        if self.view_vectors is None:  # as if the field did not exist
            del values["view_vectors"]
        return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in values.items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ConeBeamGeometry:
        """Return the geometry that `to_dict` described."""
        return cls(**values)

    @property
    def digest(self) -> str:
        """Hash of every number of the geometry."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:16]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConeBeamGeometry) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(self.digest)

    # -- checks -----------------------------------------------------------------------------------------------------

    def shadow(self) -> np.ndarray:
        """Return the lowest and highest pixel that the volume's box reaches, counted from the detector's centre: [view, (v, u), 2]."""
        corners = np.stack(np.meshgrid(*self.volume_bounds.T, indexing="ij"), -1).reshape(-1, 3)
        source, centre, u, v = self.vectors().transpose(1, 0, 2)
        normal = np.cross(u, v)
        towards = corners[None] - source[:, None]  # [view, corner, 3]
        depth = np.einsum("vcx,vx->vc", towards, normal)
        scale = np.einsum("vx,vx->v", centre - source, normal)[:, None] / depth
        hit = source[:, None] + scale[..., None] * towards - centre[:, None]
        pixels = [np.einsum("vcx,vx->vc", hit, axis) / np.einsum("vx,vx->v", axis, axis)[:, None] for axis in (v, u)]
        return np.stack([np.stack([pixel.min(1), pixel.max(1)], -1) for pixel in pixels], 1)

    def check_sees_volume(self) -> None:
        """Raise InputError unless every view's detector sees at least a part of the volume."""
        shadow = self.shadow()
        for step, name in ((1, "u"), (0, "v")):
            half = self.detector_shape[step] / 2
            unseen = (shadow[:, step, 0] >= half) | (shadow[:, step, 1] <= -half)
            if unseen.any():
                raise InputError(
                    "geometry.detector_offset",
                    expected="a detector that sees the volume",
                    found=f"view {int(np.flatnonzero(unseen)[0])} misses it along {name}",
                    fix="Check detector_offset, volume_offset and the units of both.",
                )


def parallel_distances(detector_shape: tuple[int, int], detector_pitch: Pair) -> Pair:
    """Return (source_to_origin, source_to_detector) [mm] of a parallel beam for a ConeBeamGeometry; the detector stands on the axis.

    The source is so far away that at 512 pixels a side rays are parallel within a twentieth of a pixel; a greater distance would cost
    float32 rays as much accuracy. `detector_shape` and `detector_pitch` [mm] are (v, u).
    """
    diagonal = float(np.hypot(*np.multiply(detector_shape, detector_pitch)))
    return 2000 * diagonal, 2000 * diagonal * (1 + 1e-9)


def _numbers(name: str, value: Any) -> np.ndarray:
    """Return an independent float64 copy; the caller's array stays writable. Raise InputError if the values are not numbers."""
    try:
        array = np.array(value)
        if array.dtype.kind in "biuf":
            return array.astype(np.float64)
        found = f"{value!r}"
    except (ValueError, TypeError, OverflowError):  # rows of different lengths
        found = f"{value!r}"
    raise InputError(f"geometry.{name}", expected="numbers", found=found if len(found) <= 100 else f"{found[:100]} ...")


def _checked_vectors(value: Any, views: int | None) -> np.ndarray:
    """Return vectors as float64 [view, 4, 3], read-only. Raise InputError unless finite and with the source off the detector plane."""
    vectors = _numbers("view_vectors", value)
    count = max(1, len(vectors)) if views is None and vectors.ndim else views
    if vectors.shape != (count, 4, 3) or not np.isfinite(vectors).all():
        raise InputError("geometry.view_vectors", expected=f"finite numbers [{views or 'view'}, 4, 3]", found=f"shape {vectors.shape}")
    source, centre, u, v = vectors.transpose(1, 0, 2)
    flat = np.abs(np.einsum("vx,vx->v", np.cross(u, v), centre - source))
    flat = flat <= 1e-9 * np.prod([np.linalg.norm(a, axis=1) for a in (u, v, centre - source)], axis=0)
    if flat.any():
        raise InputError(
            "geometry.view_vectors", expected="a source outside the detector plane", found=f"one in the plane in view {int(flat.argmax())}"
        )
    vectors.setflags(write=False)
    return vectors


def _integers(name: str, value: Any, count: int) -> tuple[int, ...]:
    array = _numbers(name, value)
    if array.shape != (count,) or not np.equal(np.mod(array, 1), 0).all() or (array < 1).any():
        raise InputError(f"geometry.{name}", expected=f"{count} positive whole numbers", found=f"{value!r}")
    return tuple(int(n) for n in array)


def _floats(name: str, value: Any, count: int, *, positive: bool = False) -> tuple[float, ...]:
    array = _numbers(name, value)
    if array.shape != (count,) or not np.isfinite(array).all() or (positive and (array <= 0).any()):
        kind = "positive" if positive else "finite"
        raise InputError(f"geometry.{name}", expected=f"{count} {kind} number{'s' * (count > 1)}", found=f"{value!r}")
    return tuple(float(x) for x in array)


def _within_bounds(name: str, lengths: tuple[float, ...]) -> tuple[float, ...]:
    if min(lengths) < SHORTEST or max(lengths) > LONGEST:
        raise InputError(f"geometry.{name}", expected=f"lengths from {SHORTEST:g} to {LONGEST:g} mm", found=f"{lengths!r}")
    return lengths


def _rotate(vectors: np.ndarray, axes: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Return Rodrigues' rotation of vectors [view, 3] about unit axes [view, 3] by angles [view] [rad]."""
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    along: np.ndarray = np.einsum("vx,vx->v", axes, vectors)[:, None] * axes
    turned: np.ndarray = along + cos * (vectors - along) + sin * np.cross(axes, vectors)
    return turned
