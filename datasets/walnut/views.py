"""Which of the measured views train and which are held out."""

from __future__ import annotations

import numpy as np

from benchmark.api import InputError

USUAL = (10, 50, 100)  # numbers of training views that the held-out views avoid, whichever of them is in use


def evenly_spaced(total: int, count: int) -> tuple[int, ...]:
    """`count` of `total` views of a full circle, from view 0, each the nearest to its ideal place (halves go up)."""
    if not 1 <= count <= total:
        raise InputError("views", expected=f"1 .. {total} views", found=f"{count}")
    return tuple((2 * k * total + count) // (2 * count) for k in range(count))


def training_views(total: int, views: int | tuple[int, ...]) -> tuple[int, ...]:
    """Indices of the training views: evenly spaced for a number, themselves for a list."""
    if isinstance(views, int):
        return evenly_spaced(total, views)
    outside = [index for index in views if not 0 <= index < total]
    if not views or outside or len(set(views)) < len(views):
        found = f"index {outside[0]}" if outside else "a view twice" if views else "none"
        raise InputError("views", expected=f"different indices 0 .. {total - 1} of the measured views", found=found)
    return tuple(views)


def heldout_views(total: int, training: tuple[int, ...], count: int, seed: int) -> tuple[int, ...]:
    """`count` views, seeded, none of them in training.

    They are drawn from the views that no usual subset (10, 50 or 100 evenly spaced) contains, in an order that depends
    on the seed alone: the same views for every usual number of training views. Only a training set that takes some of
    them itself gets others in their place.
    """
    usual = {index for number in USUAL if number < total for index in evenly_spaced(total, number)}
    shuffled = np.random.default_rng([seed, 0]).permutation(total).tolist()
    order = sorted(shuffled, key=lambda index: index in usual)  # stable: first those in no usual subset
    free = [index for index in order if index not in set(training)]
    if count > len(free):
        raise InputError("heldout", expected=f"at most {len(free)} (all views less the training views)", found=f"{count}")
    return tuple(sorted(free[:count]))
