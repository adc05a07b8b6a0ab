"""Pinhole cameras: their files, their pictures cut or made smaller, and their conversion to the views of a geometry."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError, note
from benchmark.photographs.frame_file import hdf5
from benchmark.scan.geometry import ConeBeamGeometry, Triple
from benchmark.storage.atomic import replace_text

NAMES = ("rotation", "translation", "intrinsics")  # in cameras.json
HDF5_NAMES = ("rotation", "translation", "intrinsic")  # in camera_params.h5
UNITS = {"m": 1000.0, "cm": 10.0, "mm": 1.0}  # [mm]
WIDEST, NARROWEST = 50_000.0, 20.0  # [mm] between cameras; beyond, their unit is taken for wrong
UP: Triple = (0.0, 0.0, 1.0)


@dataclasses.dataclass(frozen=True, eq=False)
class Cameras:
    """x_camera = rotation x_world + translation [mm]; a point is seen at pixel K x_camera / z, x to the right, y down, (0, 0) being
    the middle of the top left pixel. rotation [camera, 3, 3], translation [camera, 3], intrinsics K [camera, 3, 3].

    `up` is a unit vector of the world. `heldout` are the cameras that their owner holds out; None = nobody said.
    Raise InputError, naming the camera, for impossible values.
    """

    rotation: np.ndarray
    translation: np.ndarray
    intrinsics: np.ndarray
    numbers: tuple[int, ...] | None = None  # numbers used in errors; none = 0, 1, 2, ...
    up: Triple = UP
    heldout: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        count = len(self.rotation)
        for name, shape in (("rotation", (count, 3, 3)), ("translation", (count, 3)), ("intrinsics", (count, 3, 3))):
            values = getattr(self, name)
            if values.shape != shape or not np.isfinite(values).all():
                raise InputError(f"cameras.{name}", expected=f"finite numbers {list(shape)}", found=f"shape {list(values.shape)}")
        for camera in range(count):
            turn, inner = self.rotation[camera], self.intrinsics[camera]
            orthogonal, mirrored = np.abs(turn @ turn.T - np.eye(3)).max() <= 1e-3, np.linalg.det(turn) < 0
            if not orthogonal or mirrored:
                fix = "Give the rotation from world to camera axes (x right, y down, z forward)."
                found = f"{'a reflection ' if orthogonal else ''}{turn.round(3).tolist()}"
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
        return Cameras(self.rotation[indices], self.translation[indices], self.intrinsics[indices], numbers, self.up)

    def number(self, index: int) -> int:
        """Return the number of a camera as used in errors."""
        return index if self.numbers is None else self.numbers[index]

    def in_frame(self, centre: np.ndarray, turn: np.ndarray) -> Cameras:
        """Return the cameras in a frame whose origin is `centre` [mm] and whose axes are the columns of the rotation `turn` [3, 3]."""
        return Cameras(self.rotation @ turn, self.translation + self.rotation @ centre, self.intrinsics, self.numbers)

    def cut(self, left_top: np.ndarray, factor: int) -> Cameras:
        """Return the cameras of pictures without the pixels left of and above `left_top` [camera, (x, y)], factor x factor averaged.

        The middle of a block of pixels is the middle of its new pixel: x becomes (x - left + 1 / 2) / factor - 1 / 2.
        """
        inner = np.array(self.intrinsics)
        inner[:, :2, 2] += 0.5 - left_top
        inner[:, :2] /= factor
        inner[:, :2, 2] -= 0.5
        return dataclasses.replace(self, intrinsics=inner)

    def pixels(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Project points [N, 3]: return pixel [camera, N, (x, y)] and depth [camera, N] [mm]; pixels of points behind are NaN."""
        along = np.ascontiguousarray(points.T)
        inside = sum(self.rotation[:, :, axis, None] * along[axis] for axis in range(3)) + self.translation[..., None]  # [camera, 3, N]
        depth = inside[:, 2]
        seen = sum(self.intrinsics[:, :2, axis, None] * inside[:, axis, None] for axis in range(3))
        ahead = np.where(depth > 0, depth, np.nan)
        return np.moveaxis(seen / ahead[:, None], 1, -1), depth

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
    """Read cameras from a JSON file: {"cameras": [{"rotation": [[...]], "translation": [...], "intrinsics": [[...]]}, ...]}.

    Beside the cameras there may be `up`, a vector of the world (else z), and `heldout`, a list of cameras.
    """
    expected = 'JSON with {"cameras": [{"rotation": 3 x 3, "translation": 3 [mm], "intrinsics": 3 x 3}, ...]}'
    try:
        content = json.loads(path.read_bytes())
        entries = content["cameras"]
        turn, shift, inner = (np.array([entry[name] for entry in entries], dtype=np.float64) for name in NAMES)
        up, heldout = np.array(content.get("up", UP), dtype=np.float64), content.get("heldout")
        heldout = None if heldout is None else tuple(int(index) for index in heldout)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(str(path), expected=expected, found=f"{type(error).__name__}: {error}") from error
    if not entries:
        raise InputError(str(path), expected="at least two cameras", found="none")
    check_heldout(f"{path}: heldout", heldout or (), len(entries))
    return Cameras(turn, shift, inner, up=unit_vector(f"{path}: up", up), heldout=heldout)


def write_cameras(path: Path, cameras: Cameras) -> None:
    """Write the file that `read_cameras` reads."""
    content: dict[str, Any] = {
        "cameras": [{name: getattr(cameras, name)[camera].tolist() for name in NAMES} for camera in range(len(cameras))]
    }
    if cameras.up != UP:
        content["up"] = list(cameras.up)
    if cameras.heldout is not None:
        content["heldout"] = list(cameras.heldout)
    replace_text(path, json.dumps(content, indent=1))


def read_camera_params(path: Path, unit: str, count: int) -> Cameras:
    """Read `rotation` [camera, 3, 3], `translation` [camera, 3] and `intrinsic` [camera, 3, 3] of an HDF5 file, for `count` cameras.

    The datasets are at the top or in the group `camera_parameters`; lengths are in `unit` (m, cm or mm). Raise InputError for other
    shapes, for impossible cameras, and for cameras farther apart or nearer than any rig.
    """
    h5py = hdf5()
    if not path.is_file():
        raise InputError(str(path), expected="an HDF5 file with camera parameters", found="no such file")
    try:
        with h5py.File(path, "r") as file:
            group = file.get("camera_parameters", file)
            found = {name: np.asarray(item) for name, item in group.items() if isinstance(item, h5py.Dataset)}
    except OSError as error:
        raise InputError(str(path), expected="an HDF5 file", found=str(error)) from error
    shapes = {"rotation": (count, 3, 3), "translation": (count, 3), "intrinsic": (count, 3, 3)}
    for name, shape in shapes.items():
        values = found.get(name)
        if values is not None and name == "translation" and values.shape == (count, 3, 1):
            found[name] = values = values[..., 0]
        if values is None or values.shape != shape or values.dtype.kind not in "fiu":
            has = "none" if values is None else f"shape {list(values.shape)}, {values.dtype}"
            raise InputError(f"{path}: {name}", expected=f"numbers {list(shape)}, one camera for each video", found=has)
    others = sorted(set(found) - set(shapes))
    if others:
        note(f"{path}: not used: {', '.join(others)}; lenses are undistorted beforehand")
    turn, shift, inner = (found[name].astype(np.float64) for name in HDF5_NAMES)
    cameras = Cameras(turn, shift * UNITS[unit], inner)
    apart = float(np.linalg.norm(cameras.positions[:, None] - cameras.positions, axis=-1).max())
    if not NARROWEST <= apart <= WIDEST:
        fix = f"Give camera_unit: {'mm' if apart > WIDEST else 'm'}, if that is the unit of translation."
        expected = f"cameras {NARROWEST / 1000:g} to {WIDEST / 1000:g} m apart"
        raise InputError(f"{path}: translation", expected=expected, found=f"{apart / 1000:.4g} m, in the unit '{unit}'", fix=fix)
    return cameras


def check_heldout(where: str, heldout: tuple[int, ...], count: int) -> None:
    """Raise InputError unless the held-out cameras exist and leave at least two."""
    if len(set(heldout)) != len(heldout) or any(not 0 <= index < count for index in heldout) or len(heldout) > count - 2:
        raise InputError(where, expected=f"different indices 0 .. {count - 1}, all but two at most", found=f"{list(heldout)}")


def unit_vector(where: str, vector: np.ndarray) -> Triple:
    """Return the vector with length 1. Raise InputError if it has none."""
    if vector.shape != (3,) or not np.isfinite(vector).all() or not np.linalg.norm(vector) > 0:
        raise InputError(where, expected="three numbers, not all 0", found=f"{vector.tolist()}")
    x, y, z = (vector / np.linalg.norm(vector)).tolist()
    return x, y, z
