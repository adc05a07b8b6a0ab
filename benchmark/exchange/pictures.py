"""Colour pictures of a checkpoint's Gaussians: seen by its own cameras, by others, or from a circle; as PNG, HDF5 or video."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmark.errors import InputError, MissingDependency, note, one_line
from benchmark.fields.splatter import Splats, splat
from benchmark.metrics.photographs import PARTS
from benchmark.photographs.cameras import UP, about_z
from benchmark.photographs.up_direction import upright_axes
from benchmark.plugins.specs import resolve
from benchmark.records.results import Results
from benchmark.report.video import save_video
from benchmark.runtime.checkpoint import Checkpoint
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.storage import atomic

CAMERA = 'JSON with {"cameras": [{"rotation": 3 x 3, "translation": 3 [mm], "intrinsics": 3 x 3}, ...]}, as in docs/data/photographs.md'
COLOURS = {"white": (1.0, 1.0, 1.0), "black": (0.0, 0.0, 0.0), "grey": (0.5, 0.5, 0.5)}
UPWARDS = 0.35  # [rad] that the cameras of a circle stand above the thing
VIDEOS = (".mp4", ".gif")


@dataclasses.dataclass(frozen=True, eq=False)
class Scene:
    """Coloured Gaussians of a checkpoint, the cameras that it was made from, and the pose of its axes in the world, if that is known."""

    splats: Splats
    geometry: ConeBeamGeometry
    pose: dict[str, Any] | None

    @classmethod
    def read(cls, path: Path) -> Scene:
        """Read a checkpoint. Raise InputError for one without coloured Gaussians."""
        found = Checkpoint.read(path)
        expected = "a checkpoint with coloured Gaussians (carve, of photographs)"
        try:
            method, params, geometry = found.method, found.params, found.geometry
        except InputError as error:
            raise error.at(str(path)) from error
        arrays = {} if method.gaussians is None else resolve(method.gaussians)(found.state, params, geometry)
        if not set(PARTS) <= set(arrays):
            found_there = "no Gaussians" if method.gaussians is None else "no colours"
            fix = "Attenuation is rendered into an .npy file, without --view, --camera, --turn, --shift, --background and --scale."
            raise InputError(str(path), expected=expected, found=f"one of {method.name}: {found_there}", fix=fix)
        return cls(Splats(*(torch.from_numpy(np.array(arrays[name], np.float32)) for name in PARTS)), geometry, _pose(path))

    def moved(self, degrees: float, shift: tuple[float, float, float]) -> Scene:
        """Return the thing turned about the vertical through the origin of its axes, then shifted by x y z [mm]."""
        half, turn = np.deg2rad(degrees) / 2, about_z(np.deg2rad(degrees))
        means = self.splats.means @ torch.tensor(turn.T, dtype=torch.float32) + torch.tensor(shift, dtype=torch.float32)
        cos, sin = float(np.cos(half)), float(np.sin(half))
        w, x, y, z = self.splats.quaternions.unbind(1)
        turned = torch.stack([cos * w - sin * z, cos * x - sin * y, cos * y + sin * x, cos * z + sin * w], 1)
        return dataclasses.replace(self, splats=self.splats._replace(means=means, quaternions=turned))

    def seen_by(self, views: list[int]) -> ConeBeamGeometry:
        """Return these of its own cameras. Raise InputError for others."""
        wrong = [view for view in views if not 0 <= view < self.geometry.views]
        if wrong:
            raise InputError("--view", expected=f"training cameras 0 .. {self.geometry.views - 1}", found=", ".join(map(str, wrong)))
        return self.geometry.subset(views)

    def seen_from_world(self, path: Path) -> ConeBeamGeometry:
        """Return the cameras of a file in world coordinates, with pictures of the size of its own; without a pose, in its own axes."""
        rotation, translation, intrinsics = _read_cameras(path)
        if self.pose is None:
            note(f"{path}: the pose of the run is not known (no record beside the checkpoint); cameras are taken in the run's own axes")
        else:
            axes = upright_axes(tuple(self.pose.get("up", UP))) @ about_z(self.pose["yaw"])
            translation = translation + rotation @ np.array(self.pose["centre"])
            rotation = rotation @ axes
        return self._pinholes(rotation.transpose(0, 2, 1), -np.einsum("cji,cj->ci", rotation, translation), intrinsics)

    def circle(self, degrees: np.ndarray) -> ConeBeamGeometry:
        """Return cameras around the thing at angles [degrees], a little above it, as far away and with the lens of its own on average."""
        middle = self.geometry.volume_bounds.mean(0)
        intrinsics, poses = self.geometry.pinholes()
        far = np.linalg.norm(poses[:, :3, 3] - middle, axis=1).mean()
        angles = np.deg2rad(degrees)
        level = np.cos(UPWARDS)
        away = np.stack([level * np.cos(angles), level * np.sin(angles), np.full_like(angles, np.sin(UPWARDS))], 1)
        right = np.stack([-np.sin(angles), np.cos(angles), np.zeros_like(angles)], 1)
        axes = np.stack([right, np.cross(-away, right), -away], 2)  # columns: x right, y down, z forward
        lens = np.tile(intrinsics.mean(0), (len(angles), 1, 1))
        rows, columns = self.geometry.detector_shape
        lens[:, 0, 2], lens[:, 1, 2] = (columns - 1) / 2, (rows - 1) / 2
        return self._pinholes(axes, middle + far * away, lens)

    def _pinholes(self, axes: np.ndarray, places: np.ndarray, intrinsics: np.ndarray) -> ConeBeamGeometry:
        poses = np.tile(np.eye(4), (len(axes), 1, 1))
        poses[:, :3, :3], poses[:, :3, 3] = axes, places
        return ConeBeamGeometry.from_pinholes(intrinsics, poses, **self._box, detector_shape=self.geometry.detector_shape)

    @property
    def _box(self) -> dict[str, Any]:
        return {name: getattr(self.geometry, name) for name in ("volume_shape", "volume_spacing", "volume_offset")}

    @torch.no_grad()
    def pictures(self, cameras: ConeBeamGeometry, background: tuple[float, float, float], scale: int = 1) -> np.ndarray:
        """Return uint8 [view, row, column, 4], top row first: colour over the background, and opacity; `scale` x `scale` finer pixels."""
        rows, columns = cameras.detector_shape
        vectors = cameras.vectors()
        vectors[:, 2:] /= scale
        finer = ConeBeamGeometry.from_vectors(vectors, detector_shape=(rows * scale, columns * scale), **self._box)
        images = splat(self.splats, finer).flip(1)
        images[..., :3] += (1 - images[..., 3:]) * torch.tensor(background)
        return (255 * images.clamp(0, 1)).round().to(torch.uint8).numpy()


def background_of(text: str) -> tuple[float, float, float]:
    """Return a colour by name, or from numbers 0 .. 1 such as 0.2,0.2,0.3. Raise InputError."""
    if text in COLOURS:
        return COLOURS[text]
    red, green, blue = _three(text, "--background", f"{', '.join(COLOURS)}, or red,green,blue from 0 to 1")
    if not (0 <= min(red, green, blue) and max(red, green, blue) <= 1):
        raise InputError("--background", expected="red,green,blue from 0 to 1", found=f"'{text}'")
    return red, green, blue


def shift_of(text: str) -> tuple[float, float, float]:
    """Return x,y,z [mm]. Raise InputError."""
    return _three(text, "--shift", "x,y,z in mm, such as 0,10,0")


def _three(text: str, where: str, expected: str) -> tuple[float, float, float]:
    try:
        a, b, c = (float(word) for word in text.split(","))
    except ValueError:
        a, b, c = np.nan, np.nan, np.nan
    if not np.isfinite([a, b, c]).all():
        raise InputError(where, expected=expected, found=f"'{text}'")
    return a, b, c


def write_png(path: Path, pictures: np.ndarray) -> list[Path]:
    """Write [view, row, column, 4] as one PNG a view, without the opacity; several are numbered. Return the files."""
    paths = [path] if len(pictures) == 1 else [path.with_name(f"{path.stem}-{index:03d}.png") for index in range(len(pictures))]
    for target, picture in zip(paths, pictures, strict=True):
        buffer = io.BytesIO()
        Image.fromarray(picture[..., :3]).save(buffer, format="PNG")
        atomic.replace(target, buffer.getvalue())
    return paths


def write_hdf5(path: Path, pictures: np.ndarray) -> list[Path]:
    """Write [frame, camera, row, column, 4] (red, green, blue, opacity) as `images` in HDF5, a chunk for each picture, compressed."""
    try:
        import h5py
    except ImportError as error:
        raise MissingDependency("pictures in HDF5 need h5py (install: pip install 'seed-ct[photographs]')") from error
    with atomic.replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.create_dataset("images", data=pictures, compression="gzip", chunks=(1, 1, *pictures.shape[2:]))
    return [path]


def write_video(path: Path, pictures: np.ndarray, rate: int) -> list[Path]:
    """Write [view, row, column, 4] as an MP4 or GIF of so many pictures a second; without PyAV a GIF stands in for the MP4."""
    written = save_video(path, pictures[..., :3], rate)
    if written != path:
        note(f"MP4 needs PyAV (install: pip install 'seed-ct[photographs]'); {written} is written instead")
    return [written]


def _pose(path: Path) -> dict[str, Any] | None:
    """Return the pose that the record of the checkpoint's run holds; None for a checkpoint by itself."""
    folder = path.resolve().parent
    if folder.parent.name != "runs":
        return None
    results = Results.open(folder.parent.parent)
    records = [record for record in results.records if record.run_id == folder.name]
    case = results.case(records[0]) if records else None
    pose = None if case is None else case.facts.get("pose")
    return pose if isinstance(pose, dict) and {"centre", "yaw"} <= set(pose) else None


def _read_cameras(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rotation [camera, 3, 3], translation [camera, 3] and intrinsics [camera, 3, 3] of a file. Raise InputError."""
    try:
        entries = json.loads(path.read_bytes())["cameras"]
        rotation, translation, intrinsics = (
            np.array([entry[name] for entry in entries], np.float64) for name in ("rotation", "translation", "intrinsics")
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(str(path), expected=CAMERA, found=f"{type(error).__name__}: {one_line(error)}") from error
    count = len(rotation)
    if (rotation.shape, translation.shape, intrinsics.shape) != ((count, 3, 3), (count, 3), (count, 3, 3)) or not count:
        raise InputError(str(path), expected=CAMERA, found=f"shapes {rotation.shape}, {translation.shape}, {intrinsics.shape}")
    return rotation, translation, intrinsics
