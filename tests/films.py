"""Videos of the walking body for tests: what a rig of cameras records, and the files that describe it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmark.api import Cameras
from benchmark.datasets.multiview.body import parts
from benchmark.datasets.multiview.caster import photograph
from benchmark.datasets.multiview.frames import ring

SHAPE = (36, 48)  # rows, columns
RATE = 30


def rig(count: int = 4, shape: tuple[int, int] = SHAPE) -> Cameras:
    """The ring of cameras with pictures that are wider than high."""
    cameras = ring(count, shape[0])
    inner = np.array(cameras.intrinsics)
    inner[:, 0, 2] = (shape[1] - 1) / 2
    return Cameras(cameras.rotation, cameras.translation, inner)


def turned_world(cameras: Cameras, turn: np.ndarray, shift: np.ndarray) -> Cameras:
    """The same cameras in a world that is turned and shifted [mm]: what they see is the same."""
    rotation = cameras.rotation @ turn.T
    return Cameras(rotation, cameras.translation - rotation @ shift, cameras.intrinsics)


def encode(path: Path, frames: Iterable[np.ndarray], codec: str = "libx264", **options: str) -> None:
    """Write frames [row, column, 3] as a video without loss, unless the options say otherwise."""
    av = pytest.importorskip("av")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = None
        for frame in frames:
            if stream is None:
                stream = container.add_stream(codec, rate=Fraction(RATE))
                stream.height, stream.width, stream.pix_fmt = *frame.shape[:2], "yuv444p"
                stream.options = {"qp": "0", "threads": "1", **options}
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        if stream is not None:
            container.mux(stream.encode())


def write_params(path: Path, cameras: Cameras, group: str = "camera_parameters/", **changes: Any) -> None:
    """Write camera_params.h5, lengths in metres."""
    values = {"rotation": cameras.rotation, "translation": cameras.translation / 1000, "intrinsic": cameras.intrinsics, **changes}
    with pytest.importorskip("h5py").File(path, "w") as file:
        for name, array in values.items():
            if array is not None:
                file[group + name] = array


def seen(cameras: Cameras, frame: int, shape: tuple[int, int] = SHAPE) -> tuple[np.ndarray, np.ndarray]:
    """Photographs uint8 [camera, row, column, 3] over a grey background, and masks uint8 [camera, row, column]."""
    both = [photograph(parts(frame), cameras, camera, shape) for camera in range(len(cameras))]
    colours = [np.rint(255 * (image + 0.3 * (1 - mask[..., None]))).astype(np.uint8) for image, mask in both]
    return np.stack(colours), np.stack([255 * (mask >= 0.5) for _, mask in both]).astype(np.uint8)


def record(folder: Path, frames: int = 12, cameras: Cameras | None = None, world: Cameras | None = None, **config: Any) -> Path:
    """Record the walk by some cameras as videos; return the config. `world`: the cameras as their file has them."""
    cameras = rig() if cameras is None else cameras
    walk = [seen(cameras, frame) for frame in range(frames)]
    for camera in range(len(cameras)):
        encode(folder / f"video_{camera}.mp4", [images[camera] for images, _ in walk])
        encode(folder / f"mask_{camera}.mp4", [np.repeat(masks[camera, ..., None], 3, -1) for _, masks in walk])
    write_params(folder / "camera_params.h5", cameras if world is None else world)
    return write_config(folder, len(cameras), **config)


def write_config(folder: Path, count: int = 4, **config: Any) -> Path:
    """Write a config in Pose Splatter's keys; None leaves a key out."""
    values: dict[str, Any] = {
        "data_directory": ".",
        "project_directory": ".",
        "video_fns": [f"video_{camera}.mp4" for camera in range(count)],
        "mask_video_fns": [f"mask_{camera}.mp4" for camera in range(count)],
        "camera_fn": "camera_params.h5",
        "image_width": SHAPE[1],
        "image_height": SHAPE[0],
        "fps": RATE,
        "lr": 1e-4,
        "ell": 0.22,
    }
    path = folder / "walk.json"
    path.write_text(json.dumps({key: value for key, value in {**values, **config}.items() if value is not None}))
    return path
