"""One frame of a sequence as all cameras saw it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError
from benchmark.photographs.cameras import Cameras, read_cameras
from benchmark.photographs.frame_file import opened
from benchmark.photographs.pose import Pose
from benchmark.photographs.sequence import read_poses

MOST_BYTES = 4 << 30  # of one frame's photographs


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """Photographs of one moment.

    images: float32 [camera, row, column, 3], colour over black, 0 .. 1; masks: float32 [camera, row, column], 0 .. 1; stored: the
    pose that `poses` found for the sequence, with the cameras that it used. Raise InputError, naming the camera, for an empty mask.
    """

    name: str
    cameras: Cameras
    images: np.ndarray
    masks: np.ndarray
    stored: tuple[Pose, tuple[int, ...]] | None = None

    def __post_init__(self) -> None:
        for camera, mask in enumerate(self.masks):
            if not mask.max() > 0.5:
                raise InputError(
                    f"{self.name}: mask of camera {camera}",
                    expected="the object in every photograph",
                    found="an empty mask",
                    fix="Leave this camera or this frame out.",
                )

    @classmethod
    def read(cls, folder: Path, frame: int, align: bool = True) -> Frame:
        """Read a frame of a folder: `images` uint8 [frame, camera, row, column, 3], `masks` uint8 [frame, camera, row, column] of its file,
        cameras.json, and the pose, turned if `align`, where `poses` has written some. Raise InputError for wrong or damaged files."""
        cameras = read_cameras(folder / "cameras.json")
        with opened(folder) as (path, arrays):
            shape = _shape(path, arrays, len(cameras))
            if not frame < shape[0]:
                raise InputError("frame", expected=f"0 .. {shape[0] - 1}", found=f"{frame}")
            images, masks = np.asarray(arrays["images"][frame]), _shares(arrays["masks"][frame])
        poses = read_poses(folder, cameras, shape[0])
        stored = None if poses is None else (poses.pose(frame, align), poses.cameras)
        colours = np.empty(images.shape, np.float32)
        for camera, image in enumerate(images):  # one by one: a large frame takes little more than its own memory
            np.multiply(image, masks[camera, ..., None] / np.float32(255), out=colours[camera])
        return cls(f"{folder.resolve().name}-{frame}", cameras, colours, masks, stored)

    def pose(self, training: tuple[int, ...], align: bool = True) -> Pose:
        """Return the stored pose if no other camera than those of `training` had a part in it, else one by their silhouettes."""
        if self.stored is not None and set(self.stored[1]) <= set(training):
            return self.stored[0]
        return Pose.estimate(self.cameras.subset(list(training)), self.masks[list(training)], align)


def frame_masks(folder: Path, cameras: Cameras, used: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Yield the masks [camera, row, column], float32 0 .. 1, of these cameras frame by frame. Raise InputError as `Frame.read`."""
    with opened(folder) as (path, arrays):
        frames = _shape(path, arrays, len(cameras))[0]
        for frame in range(frames):
            yield _shares(arrays["masks"][frame])[list(used)]


def _shares(masks: Any) -> np.ndarray:
    """Return masks of 0 and 1, or of 0 .. 255, as float32 0 .. 1."""
    masks = np.asarray(masks)
    return masks.astype(np.float32) / (255 if masks.max() > 1 else 1)


def _shape(path: Path, arrays: Any, cameras: int) -> tuple[int, ...]:
    """Return the shape of `images`. Raise InputError unless images and masks are frames of so many cameras."""
    shapes = {}
    for name, layout in (("images", "[frame, camera, row, column, 3]"), ("masks", "[frame, camera, row, column]")):
        shape = tuple(getattr(arrays.get(name), "shape", ()))
        if len(shape) != layout.count(",") + 1 or shape[1] != cameras or shape[4:] not in ((), (3,)) or arrays[name].dtype != np.uint8:
            found = f"shape {shape}, {arrays[name].dtype}" if shape else "none"
            raise InputError(f"{path}: {name}", expected=f"uint8 {layout} with {cameras} cameras, as in cameras.json", found=found)
        if np.prod(shape[1:]) > MOST_BYTES:
            raise InputError(f"{path}: {name}", expected=f"at most {MOST_BYTES >> 30} GiB a frame", found=f"shape {shape}")
        shapes[name] = shape
    if shapes["masks"] != shapes["images"][:4]:
        expected = f"shape [frame, camera, row, column] = {shapes['images'][:4]}"
        raise InputError(f"{path}: masks", expected=expected, found=f"{shapes['masks']}")
    return shapes["images"]
