"""A four-legged body of ellipsoids and capsules that walks in a circle: the synthetic sequence, pose by pose."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from benchmark.api import about_z

STEPS = 16  # frames per cycle of the legs
TURN = 0.12  # [rad] that the body turns from one frame to the next
RADIUS = 40.0  # [mm] of the circle it walks on
FUR, LEG, HEAD, TAIL = (0.75, 0.5, 0.25), (0.3, 0.45, 0.75), (0.85, 0.3, 0.3), (0.35, 0.7, 0.35)  # red, green, blue


@dataclasses.dataclass(frozen=True, eq=False)
class Ellipsoid:
    """centre [mm], axes (columns of a rotation matrix), semi-axes [mm], colour."""

    centre: np.ndarray
    axes: np.ndarray
    semi_axes: np.ndarray
    colour: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Capsule:
    """A capsule: the points within `radius` [mm] of the line from `start` to `end` [mm]; colour."""

    start: np.ndarray
    end: np.ndarray
    radius: float
    colour: np.ndarray


Part = Ellipsoid | Capsule


def parts(frame: int) -> list[Part]:
    """Return the body in a frame, in world coordinates x y z [mm], z up, the ground at 0."""
    phase, heading = 2 * np.pi * frame / STEPS, TURN * frame
    turn = about_z(heading)
    place = RADIUS * np.array([np.sin(heading), -np.cos(heading), 0.0])

    def world(x: float, y: float, z: float) -> np.ndarray:
        return turn @ np.array([x, y, z]) + place

    def ellipsoid(centre: tuple[float, float, float], semi_axes: tuple[float, float, float], colour: tuple[float, ...]) -> Ellipsoid:
        return Ellipsoid(world(*centre), turn, np.array(semi_axes), np.array(colour))

    def capsule(start: tuple[float, float, float], end: tuple[float, float, float], radius: float, colour: tuple[float, ...]) -> Capsule:
        return Capsule(world(*start), world(*end), radius, np.array(colour))

    nod = 4 * np.sin(phase)
    found: list[Part] = [
        ellipsoid((0, 0, 62), (52, 22, 24), FUR),
        ellipsoid((62, 0, 84 + nod), (20, 15, 16), HEAD),
        capsule((44, 0, 70), (60, 0, 82 + nod), 9, FUR),
        capsule((74, 0, 82 + nod), (88, 0, 76 + nod), 6, HEAD),
    ]
    sway = 14 * np.sin(phase)
    found += [capsule((-48, 0, 68), (-74, sway, 78), 6, TAIL), capsule((-74, sway, 78), (-96, 1.8 * sway, 98), 4, TAIL)]
    for x, y, shift in ((34, 15, 0.0), (34, -15, np.pi), (-34, 15, np.pi), (-34, -15, 0.0)):
        found += _leg(capsule, x, y, 0.5 * np.sin(phase + shift), 0.6 * max(0.0, np.sin(phase + shift + 1.2)))
    return found


def _leg(capsule: Callable[..., Capsule], x: float, y: float, swing: float, bend: float) -> list[Part]:
    """Return thigh and shank of one leg, turned at hip and knee [rad]."""
    knee = (x + 26 * np.sin(swing), y, 52 - 26 * np.cos(swing))
    foot = (knee[0] + 22 * np.sin(swing - bend), y, knee[2] - 22 * np.cos(swing - bend))
    return [capsule((x, y, 52), knee, 8, LEG), capsule(knee, foot, 6, LEG)]
