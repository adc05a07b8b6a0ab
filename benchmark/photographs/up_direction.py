"""Find the world's up direction from how cameras are held, or from how a body moves."""

from __future__ import annotations

import numpy as np

from benchmark.errors import InputError
from benchmark.photographs.cameras import UP, Cameras, unit_vector
from benchmark.scan.geometry import Triple

MOST_ROLL = 20.0  # [degrees] of a camera that counts as held upright
LEAST = 0.05  # of the second smallest eigenvalue, relative to the largest: less leaves a plane of directions


def upright_axes(up: Triple) -> np.ndarray:
    """Return the rotation matrix [3, 3] whose third column is `up`: the shortest one from z."""
    if up == UP:
        return np.eye(3)
    axis, cosine = np.cross(UP, up), up[2]
    if cosine < -1 + 1e-12:
        return np.diag([1.0, -1.0, -1.0])
    x, y, z = axis
    across = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + across + across @ across / (1 + cosine)


def up_from_cameras(cameras: Cameras) -> tuple[Triple, float]:
    """Return the direction at right angles to the rows of all cameras' pictures, and the largest roll of a camera against it [degrees].

    Cameras that are held level have horizontal rows, wherever they look. Raise InputError, naming the camera, if they are not.
    """
    rows, down = cameras.rotation[:, 0], cameras.rotation[:, 1].mean(0)
    values, vectors = np.linalg.eigh(rows.T @ rows)
    if values[1] < LEAST * values[2]:  # all look along one line: any direction across is at right angles
        vectors = (-down + (down @ vectors[:, 2]) * vectors[:, 2])[:, None]
    up = _above(vectors[:, 0], cameras)
    roll = np.rad2deg(np.arcsin(np.clip(np.abs(rows @ up), 0, 1)))
    if roll.max() > MOST_ROLL:
        raise InputError(
            f"camera {int(roll.argmax())}: rotation",
            expected=f"cameras held level within {MOST_ROLL:g} degrees, so that they tell where up is",
            found=f"a roll of {roll.max():.0f} degrees",
            fix="Give `up: [x, y, z]`, a vector of the world.",
        )
    return up, float(roll.max())


def up_from_hulls(centres: np.ndarray, covariances: np.ndarray, cameras: Cameras) -> Triple:
    """Return the direction in which neither the body's place nor the end of its long axis goes; its sign is that of the cameras' pictures.

    centres [frame, 3] [mm] and covariances [frame, 3, 3] [mm^2] are those of the hulls. A long axis that is always tilted as much goes
    around on a cone about it. Raise InputError for a body that neither turns nor walks around enough, about a quarter of a turn.
    """
    axes = np.linalg.eigh(covariances)[1][..., -1]
    turned_back = np.sign((axes[1:] * axes[:-1]).sum(1))  # eigenvectors have no sign: each goes on from the one before
    axes[1:] *= np.cumprod(np.where(turned_back < 0, -1.0, 1.0))[:, None]
    long = np.sqrt(np.linalg.eigvalsh(covariances)[:, -1].mean())  # [mm]
    spread = sum(np.cov(values.T, bias=True) for values in (axes, centres / long))
    values, vectors = np.linalg.eigh(spread)
    if values[1] < LEAST * values[2] or values[0] > values[1] / 2:
        raise InputError(
            "--up hulls",
            expected="a body that turns or walks around on a plane, a quarter of a turn at least",
            found="no such plane",
            fix="Use --up cameras, or --up x,y,z.",
        )
    return _above(vectors[:, 0], cameras)


def _above(direction: np.ndarray, cameras: Cameras) -> Triple:
    """Return the direction or its opposite: the one that is up in the pictures; where all look straight down, that towards the cameras."""
    upward = -cameras.rotation[:, 1].mean(0) @ direction
    if abs(upward) < 0.1:
        upward = -cameras.rotation[:, 2].mean(0) @ direction
    return unit_vector("up", direction * (1.0 if upward >= 0 else -1.0))
