"""Choose training and held-out views among the measured views."""

from __future__ import annotations

import numpy as np

from benchmark.errors import InputError
from benchmark.scan.turn import Turn

USUAL = (10, 50, 100)  # the held-out views avoid the training views of all these numbers


def evenly_spaced(total: int, count: int) -> tuple[int, ...]:
    """Return `count` of `total` views at equal steps from view 0, each nearest to its ideal position (halves round up)."""
    if not total:
        raise InputError("views", expected="views to train with", found="none", fix="All are held out: leave some out of views.heldout.")
    if not 1 <= count <= total:
        raise InputError("views", expected=f"1 .. {total} views", found=f"{count}", fix=f"All of them: --views {total}.")
    return tuple((2 * k * total + count) // (2 * count) for k in range(count))


def training_views(total: int, views: int | tuple[int, ...], angles: np.ndarray | None = None) -> tuple[int, ...]:
    """Return the indices of the training views: evenly spaced over the arc for a number, the given ones for a tuple.

    `angles` [rad] are needed if steps are unequal. For n views the arc (its last step included) is cut into n equal parts, and the
    view nearest to the start of each is taken. Raise InputError for more than `total` views, and for indices out of range or repeated.
    """
    if isinstance(views, int):
        chosen = evenly_spaced(total, views)
        if angles is None:
            return chosen
        order, place = along_arc(angles)
        return tuple(sorted(int(order[index]) for index in _nearest(place, views)))
    outside = [index for index in views if not 0 <= index < total]
    if not views or outside or len(set(views)) < len(views):
        found = f"index {outside[0]}" if outside else "a view twice" if views else "none"
        raise InputError("views", expected=f"different indices 0 .. {total - 1} of the measured views", found=found)
    return tuple(views)


def heldout_views(
    total: int,
    training: tuple[int, ...],
    count: int,
    seed: int,
    angles: np.ndarray | None = None,
    same: np.ndarray | None = None,
) -> tuple[int, ...]:
    """Return the indices of `count` seeded held-out views, none of them in `training`.

    They are drawn from the views outside the usual training sets (10, 50 or 100 evenly spaced views), in an order that depends on the
    seed alone, so that all usual numbers of training views share them. `same` [view] numbers the directions: no held-out view has the
    direction of a training view. Raise InputError if fewer than `count` views are free.
    """
    number_of = np.arange(total) if same is None else same
    once = np.sort(np.unique(number_of, return_index=True)[1])  # training subsets take every direction once
    places = None if angles is None else angles[once]
    usual = {int(number_of[once[k]]) for usual in USUAL if usual < total for k in training_views(len(once), min(usual, len(once)), places)}
    shuffled = np.random.default_rng([seed, 0]).permutation(total).tolist()
    order = sorted(shuffled, key=lambda index: number_of[index] in usual)  # stable: views outside the usual subsets come first
    trained = set(number_of[list(training)].tolist())
    free = [index for index in order if number_of[index] not in trained]
    if count > len(free):
        raise InputError("heldout", expected=f"at most {len(free)} (all views less the training views)", found=f"{count}")
    return tuple(sorted(free[:count]))


def along_arc(angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the views in their order along the arc, and the share of the arc (0 .. 1) at which each begins.

    Views taken in one direction keep their order, even over several turns; other views are sorted by angle,
    beginning after the widest gap. A last view that repeats the first after whole turns adds nothing to the arc.
    """
    steps = np.diff(angles)
    if (steps >= 0).all() or (steps <= 0).all():
        order, travelled = np.arange(len(angles)), np.abs(angles - angles[0])
    else:
        turn = Turn.of(angles)
        order = turn.starting_after(int(turn.gaps.argmax())).order
        travelled = np.mod(angles[order] - angles[order[0]], 2 * np.pi)
    if len(angles) == 1:
        return order, travelled
    steps = np.diff(travelled)
    left = float(np.mod(-travelled[-1], 2 * np.pi))  # to the end of the turn
    left = 0.0 if 2 * np.pi - left < 1e-3 * np.median(steps) else left
    length = travelled[-1] + (left if left <= 1.5 * steps.max() else float(np.median(steps)))
    return order, travelled / max(length, 1e-12)


def _nearest(place: np.ndarray, count: int) -> list[int]:
    """Return the indices of the sorted positions nearest to k / count (halves round up), strictly increasing."""
    chosen: list[int] = []
    for k in range(count):
        right = int(np.searchsorted(place, k / count - 1e-9))
        left = max(0, right - 1)
        nearest = right if right < len(place) and place[right] - k / count <= k / count - place[left] + 1e-9 else left
        least = chosen[-1] + 1 if chosen else 0
        chosen.append(min(max(nearest, least), len(place) - count + k))
    return chosen
