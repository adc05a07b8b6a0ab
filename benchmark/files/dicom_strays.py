"""Slices of a series that do not belong to its volume: scouts without a label, and slices that were sent twice."""

from __future__ import annotations

import itertools

import numpy as np

from benchmark.errors import InputError
from benchmark.files.dicom_slice import Slice, pixels

MOST_ODD = 3  # slices of another shape or direction in one series
SAME = 1e-3  # [mm] and of direction cosines


def without_strays(slices: list[Slice]) -> tuple[list[Slice], str]:
    """Return the slices of one shape and direction, each place once, and a note on those left out.

    A few (MOST_ODD, a tenth) of another shape or direction are scouts; more are for `dicom.read_series` to refuse. Raise InputError
    for different slices at one place.
    """
    kept, odd = _alike(slices)
    kept, repeated = _once(kept)
    said = f", left out: {odd} of another shape or direction" * bool(odd)
    return kept, said + f", left out: {repeated} repeated slices" * bool(repeated)


def _alike(slices: list[Slice]) -> tuple[list[Slice], int]:
    kinds: dict[tuple[float, ...], list[Slice]] = {}
    for one in slices:
        steps = np.round(np.concatenate([one.column_step, one.row_step]) / SAME / 10)
        kinds.setdefault((one.rows, one.columns, *map(float, steps + 0.0)), []).append(one)
    most = max(kinds.values(), key=len)
    odd = len(slices) - len(most)
    return (most, odd) if odd <= min(MOST_ODD, len(slices) // 10) else (slices, 0)


def _once(slices: list[Slice]) -> tuple[list[Slice], int]:
    """Return one slice for each place. Repeats have other identifiers but the same pixels."""
    places: dict[tuple[float, ...], list[Slice]] = {}
    for one in slices:
        if one.position is None or one.frame is not None:
            return slices, 0
        places.setdefault(tuple(np.round(one.position / SAME)), []).append(one)
    if len(places) < 2:
        return slices, 0
    for same in places.values():
        for first, other in itertools.pairwise(same):
            if not _equal(first, other):
                repeats = [len(group) for group in places.values() if len(group) > 1]
                found = f"{first.name} and {other.name}, which differ, at the same place ({len(repeats)} of {len(places)} places)"
                fix = "The series mixes acquisitions (phases, kernels, copies): leave the files of one in the folder."
                raise InputError(str(first.path.parent), expected="one slice at each place", found=found, fix=fix)
    kept = [same[0] for same in places.values()]
    return kept, len(slices) - len(kept)


def _equal(one: Slice, other: Slice) -> bool:
    alike = (one.rows, one.columns, one.slope, one.intercept) == (other.rows, other.columns, other.slope, other.intercept)
    return alike and np.array_equal(next(pixels(one.path)), next(pixels(other.path)))
