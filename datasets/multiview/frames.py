"""The synthetic sequence: the body, drawn as a ring of cameras sees it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.api import Cameras, Frame

from . import MultiviewParams
from .body import parts
from .caster import photograph

DISTANCE, HEIGHTS, LOOK_AT = 520.0, (240.0, 80.0, 400.0), 60.0  # [mm] of the synthetic cameras, in turn, and the height they look at
FIELD = 0.46  # [rad] field of view along an edge


def open_frame(params: MultiviewParams) -> Frame:
    """Open the frame that the parameters name."""
    return drawn_frame(params) if params.path is None else Frame.read(Path(params.path), params.frame, params.align)


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
