"""Pinhole cameras, and their conversion to the views of a geometry."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.api import ConeBeamGeometry, InputError

NAMES = ("rotation", "translation", "intrinsics")  # in a camera file


@dataclasses.dataclass(frozen=True, eq=False)
class Cameras:
    """x_camera = rotation x_world + translation [mm]; a point is seen at pixel K x_camera / z, x to the right, y down, (0, 0) being
    the middle of the top left pixel. rotation [camera, 3, 3], translation [camera, 3], intrinsics K [camera, 3, 3].

    Raise InputError, naming the camera, for impossible values.
    """

    rotation: np.ndarray
    translation: np.ndarray
    intrinsics: np.ndarray
    numbers: tuple[int, ...] | None = None  # numbers used in errors; none = 0, 1, 2, ...

    def __post_init__(self) -> None:
        count = len(self.rotation)
        for name, shape in (("rotation", (count, 3, 3)), ("translation", (count, 3)), ("intrinsics", (count, 3, 3))):
            values = getattr(self, name)
            if values.shape != shape or not np.isfinite(values).all():
                raise InputError(f"cameras.{name}", expected=f"finite numbers {list(shape)}", found=f"shape {list(values.shape)}")
        for camera in range(count):
            turn, inner = self.rotation[camera], self.intrinsics[camera]
            if np.abs(turn @ turn.T - np.eye(3)).max() > 1e-3 or np.linalg.det(turn) < 0:
                fix, found = "Give the rotation from world to camera axes (x right, y down, z forward).", f"{turn.round(3).tolist()}"
                raise InputError(f"camera {self.number(camera)}: rotation", expected="a rotation matrix", found=found, fix=fix)
            if min(inner[0, 0], inner[1, 1]) <= 0 or np.abs(inner[2] - [0, 0, 1]).max() > 1e-6 or abs(inner[1, 0]) > 1e-6:
                expected = "[[fx, skew, cx], [0, fy, cy], [0, 0, 1]] in pixels"
                raise InputError(f"camera {self.number(camera)}: intrinsics", expected=expected, found=f"{inner.tolist()}")

    def __len__(self) -> int:
        return len(self.rotation)

    @property
    def positions(self) -> np.ndarray:
        """Centres of projection, [camera, 3] [mm]."""
        return -np.einsum("cji,cj->ci", self.rotation, self.translation)

    def subset(self, indices: list[int]) -> Cameras:
        """Return only these cameras."""
        numbers = tuple(self.number(index) for index in indices)
        return Cameras(self.rotation[indices], self.translation[indices], self.intrinsics[indices], numbers)

    def number(self, index: int) -> int:
        """Return the number of a camera as used in errors."""
        return index if self.numbers is None else self.numbers[index]

    def in_frame(self, centre: np.ndarray, yaw: float) -> Cameras:
        """Return the cameras in a frame whose origin is `centre` [mm] and whose x axis is the world's, turned by `yaw` [rad] about z."""
        turn = about_z(yaw)
        return Cameras(self.rotation @ turn, self.translation + self.rotation @ centre, self.intrinsics, self.numbers)

    def pixels(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Project points [N, 3]: return pixel [camera, N, (x, y)] and depth [camera, N] [mm]; pixels of points behind are NaN."""
        inside = np.einsum("cij,nj->cni", self.rotation, points) + self.translation[:, None]
        depth = inside[..., 2]
        seen = np.einsum("cij,cnj->cni", self.intrinsics, inside)
        ahead = np.where(depth > 0, depth, np.nan)
        return seen[..., :2] / ahead[..., None], depth

    def check_in_front(self, centre: np.ndarray) -> None:
        """Raise InputError if a camera has the object behind it."""
        depth = self.rotation[:, 2] @ centre + self.translation[:, 2]
        for camera in np.flatnonzero(depth <= 0).tolist():
            raise InputError(
                f"camera {self.number(camera)}",
                expected="the object in front of it (a positive depth)",
                found=f"a depth of {depth[camera]:.4g} mm",
                fix="Check that rotation and translation go from the world to the camera: x_camera = rotation x_world + translation.",
            )

    def geometry(self, shape: tuple[int, int], **box: Any) -> ConeBeamGeometry:
        """Return the cameras' rays as a geometry; photographs of `shape` (rows, columns) then have their last row first."""
        poses = np.tile(np.eye(4), (len(self), 1, 1))
        poses[:, :3, :3], poses[:, :3, 3] = self.rotation.transpose(0, 2, 1), self.positions
        return ConeBeamGeometry.from_pinholes(self.intrinsics, poses, detector_shape=shape, **box)


def about_z(angle: float) -> np.ndarray:
    """Return the rotation matrix [3, 3] about z by an angle [rad]."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def read_cameras(path: Path) -> Cameras:
    """Read cameras from a JSON file: {"cameras": [{"rotation": [[...]], "translation": [...], "intrinsics": [[...]]}, ...]}."""
    expected = 'JSON with {"cameras": [{"rotation": 3 x 3, "translation": 3 [mm], "intrinsics": 3 x 3}, ...]}'
    try:
        entries = json.loads(path.read_bytes())["cameras"]
        turn, shift, inner = (np.array([entry[name] for entry in entries], dtype=np.float64) for name in NAMES)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(str(path), expected=expected, found=f"{type(error).__name__}: {error}") from error
    if not entries:
        raise InputError(str(path), expected="at least two cameras", found="none")
    return Cameras(turn, shift, inner)


def write_cameras(path: Path, cameras: Cameras) -> None:
    """Write the file that `read_cameras` reads."""
    entries = [{name: getattr(cameras, name)[camera].tolist() for name in NAMES} for camera in range(len(cameras))]
    path.write_text(json.dumps({"cameras": entries}, indent=1), encoding="utf-8")
