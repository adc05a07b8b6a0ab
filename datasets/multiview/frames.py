"""One frame of a sequence as all cameras saw it: from a file, or drawn."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.api import InputError

from . import MultiviewParams
from .body import parts
from .cameras import Cameras, read_cameras
from .caster import photograph
from .frame_file import opened

DISTANCE, HEIGHTS, LOOK_AT = 520.0, (240.0, 80.0, 400.0), 60.0  # [mm] of the synthetic cameras, in turn, and the height they look at
FIELD = 0.46  # [rad] field of view along an edge
MOST_BYTES = 4 << 30  # of one frame's photographs


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """images: float32 [camera, row, column, 3], colour over black, 0 .. 1; masks: float32 [camera, row, column], 0 .. 1."""

    name: str
    cameras: Cameras
    images: np.ndarray
    masks: np.ndarray

    def __post_init__(self) -> None:
        for camera, mask in enumerate(self.masks):
            if not mask.max() > 0.5:
                raise InputError(
                    f"{self.name}: mask of camera {camera}",
                    expected="the object in every photograph",
                    found="an empty mask",
                    fix="Leave this camera or this frame out.",
                )


def open_frame(params: MultiviewParams) -> Frame:
    """Open the frame that the parameters name."""
    return drawn_frame(params) if params.path is None else read_frame(Path(params.path), params.frame)


def ring(count: int, pixels: int) -> Cameras:
    """Return cameras on a circle, at three heights in turn, that look at its middle."""
    rotations, translations = [], []
    for index in range(count):
        angle = 2 * np.pi * index / count
        place = np.array([DISTANCE * np.cos(angle), DISTANCE * np.sin(angle), HEIGHTS[index % len(HEIGHTS)]])
        forward = np.array([0.0, 0.0, LOOK_AT]) - place
        forward /= np.linalg.norm(forward)
        right = np.cross(forward, [0.0, 0.0, 1.0])
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        rotations.append(rotation)
        translations.append(-rotation @ place)
    focal, middle = pixels / 2 / np.tan(FIELD / 2), (pixels - 1) / 2
    inner = np.array([[focal, 0, middle], [0, focal, middle], [0, 0, 1]])
    return Cameras(np.array(rotations), np.array(translations), np.repeat(inner[None], count, 0))


def drawn_frame(params: MultiviewParams) -> Frame:
    """Draw the synthetic body as seen by a ring of cameras."""
    cameras, body = ring(params.cameras, params.pixels), parts(params.frame)
    shape = (params.pixels, params.pixels)
    seen = [photograph(body, cameras, camera, shape) for camera in range(len(cameras))]
    return Frame(f"walker-{params.frame}", cameras, np.stack([image for image, _ in seen]), np.stack([mask for _, mask in seen]))


def read_frame(folder: Path, frame: int) -> Frame:
    """Read a folder's frame: `images` uint8 [frame, camera, row, column, 3] and `masks` uint8 [frame, camera, row, column] of its file."""
    cameras = read_cameras(folder / "cameras.json")
    with opened(folder) as (path, arrays):
        images, masks = (_one(path, arrays, name, axes, frame, len(cameras)) for name, axes in (("images", 5), ("masks", 4)))
    if masks.shape != images.shape[:3]:
        raise InputError(f"{path}: masks", expected=f"shape [camera, row, column] = {images.shape[:3]}", found=f"{masks.shape}")
    masks = masks.astype(np.float32) / (255 if masks.max() > 1 else 1)
    return Frame(f"{folder.resolve().name}-{frame}", cameras, images.astype(np.float32) / 255 * masks[..., None], masks)


def _one(path: Path, arrays: Any, name: str, axes: int, frame: int, cameras: int) -> np.ndarray:
    """Read frame `frame` of the array `name`."""
    shape = tuple(getattr(arrays.get(name), "shape", ()))
    layout = "[frame, camera, row, column, 3]" if axes == 5 else "[frame, camera, row, column]"
    if len(shape) != axes or shape[1] != cameras or (axes == 5 and shape[-1] != 3) or arrays[name].dtype != np.uint8:
        found = f"shape {shape}, {arrays[name].dtype}" if shape else "none"
        raise InputError(f"{path}: {name}", expected=f"uint8 {layout} with {cameras} cameras, as in cameras.json", found=found)
    if not frame < shape[0]:
        raise InputError("frame", expected=f"0 .. {shape[0] - 1}", found=f"{frame}")
    if np.prod(shape[1:]) > MOST_BYTES:
        raise InputError(f"{path}: {name}", expected=f"at most {MOST_BYTES >> 30} GiB a frame", found=f"shape {shape}")
    return np.asarray(arrays[name][frame])
