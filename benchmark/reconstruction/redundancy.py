"""Weights of rays whose line is measured twice, once or never: full circles, short scans, gaps, displaced detectors.

Filtered backprojection integrates over all lines of a plane once. The line of view beta and fan angle gamma (positive
towards +u) is seen again at beta + pi - 2 gamma under -gamma; the weights of the two must sum to one.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan.turn import Turn

TAPER = np.deg2rad(12)  # [rad] over which views fade in at the ends of a measured arc
# A gap that misses less than this [rad] is bridged: its neighbours stand for it, which costs less than weights that avoid it. A displaced
# detector sees many lines from one side only, so that avoiding a gap costs more. Measured with 8 .. 180 views; no multiple of usual steps.
BRIDGED, BRIDGED_DISPLACED = np.deg2rad(34.7), np.deg2rad(44.7)
ONE_SIDED = np.deg2rad(100)  # [rad] missing altogether, above which weights of a displaced detector do harm
NOTED = np.deg2rad(5)  # [rad] missing in a gap that a note names


@dataclasses.dataclass(frozen=True)
class Redundancy:
    """Redundancy `weights` [view, u], including the quadrature step of the views [rad]; `kind` and `note` describe the choice."""

    weights: np.ndarray
    kind: str  # 'full', 'displaced', 'parker', 'short', 'gaps', 'displaced with gaps', 'less than a short scan'
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Arcs:
    """Measured arcs of a turn: the turn less its wide gaps. A turn without wide gaps has no arcs.

    A view's `steps` [view] [rad] are half the gap to either neighbour, and half a typical step beyond the end of an arc. Its `position`
    [view] [rad] counts from the start of the first arc; `starts` and `lengths` [arc] [rad] likewise.
    """

    steps: np.ndarray
    position: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    step: float  # [rad] between neighbours, typically
    missing: float  # [rad] of the turn outside the arcs
    bridged: tuple[float, float]  # of the widest gap among the steps: angle of the view before it, and missing [rad]
    unbridged: tuple[float, float]  # of the widest gap between arcs

    def covered(self, beta: np.ndarray) -> np.ndarray:
        """Return 1 inside the arcs, 0 outside, fading at their ends; `beta` is a position [rad]."""
        found = np.zeros(np.shape(beta))
        for start, arc in zip(self.starts, self.lengths, strict=True):
            place = np.mod(beta - start, 2 * np.pi)
            inside = np.clip(np.minimum(place, arc - place) / min(TAPER, arc / 4), 0, 1)
            found = np.maximum(found, np.sin(np.pi / 2 * inside) ** 2)
        return found


def redundancy(geometry: ConeBeamGeometry) -> Redundancy:
    """Return the weights of a circular scan, chosen from its measured arcs and the detector's coverage."""
    offsets = _column_offsets(geometry)
    across, across_kind = _displaced(geometry, offsets)
    arcs = measured_arcs(geometry.angles, BRIDGED if across_kind == "full" else BRIDGED_DISPLACED)
    if arcs.missing > ONE_SIDED and across_kind != "full":
        across, across_kind = np.full(offsets.shape, 0.5), "full"
        one_sided = "The detector is displaced: lines beyond its short side are complete in a full turn only."
    else:
        one_sided = ""
    bridge = _gap_note(*arcs.bridged, "the views beside it stand for it")
    beside = " ".join(filter(None, [bridge, one_sided]))
    if not arcs.lengths.size:
        steps = arcs.steps * (2 * np.pi / arcs.steps.sum())
        return Redundancy(steps[:, None] * across, across_kind, bridge)
    # Fan angles count from the ray through the axis.
    gamma = np.arctan(offsets / geometry.source_to_detector) + np.arctan(np.mean(geometry.axis_shift) / geometry.source_to_origin)
    fan = min(_volume_fan(geometry), float(np.abs(gamma).max()))  # [rad] half the fan that matters
    arc, needed = float(arcs.steps.sum()), np.pi + 2 * fan
    if across_kind == "full" and arcs.lengths.size == 1 and arc >= needed - 1e-9:
        return Redundancy(arcs.steps[:, None] * parker_weights(arcs.position, gamma, arc), "parker", beside)
    weights = arcs.steps[:, None] * shared_weights(arcs, gamma, across)
    if arcs.lengths.size > 1 or across_kind != "full":
        kind = "gaps" if across_kind == "full" else "displaced with gaps"
        meaning = (
            f"lines measured from the other side are taken from there; {_never_measured(arcs, gamma, fan):.0%} of all lines are missing"
        )
        return Redundancy(weights, kind, f"{_gap_note(*arcs.unbridged, meaning)} {beside}".strip())
    if arc >= needed - arcs.step / 2:
        return Redundancy(weights, "short", beside)
    note = (
        f"The views cover {np.degrees(arc):.1f} degrees; complete data need {np.degrees(needed):.1f} (pi + fan). "
        "Lines measured twice share their weight, lines never measured are missing: expect streaks and shading."
    )
    return Redundancy(weights, "less than a short scan", f"{note} {beside}".strip())


def measured_arcs(angles: np.ndarray, bridged: float = BRIDGED) -> Arcs:
    """Return the measured arcs of views in any order; gaps that miss less than `bridged` [rad] count as steps."""
    turn = Turn.of(angles)
    missing = turn.missing()
    widest = int(missing.argmax() if missing.any() else turn.gaps.argmax())
    turn, missing = turn.starting_after(widest), np.roll(missing, -widest - 1)  # the widest gap comes last
    real = missing > bridged
    # Rounding alone must not make the last of equal steps another one.
    gaps = np.where(real | (np.abs(turn.gaps - turn.step) < 1e-9), turn.step, turn.gaps)
    before = np.roll(gaps, 1)
    steps, position = np.empty(len(angles)), np.empty(len(angles))
    steps[turn.order] = (before + gaps) / 2
    place = before[0] / 2 + np.append(0.0, np.cumsum(np.where(real, turn.gaps, gaps)[:-1]))
    position[turn.order] = place
    first, last = np.flatnonzero(np.roll(real, 1)), np.flatnonzero(real)
    starts = place[first] - before[first] / 2
    lengths = place[last] + gaps[last] / 2 - starts

    def worst(of: np.ndarray) -> tuple[float, float]:
        here = int(np.where(of, missing, -1).argmax())
        return float(np.mod(angles[turn.order[here]], 2 * np.pi)), float(missing[here] * of[here])

    return Arcs(steps, position, starts, lengths, turn.step, float(missing[real].sum()), worst(~real), worst(real))


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


def shared_weights(arcs: Arcs, gamma: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Return weights [view, u] for any arcs: c / (c + c of the second measurement), c fading at the ends of the arcs
    (Noo, Defrise, Clackdoyle, Kudo 2002, doi 10.1088/0031-9155/47/14/311) and, times `across` [u], at the end of a displaced detector."""
    beta = arcs.position[:, None]
    here = np.maximum(arcs.covered(beta), 1e-6) * across  # a line measured once keeps its whole weight
    again = arcs.covered(beta + np.pi - 2 * gamma[None]) * (1 - across)
    return here / np.maximum(here + again, 1e-30)


def _never_measured(arcs: Arcs, gamma: np.ndarray, fan: float) -> float:
    """Return the share of the lines through the volume that no view shows; `gamma` [u] and half the `fan` that matters [rad]."""
    beta = np.arange(0, 2 * np.pi, np.deg2rad(2))[:, None]
    line = np.linspace(-fan, fan, 60)[None]
    here, again = (
        arcs.covered(at) * (gamma.min() <= side) * (side <= gamma.max()) for at, side in ((beta, line), (beta + np.pi - 2 * line, -line))
    )
    return float(np.mean(here + again == 0))


def _gap_note(start: float, missing: float, meaning: str) -> str:
    """Return a sentence about a gap beyond the view at `start` [rad], or nothing if it is narrow."""
    if missing < NOTED:
        return ""
    return f"No view was taken over {np.degrees(missing):.0f} degrees (beyond the view at {np.degrees(start):.0f} degrees): {meaning}."


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
