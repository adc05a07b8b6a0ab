"""Weights of rays whose line is measured twice, once or never: full circles, short scans, displaced detectors.

Filtered backprojection integrates over all lines of a plane once. The line of view beta and fan angle gamma (positive
towards +u) is seen again at beta + pi - 2 gamma under -gamma; the weights of the two must sum to one.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from benchmark.scan.geometry import ConeBeamGeometry

TAPER = np.deg2rad(12)  # [rad] over which views fade in at the ends of a scan shorter than pi + fan


@dataclasses.dataclass(frozen=True)
class Redundancy:
    """Redundancy `weights` [view, u], including the quadrature step of the views [rad]; `kind` and `note` describe the choice."""

    weights: np.ndarray
    kind: str  # 'full', 'displaced', 'parker', 'less than a short scan'
    note: str = ""


def redundancy(geometry: ConeBeamGeometry) -> Redundancy:
    """Return the weights of a circular scan, chosen from its arc and the detector's coverage."""
    steps, position = view_steps(geometry.angles)
    arc = float(steps.sum())
    offsets = _column_offsets(geometry)
    gamma = np.arctan(offsets / geometry.source_to_detector)
    fan = min(_volume_fan(geometry), float(np.abs(gamma).max()))  # [rad] half the fan that matters
    if arc >= 2 * np.pi - 0.5 * float(np.median(steps)):
        steps = steps * (2 * np.pi / arc)
        across, kind = _displaced(geometry, offsets)
        return Redundancy(steps[:, None] * across, kind)
    if arc >= np.pi + 2 * fan - 1e-9:
        return Redundancy(steps[:, None] * parker_weights(position, gamma, arc), "parker")
    note = (
        f"The views cover {np.degrees(arc):.1f} degrees; complete data need {np.degrees(np.pi + 2 * fan):.1f} (pi + fan). "
        "Lines measured twice share their weight, lines never measured are missing: expect streaks and shading."
    )
    return Redundancy(steps[:, None] * short_weights(position, gamma, arc), "less than a short scan", note)


def view_steps(angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the quadrature step of each view and its position from the start of the arc, both [view] [rad].

    A view stands for half the gap to either neighbour; beyond the ends of an arc (its widest gap) for half a median step.
    Angles may be irregular, repeated and in any order.
    """
    wrapped = np.mod(angles, 2 * np.pi)
    order = np.argsort(wrapped, kind="stable")
    if order.size == 1:
        return np.array([2 * np.pi]), np.array([np.pi])
    gaps = np.diff(np.append(wrapped[order], wrapped[order[0]] + 2 * np.pi))  # gap k follows view k
    last = int(np.argmax(gaps))
    others = np.delete(gaps, last)
    typical = float(np.median(others[others > 1e-9])) if (others > 1e-9).any() else float(gaps[last])
    gaps[last] = min(gaps[last], typical)
    order, gaps = np.roll(order, -last - 1), np.roll(gaps, -last - 1)  # the arc starts after the widest gap
    before = np.roll(gaps, 1)
    steps, position = np.empty(order.size), np.empty(order.size)
    steps[order] = (before + gaps) / 2
    position[order] = before[0] / 2 + np.append(0.0, np.cumsum(gaps[:-1]))
    return steps, position


def parker_weights(position: np.ndarray, gamma: np.ndarray, arc: float) -> np.ndarray:
    """Return smooth weights [view, u] for an arc of pi + fan up to 2 pi (Parker 1982, doi 10.1118/1.595078).

    The surplus of the arc beyond pi is taken as the fan.

    position: view angle from the start of the arc [view] [rad]; gamma: fan angle of each column [u] [rad].
    """
    surplus = (arc - np.pi) / 2
    beta = position[:, None]
    g = np.clip(-gamma, -surplus, surplus)[None]  # Parker counts fan angles against the rotation
    with np.errstate(divide="ignore", invalid="ignore"):
        rising = np.where(surplus - g > 1e-9, np.sin(np.pi / 4 * beta / (surplus - g)) ** 2, 1.0)
        falling = np.where(surplus + g > 1e-9, np.sin(np.pi / 4 * (arc - beta) / (surplus + g)) ** 2, 1.0)
    weights = np.where(beta < 2 * (surplus - g), rising, 1.0)
    return np.where(beta > np.pi - 2 * g, falling, weights)


def short_weights(position: np.ndarray, gamma: np.ndarray, arc: float) -> np.ndarray:
    """Return weights [view, u] for any arc: c(beta) / (c(beta) + c(its second measurement)), c fading at the ends of the arc
    (Noo, Defrise, Clackdoyle, Kudo 2002, doi 10.1088/0031-9155/47/14/311)."""
    taper = min(TAPER, arc / 4)

    def fade(beta: np.ndarray) -> np.ndarray:
        inside = np.clip(np.minimum(beta, arc - beta) / taper, 0, 1)
        return np.sin(np.pi / 2 * inside) ** 2

    beta = position[:, None]
    here = np.maximum(fade(beta), 1e-6)  # a line measured once keeps its whole weight
    again = fade(np.mod(beta + np.pi - 2 * gamma[None], 2 * np.pi))
    return here / (here + again)


def _column_offsets(geometry: ConeBeamGeometry) -> np.ndarray:
    """Return the distance of each detector column from the foot of the source, [u] [mm]."""
    columns = geometry.detector_shape[1]
    return (np.arange(columns) - (columns - 1) / 2) * geometry.detector_pitch[1] + geometry.detector_offset[1]


def _volume_fan(geometry: ConeBeamGeometry) -> float:
    """Return half the fan angle under which the source sees the volume's cylinder [rad]."""
    radius = np.hypot(*(np.abs(geometry.volume_offset[1:]) + np.multiply(geometry.volume_extent[1:], 0.5)))
    return float(np.arcsin(radius / geometry.source_to_origin))


def _displaced(geometry: ConeBeamGeometry, offsets: np.ndarray) -> tuple[np.ndarray, str]:
    """Return weights [u] of a full circle: one half, or smooth weights if one side of the detector is too short for the volume.

    The smooth weights (Wang 2002, doi 10.1118/1.1489043) give full weight to lines measured only by the other side."""
    # The rotation axis stands at -axis_shift * magnification; the lines of +-distance from it are each other's second measurement.
    distance = offsets + float(np.mean(geometry.axis_shift)) * geometry.magnification
    short = min(distance.max(), -distance.min())
    half_width = geometry.source_to_detector * np.tan(_volume_fan(geometry))
    asymmetric = abs(distance.max() + distance.min()) > 2 * geometry.detector_pitch[1]
    if short >= half_width or not asymmetric or short <= 0:
        return np.full(offsets.shape, 0.5), "full"
    longer = 1.0 if distance.max() > -distance.min() else -1.0
    return 0.5 + 0.5 * np.sin(np.pi / 2 * np.clip(longer * distance / short, -1, 1)), "displaced"
