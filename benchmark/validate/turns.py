"""Angles in another order, and angles over another arc: named ones and any factor."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from benchmark.validate.hypotheses import Hypothesis
from benchmark.validate.residual import fit
from benchmark.validate.setup import Setup
from benchmark.validate.shifts import IMPOSSIBLE

LEAST, MOST, STEP = 0.24, 4.2, 1.09  # factors tried; a wrong one is seen from about 8 % off
BEST = 2  # of those factors, refined
ARCS = (90.0, 180.0, 200.0, 270.0, 360.0, 400.0, 540.0, 720.0, 1080.0)  # [degrees] usual ones
NEAR = 0.03  # a usual arc within this share of the best factor is meant
AS_GOOD = 1.03  # as the best factor
SAME = 0.004  # closer to 1, a factor is no correction
SMALL = 0.1  # a factor this close to 1 is a refinement, and needs stronger evidence
REFINED = 2.5  # its cost
MOST_STEPS, TOLERANCE = 9, 3e-3
FEW_NAMES = 10  # with no more, 10 does not come before 2


def order_hypotheses(setup: Setup) -> Iterator[Hypothesis]:
    """Yield the usual ways in which images and angles get out of step."""
    angles = every_angle(setup)
    views = len(angles)
    if views < 3:
        return
    degrees = [f"{value:.6g}" for value in np.rad2deg(np.mod(angles, 2 * np.pi))]
    ordered = np.argsort(np.mod(angles, 2 * np.pi), kind="stable")
    steps = np.diff(angles)
    even = bool(np.ptp(steps) < 1e-3 * np.abs(steps).max(initial=1e-9))
    reverse = np.arange(views)[::-1]
    orders: list[tuple[str, str, np.ndarray]] = []
    if not even or setup.truth is not None:
        orders.append(("reversed", "the images or the angles run backwards", reverse))
    if views > FEW_NAMES:
        for first in (0, 1):
            by_name = np.array(sorted(range(first, views + first), key=str)) - first
            text = f"images sorted by name (counted from {first}, 10 before 2)"
            orders.append((text, "pad the numbers in the images' names with zeros", by_name))
        by_text = np.array(sorted(range(views), key=degrees.__getitem__))
        orders.append(("images sorted by the text of their angle", "sort the images as the angles are", by_text))
    orders.append(("images sorted by angle", "sort the images as the angles are", ordered))
    seen = {tuple(range(views))} | ({tuple(reverse)} if even and setup.truth is None else set())
    for text, advice, order in orders:
        if tuple(order) not in seen:
            seen.add(tuple(order))
            yield Hypothesis(f"views in another order: {text}", advice, _ordered(order))


def _ordered(order: np.ndarray) -> Callable[[Setup], Setup]:
    return lambda setup: setup.with_angles(lambda angles: angles[order])


def every_angle(setup: Setup) -> np.ndarray:
    """Return the angles [rad] of all views of the scan, in their order."""
    return np.asarray(setup.geometry["angles"] if setup.every_angle is None else setup.every_angle)


def stretched(setup: Setup, factor: float) -> Setup:
    """Return the setup with every angle's distance from the first one times `factor`."""
    return setup.with_angles(lambda angles: angles[0] + (angles - angles[0]) * factor)


def arc_hypotheses(setup: Setup) -> list[Hypothesis]:
    """Return the arcs that fit best among all factors of the angles, by usual numbers where these fit as well."""
    from scipy.optimize import minimize_scalar

    angles = every_angle(setup)
    views, steps = len(angles), np.diff(angles)
    if views < 4 or np.ptp(np.sign(steps)) or not np.any(steps):
        return []  # angles that do not run one way are not spoilt by a wrong step or arc

    def residual(factor: float) -> float:
        return min(fit(stretched(setup, factor), quick=True).residual, IMPOSSIBLE)

    arc = abs(math.degrees(angles[-1] - angles[0])) * views / (views - 1)
    count = int(math.log(MOST / LEAST) / math.log(STEP))
    factors = [LEAST * STEP**index for index in range(count + 1)]
    found = {factor: residual(factor) for factor in factors}
    valleys = [
        factor
        for before, factor, after in zip([None, *factors], factors, [*factors[1:], None], strict=False)
        if found[factor] <= min(found[other] for other in (before, after) if other is not None) and found[factor] < IMPOSSIBLE
    ]
    hypotheses = []
    for valley in sorted(valleys, key=lambda factor: found[factor])[:BEST]:
        options = {"xatol": TOLERANCE * valley, "maxiter": MOST_STEPS}
        best = minimize_scalar(residual, bounds=(valley / STEP, valley * STEP), method="bounded", options=options)
        factor, least = (float(best.x), float(best.fun)) if best.fun < found[valley] else (valley, found[valley])
        hypotheses.append(_named(factor, least, arc, views, residual))
    return [hypothesis for hypothesis in hypotheses if hypothesis is not None]


def _named(factor: float, least: float, arc: float, views: int, residual: Callable[[float], float]) -> Hypothesis | None:
    """Return the factor as an arc: a usual one, with or without its end as a view of its own, if that fits as well."""
    last = views / (views - 1)  # the last view at the end of the arc
    ends = ((1.0, ""), (last, ", both ends included"))
    usual = {degrees / arc * share: f"{degrees:g} degrees{text}" for degrees in ARCS for share, text in ends}
    near = sorted((usual[other].endswith(ends[1][1]), other) for other in usual if abs(math.log(factor / other)) < NEAR)
    words = f"{factor * arc:.4g} degrees"
    for _, other in near:
        if abs(math.log(other)) < SAME or residual(other) <= AS_GOOD * least:
            factor, words = other, usual[other]
            break
    if abs(math.log(factor)) < SAME:
        return None
    step = factor * arc / views
    name = f"angles cover {words}, not {arc:.4g} (times {factor:.4g})"
    advice = f"angles.arc: {factor * arc:.6g} or angles.step: {step:.6g}, in degrees (or the angle file)"
    return Hypothesis(name, advice, lambda setup: stretched(setup, factor), REFINED if abs(math.log(factor)) < SMALL else 1.0)
