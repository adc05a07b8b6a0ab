"""Draw a body of ellipsoids and capsules by casting rays at their surfaces, in closed form.

It shares no code with the renderers of Gaussians or of volumes.
"""

from __future__ import annotations

import numpy as np

from benchmark.api import Cameras

from .body import Capsule, Ellipsoid, Part

SAMPLES = 3  # rays along each edge of a pixel
LIGHT = np.array([0.35, -0.25, 0.9]) / np.linalg.norm([0.35, -0.25, 0.9])
AMBIENT = 0.45


def photograph(body: list[Part], cameras: Cameras, camera: int, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return colour over black, float32 [row, column, 3] from 0 to 1, and the covered share of each pixel, float32 [row, column]."""
    rows, columns = shape
    steps = (np.arange(SAMPLES) + 0.5) / SAMPLES - 0.5
    x = (np.arange(columns)[:, None] + steps).reshape(-1)
    y = (np.arange(rows)[:, None] + steps).reshape(-1)
    pixels = np.stack([*np.meshgrid(x, y), np.ones((len(y), len(x)))], -1).reshape(-1, 3)
    rays = pixels @ np.linalg.inv(cameras.intrinsics[camera]).T @ cameras.rotation[camera]
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    colours, covered = cast(body, cameras.positions[camera], rays)
    folded = np.concatenate([colours, covered[:, None]], 1).reshape(rows, SAMPLES, columns, SAMPLES, 4).mean((1, 3))
    return folded[..., :3].astype(np.float32), folded[..., 3].astype(np.float32)


def cast(body: list[Part], source: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the colour [N, 3] of the first surface on each ray (unit, [N, 3]) from the source, and True for each hit [N]."""
    nearest = np.full(len(rays), np.inf)
    colours = np.zeros((len(rays), 3))
    for part in body:
        distance, normal = _ellipsoid(part, source, rays) if isinstance(part, Ellipsoid) else _capsule(part, source, rays)
        first = distance < nearest
        nearest[first] = distance[first]
        light = AMBIENT + (1 - AMBIENT) * np.clip(normal[first] @ LIGHT, 0, 1)
        colours[first] = light[:, None] * part.colour
    return colours, np.isfinite(nearest)


def _ellipsoid(part: Ellipsoid, source: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return distance [N] (infinite for a miss) and outward normal [N, 3]: a unit ball in the ellipsoid's own axes."""
    start, along = (source - part.centre) @ part.axes / part.semi_axes, rays @ part.axes / part.semi_axes
    distance = _ball(start, along)
    hit = start + np.where(np.isfinite(distance), distance, 0.0)[:, None] * along
    normal = hit / part.semi_axes @ part.axes.T
    return distance, normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)


def _ball(start: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Return the t at which start + t along [N, 3] enters the unit ball from outside; infinite for a miss."""
    a, b, c = (along**2).sum(1), along @ start, start @ start - 1
    root = b**2 - a * c
    distance = (-b - np.sqrt(np.maximum(root, 0))) / a
    return np.where((root > 0) & (distance > 0), distance, np.inf)


def _capsule(part: Capsule, source: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return distance and outward normal of the nearest of two balls and the cylinder between them."""
    axis = part.end - part.start
    length = np.linalg.norm(axis)
    axis = axis / length
    distances = [_ball((source - end) / part.radius, rays / part.radius) for end in (part.start, part.end)]
    start, along = source - part.start, rays
    start, along = start - (start @ axis) * axis, along - (along @ axis)[:, None] * axis
    a, b, c = np.maximum((along**2).sum(1), 1e-12), along @ start, start @ start - part.radius**2
    root = b**2 - a * c
    distance = (-b - np.sqrt(np.maximum(root, 0))) / a
    height = (source - part.start) @ axis + distance * (rays @ axis)
    distances.append(np.where((root > 0) & (distance > 0) & (height > 0) & (height < length), distance, np.inf))
    nearest = np.minimum.reduce(distances)
    hit = source + np.where(np.isfinite(nearest), nearest, 0.0)[:, None] * rays
    height = np.clip((hit - part.start) @ axis, 0, length)
    normal = (hit - part.start - height[:, None] * axis) / part.radius
    return nearest, normal
