"""Usual mistakes in the description of a scan, each with its correction as a change of the setup."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator

import numpy as np

from benchmark.validate.setup import Setup

Change = Callable[[Setup], Setup]


@dataclasses.dataclass(frozen=True)
class Hypothesis:
    """A correction: its name, the advice for the description, the change itself, and its prior penalty (0: none).

    `parts` are the names of the single corrections it is made of.
    """

    name: str
    advice: str
    change: Change
    cost: float = 1.0
    parts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.parts and self.cost:
            object.__setattr__(self, "parts", (self.name,))


DECLARED = Hypothesis("as declared", "nothing", lambda setup: setup, 0.0)


def after(first: Hypothesis, second: Hypothesis) -> Hypothesis:
    """Return the combination of both corrections."""
    if not first.cost or not second.cost:
        return first if first.cost else second
    return Hypothesis(
        f"{first.name} + {second.name}",
        f"{first.advice}; {second.advice}",
        lambda setup: second.change(first.change(setup)),
        first.cost + second.cost,
        first.parts + second.parts,
    )


def _flip(axis: int) -> Change:
    return lambda setup: setup.with_projections(np.flip(setup.projections, axis))


def _turn(angle: float) -> Change:
    return lambda setup: setup.with_angles(lambda angles: angles + angle)


FLIP_U = Hypothesis("columns reversed (flip u)", "projections.first_column: the other side (left <-> right)", _flip(2))
FLIP_V = Hypothesis("rows reversed (flip v)", "projections.first_row: the other end (bottom <-> top)", _flip(1))
SWAP = Hypothesis(
    "rows and columns swapped (u <-> v)",
    "projections.axes: exchange u and v (and first_row, first_column, if given)",
    lambda setup: setup.with_projections(setup.projections.swapaxes(1, 2)),
)
SIGN = Hypothesis(
    "rotation the other way (angle sign)",
    "angles.rotation: the other way (clockwise <-> counter_clockwise)",
    lambda setup: setup.with_angles(np.negative),
)
STARTS = [
    Hypothesis(f"start angle {angle} degrees further", f"angles.first: {angle} more, counter-clockwise", _turn(np.deg2rad(angle)), 1.1)
    for angle in (90, 180, 270)
]


def _angle_unit(factor: float) -> Change:
    return lambda setup: setup.with_angles(lambda angles: angles * factor)


ANGLE_UNITS = [
    Hypothesis("angles are radians, read as degrees", "angle_unit: radians", _angle_unit(180 / np.pi)),
    Hypothesis("angles are degrees, read as radians", "angle_unit: degrees", _angle_unit(np.pi / 180)),
]

OFFSETS = ("detector_offset", "volume_offset", "axis_shift")
LENGTHS = ("source_to_origin", "source_to_detector", "detector_pitch", "volume_spacing", *OFFSETS)
FACTORS = ((1000.0, 1.0), (1e-3, 1.0), (10.0, 1.3), (0.1, 1.3))  # m or um for mm, then cm
UNLIKELY = 1.0  # added for offsets: a wrong unit makes them vanish, and thus explains any wrong offset


def _scaled(name: str, factor: float) -> Change:
    def change(setup: Setup) -> Setup:
        value = np.multiply(setup.geometry.get(name, 0.0), factor)
        return setup.changed(**{name: value if value.ndim == 1 and name == "axis_shift" else value.tolist()})

    return change


def _advice(name: str, factor: float) -> str:
    """Return the key of scan.yaml that holds a length of the geometry."""
    section = name.replace("volume_spacing", "volume.extent").replace("volume_offset", "volume.offset")
    return f"{section if '.' in section else f'geometry.{section}'}: {factor:g} times as much (or length_unit)"


def _lengths(setup: Setup) -> Iterator[Hypothesis]:
    for name in LENGTHS:
        if not np.any(setup.geometry.get(name, 0.0)) or (name == "volume_spacing" and setup.box_follows):
            continue
        for factor, cost in FACTORS[:2] if name in OFFSETS else FACTORS:
            times = f"{name} times {factor:g}"
            cost += UNLIKELY if name in OFFSETS else 0.0
            text = f"unit of {name} ({times})"
            yield Hypothesis(text, _advice(name, factor), _scaled(name, factor), cost)
    for name in ("detector_offset", "axis_shift"):
        if np.any(setup.geometry.get(name, 0.0)):
            yield Hypothesis(f"sign of {name}", f"geometry.{name}: the other sign", _scaled(name, -1.0))
    yield Hypothesis(
        "source_to_origin and source_to_detector swapped",
        "geometry.source_to_origin, geometry.source_to_detector: exchange the values",
        lambda s: s.changed(source_to_origin=s.geometry["source_to_detector"], source_to_detector=s.geometry["source_to_origin"]),
    )
    beyond = setup.geometry["source_to_origin"] + setup.geometry["source_to_detector"]
    yield Hypothesis(
        "source_to_detector is origin to detector",
        f"geometry.source_to_detector: {beyond:g} mm (source to origin and origin to detector together)",
        lambda setup: setup.changed(source_to_detector=beyond),
    )


def volume_hypotheses(setup: Setup) -> Iterator[Hypothesis]:
    """Yield reversed and swapped axes of the truth."""
    if setup.truth is None:
        return
    for axis, name in enumerate("zyx"):
        yield Hypothesis(f"volume {name} reversed", f"truth.flip: {name}", _reversed_truth(axis), 1.2)
    for order in itertools.permutations(range(3)):
        if order != (0, 1, 2):
            written = "".join("zyx"[axis] for axis in order)
            yield Hypothesis(f"volume axes {written}", f"truth.axes: as if {written} stood where zyx does", _swapped_truth(order), 1.2)


def _reversed_truth(axis: int) -> Change:
    return lambda setup: setup.with_truth(np.flip(_truth(setup), axis))


def _swapped_truth(order: tuple[int, ...]) -> Change:
    return lambda setup: setup.with_truth(_truth(setup).transpose(order))


def _truth(setup: Setup) -> np.ndarray:
    assert setup.truth is not None
    return setup.truth


def detector_hypotheses() -> list[Hypothesis]:
    """Return the seven ways to flip or swap the detector's axes."""
    flips = (DECLARED, FLIP_U, FLIP_V, after(FLIP_U, FLIP_V))
    return [after(swap, flip) for swap in (DECLARED, SWAP) for flip in flips][1:]


def single_hypotheses(setup: Setup) -> list[Hypothesis]:
    """Return hypotheses of one mistake each. Without a truth: only mistakes that a scan can reveal by itself.

    A scan with reversed rows is as consistent as the right one; `FLIP_V` stands for all these mirror images.
    """
    found = detector_hypotheses() if setup.truth is not None or setup.any_orbit else [FLIP_U, FLIP_V, SWAP, after(SWAP, FLIP_U)]
    if not setup.any_orbit:
        found += [SIGN, *ANGLE_UNITS, *_lengths(setup), *(STARTS if setup.truth is not None else [])]
    return [*found, *volume_hypotheses(setup)]


def orientation_hypotheses() -> list[Hypothesis]:
    """Return every way to flip or swap the detector, with both directions of rotation and four start angles, except single mistakes."""
    detector, signs, starts = [DECLARED, *detector_hypotheses()], (DECLARED, SIGN), [DECLARED, *STARTS]
    combined = [(d, s, t) for d in detector for s in signs for t in starts if sum(h.cost > 0 for h in (d, s, t)) > 1]
    return [after(after(d, s), t) for d, s, t in combined]
