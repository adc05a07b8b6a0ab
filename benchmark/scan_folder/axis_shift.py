"""Position of the rotation axis, found from the projections: rays measured twice, from opposite sides, must agree."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from benchmark.errors import InputError
from benchmark.scan.geometry import ConeBeamGeometry

REACH = 0.15  # of the detector's width, on either side
CONE = 0.005  # slope of the rays used, beside the mid plane: they hardly leave it
MOST_ROWS = 9
WIDEST_GAP = 3.5  # [usual step] between views that are interpolated
FEWEST_PAIRS = 0.05  # of all rays
NO_MATCH = 0.35  # mismatch of rays that have nothing to do with each other is about 1
SHORTEST_ARC = np.deg2rad(170)  # half a turn, of which some views may be held out
SLICE = 192  # [voxel] along the side of the slice that a short scan is judged by
VIEWS = 360  # at most, for that slice


@dataclasses.dataclass(frozen=True)
class FoundShift:
    """Shift of source and detector along u [mm], the same in pixels of the detector, and how it was found."""

    shift: float
    pixels: float
    how: str


def find_axis_shift(view: Callable[[int], np.ndarray], geometry: ConeBeamGeometry, views: Sequence[int], where: str) -> FoundShift:
    """Return the axis shift of a circular scan, from these views alone (`view(i)`: line integrals [v, u]); that of `geometry` is not used.

    Where the arc is long enough, it is the shift at which rays that are measured from both sides agree best; else the one whose
    reconstructed middle slice has the least sum of absolute values, that is the fewest negative ones (Donath et al. 2006, doi
    10.1364/JOSAA.23.001048). Raise InputError, naming `where`, for other orbits, and where no shift stands out.
    """
    fix = "Give the number; validate tests it."
    if geometry.view_vectors is not None or np.ptp(geometry.source_height):
        raise InputError(where, expected="a circular orbit, to find the axis", found="another orbit", fix=fix)
    if len(views) < 4:
        raise InputError(where, expected="at least 4 views that are not held out, to find the axis", found=f"{len(views)}", fix=fix)
    order = sorted(views, key=lambda index: geometry.angles[index])
    rows = _rows(geometry)
    bands = np.stack([view(index)[rows].astype(np.float64) for index in order], 1)  # [row, view, u]
    scan = dataclasses.replace(geometry.subset(order), axis_shift=0.0)
    if not np.ptp(bands) > 0:
        raise InputError(where, expected="an object in the middle rows, to find the axis", found="constant rows", fix=fix)
    pixel = geometry.detector_pitch[1] / geometry.magnification  # [mm] at the axis
    pairs = _Pairs(bands, scan)
    if pairs.share(0.0) >= FEWEST_PAIRS:
        best, mismatch = _least(pairs.mismatch, REACH * geometry.detector_shape[1], pixel)
        how = f"rays seen from both sides in {len(order)} views"
        if mismatch > NO_MATCH or abs(best) > 0.97 * REACH * geometry.detector_shape[1] * pixel:
            raise InputError(where, expected="rays that agree with those from the other side", found="no shift at which they do", fix=fix)
    elif scan.arc < SHORTEST_ARC:
        found = f"{np.rad2deg(scan.arc):.0f} degrees"
        raise InputError(where, expected="views over 180 degrees at least, to find the axis", found=found, fix=fix)
    else:
        best, _ = _least(_absolute_mean(bands, scan), REACH * geometry.detector_shape[1], pixel)
        how = f"the middle slices of {len(order)} views"
    return FoundShift(best, best / pixel, how)


def _rows(geometry: ConeBeamGeometry) -> np.ndarray:
    """Return the rows near the mid plane; of a parallel beam, rows all over the detector."""
    rows, pitch = geometry.detector_shape[0], geometry.detector_pitch[0]
    heights = (np.arange(rows) - (rows - 1) / 2) * pitch + geometry.detector_offset[0]
    slope = np.abs(heights) / geometry.source_to_detector
    near = np.flatnonzero(slope <= max(CONE, float(slope.min()) + 1e-12))
    if len(near) > MOST_ROWS:
        near = near[np.linspace(0, len(near) - 1, MOST_ROWS).round().astype(int)]
    return near


class _Pairs:
    """Rays of the mid plane, and the same rays as seen from the other side, for any shift of the axis."""

    def __init__(self, bands: np.ndarray, geometry: ConeBeamGeometry) -> None:
        self._bands, self._origin, self._distance = bands, geometry.source_to_origin, geometry.source_to_detector
        columns = geometry.detector_shape[1]
        self._first = -(columns - 1) / 2 * geometry.detector_pitch[1] + geometry.detector_offset[1]
        self._pitch = geometry.detector_pitch[1]
        self._fan = np.arctan((self._first + np.arange(columns) * self._pitch) / self._distance)
        turn = np.mod(geometry.angles, 2 * np.pi)
        order = np.argsort(turn, kind="stable")
        self._angles, self._order = geometry.angles, order
        sorted_turn = turn[order]
        self._turn = np.concatenate([[sorted_turn[-1] - 2 * np.pi], sorted_turn, [sorted_turn[0] + 2 * np.pi]])
        self._step = float(np.median(np.diff(sorted_turn)[np.diff(sorted_turn) > 1e-9])) if np.ptp(sorted_turn) > 1e-9 else 0.0
        self._index = np.concatenate([[order[-1]], order, [order[0]]])

    def _opposite(self, shift: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return for every ray [view, u] the two views about its opposite, the share of the second, the column, and whether any."""
        # A ray's distance from the axis is R sin(fan) + shift cos(fan); its opposite has the negative one.
        distance = self._origin * np.sin(self._fan) + shift * np.cos(self._fan)
        radius, phase = np.hypot(self._origin, shift), np.arctan2(shift, self._origin)
        fan = np.arcsin(np.clip(-distance / radius, -1, 1)) - phase
        column = (self._distance * np.tan(fan) - self._first) / self._pitch
        angle = np.mod(self._angles[:, None] + np.pi + (fan - self._fan)[None], 2 * np.pi)
        after = np.clip(np.searchsorted(self._turn, angle), 1, len(self._turn) - 1)
        gap = self._turn[after] - self._turn[after - 1]
        share = np.where(gap > 0, (angle - self._turn[after - 1]) / np.maximum(gap, 1e-12), 0.0)
        known = (gap <= WIDEST_GAP * self._step) & ((column >= 0) & (column <= len(self._fan) - 1))[None]
        return self._index[after - 1], self._index[after], share, np.broadcast_to(column, angle.shape), known

    def share(self, shift: float) -> float:
        """Return the share of the rays whose opposite was measured."""
        return float(self._opposite(shift)[-1].mean())

    def mismatch(self, shift: float) -> float:
        """Return the squared differences of opposite rays over their squared deviations from the mean: 0 for the same, about 1 for any."""
        before, after, share, column, known = self._opposite(shift)
        if known.mean() < 0.5 * self.share(0.0):
            return np.inf
        low = np.clip(np.floor(column).astype(int), 0, max(0, self._bands.shape[2] - 2))
        part = column - low
        right = np.minimum(low + 1, self._bands.shape[2] - 1)
        apart = spread = 0.0
        for band in self._bands:
            one = (1 - part) * band[before, low] + part * band[before, right]
            two = (1 - part) * band[after, low] + part * band[after, right]
            found, here = ((1 - share) * one + share * two)[known], band[known]
            apart += float(np.square(found - here).sum())
            spread += float(np.square(found - found.mean()).sum() + np.square(here - here.mean()).sum())
        return apart / spread if spread > 0 else np.inf


def _absolute_mean(bands: np.ndarray, geometry: ConeBeamGeometry) -> Callable[[float], float]:
    """Return a function from a shift [mm] to the mean absolute value of the slice in the mid plane; its mean is always the same."""
    from benchmark.reconstruction.fdk import filtered_backprojection  # brings torch

    chosen = np.unique(np.linspace(0, geometry.views - 1, min(VIEWS, geometry.views)).round().astype(int))
    radius = geometry.source_to_origin * np.sin(geometry.fan_angle / 2)
    side = min(SLICE, geometry.detector_shape[1])
    edge = 2 * radius / side
    row = np.ascontiguousarray(bands.mean(0)[chosen][:, None], dtype=np.float32)
    flat = dataclasses.replace(
        geometry.subset(chosen), detector_shape=(1, geometry.detector_shape[1]), detector_offset=(0.0, geometry.detector_offset[1]),
        volume_shape=(1, side, side), volume_spacing=(edge, edge, edge), volume_offset=(0.0, 0.0, 0.0),
    )  # fmt: skip
    y, x = np.meshgrid(*(flat.voxel_centres(axis) for axis in (1, 2)), indexing="ij")
    inside = np.hypot(x, y) < 0.9 * radius

    def absolute(shift: float) -> float:
        volume, _ = filtered_backprojection(row, dataclasses.replace(flat, axis_shift=shift), filter="ram-lak")
        return float(np.abs(volume[0][inside]).mean())

    return absolute


def _least(cost: Callable[[float], float], reach: float, pixel: float) -> tuple[float, float]:
    """Return the shift [mm] of least cost within `reach` pixels on either side, to a small part of a pixel, and that cost."""
    step = max(1.0, reach / 40)
    places = step * np.arange(-np.ceil(reach / step), np.ceil(reach / step) + 1, dtype=np.float64)
    costs = [cost(place * pixel) for place in places]
    best = float(places[int(np.argmin(costs))])
    while step > 0.05:
        step /= 4
        places = best + step * np.arange(-6, 7, dtype=np.float64)
        costs = [cost(place * pixel) for place in places]
        lowest = int(np.argmin(costs))
        best = float(places[lowest])
    if 0 < lowest < len(places) - 1:  # the vertex of the parabola through the lowest and its neighbours
        left, middle, right = costs[lowest - 1 : lowest + 2]
        curve = left - 2 * middle + right
        best += 0.5 * step * (left - right) / curve if curve > 0 else 0.0
    return best * pixel, float(min(costs))
