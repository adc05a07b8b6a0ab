"""Scans x mistakes: how often `validate` names the mistake, says only that something is wrong, or says nothing.

    python tests/validate_matrix.py [--scans NAME,...] [--mistakes NAME,...] [--blind | --truth]

The scans are closed-form bodies (and the sample of the walnut) with and without a truth; a mistake is planted in the description or in the
numbers. tests/test_validate_matrix.py checks a few of them always and all of them as a slow test.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np

from benchmark.acquisition.ellipsoids import Ellipsoids
from benchmark.plugins import registry
from benchmark.plugins.specs import resolve
from benchmark.scan.geometry import ConeBeamGeometry, parallel_distances
from benchmark.validate.report import Report
from benchmark.validate.setup import Setup
from benchmark.validate.shifts import shifted

Change = Callable[[Setup], Setup]

BODY = Ellipsoids(
    np.array([[5.0, -8, 4], [35, 20, -20], [-30, 15, 25]]),
    np.array([[70.0, 55, 65], [14, 18, 20], [18, 12, 14]]),
    np.array([0.02, 0.015, -0.012]),
)
BALL = Ellipsoids(np.array([[25.0, 10, 8]]), np.array([[35.0, 35, 35]]), np.array([0.02]))
WIDE = Ellipsoids(BODY.centres * 1.5, BODY.semi_axes * 1.5, BODY.attenuation)  # beyond the detector and the box
PIXELS, VOXELS = 64, 48


def scanner(views: int, arc: float, **changes: Any) -> ConeBeamGeometry:
    values: dict[str, Any] = dict(
        source_to_origin=500, source_to_detector=700, detector_shape=(PIXELS, PIXELS), detector_pitch=(400 / PIXELS,) * 2,
        volume_shape=(VOXELS,) * 3, volume_spacing=(192 / VOXELS,) * 3, angles=np.deg2rad(np.arange(views) * arc / views),
    )  # fmt: skip
    return ConeBeamGeometry(**{**values, **changes})


def _parallel() -> dict[str, Any]:
    pitch = (280 / PIXELS,) * 2
    origin, distance = parallel_distances((PIXELS, PIXELS), pitch)
    return dict(source_to_origin=origin, source_to_detector=distance, detector_pitch=pitch)


GOLDEN = np.deg2rad(np.arange(60) * 137.50776 % 360)
ROW = dict(detector_shape=(1, 96), detector_pitch=(400 / 96,) * 2, volume_shape=(1, VOXELS, VOXELS), volume_spacing=(4.0,) * 3)
SCANS: dict[str, tuple[Ellipsoids, dict[str, Any], float]] = {  # body, geometry, photons
    "turn": (BODY, dict(views=100, arc=360), 0),
    "24 views": (BODY, dict(views=24, arc=360), 0),
    "10 views": (BODY, dict(views=10, arc=360), 0),
    "short": (BODY, dict(views=100, arc=200), 0),
    "half turn": (BODY, dict(views=60, arc=180), 0),
    "half-fan": (BODY, dict(views=120, arc=360, detector_pitch=(6.25, 300 / PIXELS), detector_offset=(0.0, 90.0)), 0),
    "parallel": (BODY, dict(views=90, arc=180, **_parallel()), 0),
    "noise": (BODY, dict(views=100, arc=360), 1e4),
    "golden": (BODY, dict(views=60, arc=360, angles=GOLDEN), 0),
    "helix": (BODY, dict(views=120, arc=720, source_height=np.linspace(-40, 40, 120)), 0),
    "ball": (BALL, dict(views=60, arc=360), 0),
    "wide": (WIDE, dict(views=100, arc=360), 0),
    "one row": (BODY, dict(views=60, arc=360, **ROW), 0),
}


@cache
def scan(name: str) -> Setup:
    """Return a correct scan with its truth."""
    if name == "walnut":
        spec = registry.registry().datasets["walnut_sample"]
        return Setup.of(resolve(spec.target)(spec.params(size=32, views=50, heldout=2)))
    body, values, photons = SCANS[name]
    geometry = scanner(**values)
    projections = body.project(geometry, 2)
    if photons:
        counts = np.random.default_rng(0).poisson(photons * np.exp(-projections))
        projections = -np.log(np.maximum(counts, 0.5) / photons).astype(np.float32)
    fields = {field.name: getattr(geometry, field.name) for field in dataclasses.fields(geometry)}
    return Setup(projections, fields, body.averaged(geometry))


def _angles(change: Callable[[np.ndarray], np.ndarray]) -> Change:
    return lambda setup: setup.changed(angles=change(np.asarray(setup.geometry["angles"])))


def _times(factor: float, *names: str) -> Change:
    return lambda setup: setup.changed(**{name: np.multiply(setup.geometry[name], factor).tolist() for name in names})


def _numbers(change: Callable[[np.ndarray], None]) -> Change:
    def spoil(setup: Setup) -> Setup:
        projections = setup.projections.copy()
        change(projections)
        return dataclasses.replace(setup, projections=projections)

    return spoil


def _dead_column(p: np.ndarray) -> None:
    p[:, :, p.shape[2] * 3 // 7] = 0


def _hot(p: np.ndarray) -> None:
    number = np.random.default_rng(0)
    for _ in range(8):
        p[:, number.integers(p.shape[1]), number.integers(p.shape[2] // 4, p.shape[2] * 3 // 4)] = 3 * p.max()


def _black_views(p: np.ndarray) -> None:
    p[len(p) // 3] = 8.0  # nothing arrived


def _by_name(setup: Setup) -> Setup:
    order = sorted(range(len(setup.projections)), key=str)
    return dataclasses.replace(setup, projections=setup.projections[order])


def _swapped(setup: Setup) -> Setup:
    known = setup.geometry
    return setup.changed(source_to_origin=known["source_to_detector"], source_to_detector=known["source_to_origin"])


def _both(first: Change, second: Change) -> Change:
    return lambda setup: second(first(setup))


def _pixels(setup: Setup, count: float) -> float:
    return count * setup.geometry["detector_pitch"][1]


FULL = ("turn", "24 views", "half-fan", "noise", "helix", "ball", "wide", "one row", "walnut")
ANY = (*FULL, "short", "half turn", "parallel", "golden")
CONE = tuple(name for name in ANY if name != "parallel")
# Mistake: how it is planted, part of what must be said ("" for a defect that must not mislead), scans, visible without a truth.
MISTAKES: dict[str, tuple[Change, tuple[str, ...], tuple[str, ...], bool]] = {
    "none": (lambda s: s, (), (*ANY, "10 views"), True),
    "arc 180 for 360": (_angles(lambda a: a / 2), ("angles",), FULL, True),
    "arc 360 for 180": (_angles(lambda a: a * 2), ("angles",), ("half turn", "parallel"), True),
    "arc 360 for 200": (_angles(lambda a: a * 1.8), ("angles",), ("short",), True),
    "arc 200 for 360": (_angles(lambda a: a / 1.8), ("angles",), FULL, True),
    "step 5 for 3": (_angles(lambda a: a * 5 / 3), ("angles",), tuple(n for n in ANY if n != "golden"), True),
    "degrees as radians": (_angles(np.rad2deg), ("degrees",), ANY, True),
    "radians as degrees": (_angles(np.deg2rad), ("radians", "angles"), ANY, True),
    "rotation": (_angles(np.negative), ("rotation", "columns reversed", "order"), CONE, True),
    "images by name": (_by_name, ("order",), ("turn", "noise", "short", "golden", "parallel", "one row"), True),
    "order reversed": (lambda s: dataclasses.replace(s, projections=s.projections[::-1]), ("order", "rotation", "columns"), CONE, True),
    "rows": (lambda s: s.with_projections(s.projections[:, ::-1]), ("rows reversed",), tuple(n for n in ANY if n != "one row"), False),
    "columns": (lambda s: s.with_projections(s.projections[:, :, ::-1]), ("columns reversed", "rotation", "order"), CONE, True),
    "SDD and SOD": (_swapped, ("source_to",), CONE, True),
    "pitch in cm": (_times(0.1, "detector_pitch"), ("detector_pitch", "source_to_detector", "source_to_origin"), CONE, True),
    "axis 4 pixels": (lambda s: shifted(s, "axis", _pixels(s, 4) / 1.4), ("shifted",), ANY, True),
    "u 8 pixels": (lambda s: shifted(s, "u", _pixels(s, 8)), ("shifted",), ANY, True),
    "offset sign": (lambda s: _times(-1, "detector_offset")(s), ("detector_offset", "shifted"), ("half-fan",), True),
    "dead column": (_numbers(_dead_column), (), (*ANY, "10 views"), True),
    "hot pixels": (_numbers(_hot), (), tuple(n for n in ANY if n != "one row"), True),
    "black views": (_numbers(_black_views), (), ("turn", "short", "noise", "golden", "walnut"), True),
    "dead column and arc": (_both(_numbers(_dead_column), _angles(lambda a: a / 2)), ("angles",), FULL, True),
    "columns and arc": (
        _both(lambda s: s.with_projections(s.projections[:, :, ::-1]), _angles(lambda a: a / 2)), ("angles",), ("turn", "noise"), True,
    ),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Outcome:
    """`verdict`: right, said (that something is wrong, but not what) or silent; for a correct scan right or alarm."""

    scan: str
    mistake: str
    blind: bool
    verdict: str
    text: str
    seconds: float


def outcome(name: str, mistake: str, blind: bool) -> Outcome:
    """Plant one mistake and judge what `validate` says."""
    plant, expected, _, _ = MISTAKES[mistake]
    good = scan(name)
    setup = plant(dataclasses.replace(good, truth=None) if blind else good)
    begun = time.process_time()
    report = Report.of(name, setup)
    seconds = time.process_time() - begun
    text = "\n".join(report.lines())
    if not expected:
        return Outcome(name, mistake, blind, "alarm" if report.exit_code else "right", text, seconds)
    if not report.exit_code:
        return Outcome(name, mistake, blind, "silent", text, seconds)
    told = [] if report.diagnosis is None else [c.hypothesis.name for c in (report.diagnosis.best, *report.diagnosis.same)]
    right = any(word in said for said in told for word in expected)
    return Outcome(name, mistake, blind, "right" if right else "said", text, seconds)


def cases(scans: set[str], mistakes: set[str], blind: bool) -> Iterator[tuple[str, str]]:
    """Yield the scans and mistakes that go together."""
    for mistake, (_, _, names, visible) in MISTAKES.items():
        if mistake in mistakes and (visible or not blind):
            yield from ((name, mistake) for name in names if name in scans)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--scans", default=",".join([*SCANS, "walnut"]))
    parser.add_argument("--mistakes", default=",".join(MISTAKES))
    parser.add_argument("--blind", action="store_true")
    parser.add_argument("--truth", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    given = parser.parse_args()
    for blind in [False] * (not given.blind) + [True] * (not given.truth):
        count: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        seconds = []
        for name, mistake in cases(set(given.scans.split(",")), set(given.mistakes.split(",")), blind):
            found = outcome(name, mistake, blind)
            count[mistake][found.verdict] += 1
            seconds.append(found.seconds)
            if found.verdict != "right" or given.verbose:
                sys.stdout.write(f"  {found.verdict}: {mistake} / {name} ({found.seconds:.1f} s)\n")
                geometry = [line for line in found.text.splitlines() if given.verbose or line.startswith(("geometry", "scale"))]
                sys.stdout.write("".join(f"      {line}\n" for line in geometry))
                sys.stdout.flush()
        sys.stdout.write(f"{'without' if blind else 'with'} a truth, {len(seconds)} runs, {np.mean(seconds or [0]):.1f} s each\n")
        for mistake, verdicts in count.items():
            sys.stdout.write(f"  {mistake:22} {dict(verdicts)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
