"""Dead, stuck, hot and noisy pixels of a detector: found from the views alone, and repaired from their neighbours."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

import numpy as np

FEWEST_VIEWS = 5  # with fewer, the object's own edges look like defects
NARROW, WIDE, LARGE = 5, 9, 128  # [pixel] side of the neighbourhood, up to and from detectors of LARGE
FAR = 8.0  # times the usual deviation of its surroundings
CLEAR = 0.1  # share of the detector's range: smaller deviations are rings, not bad pixels
RUN = 8  # [pixel] of a line of bad pixels, at least
PASSES = 5  # the worst pixels hide others, and patches are found from their corners
STUCK, ENOUGH = 0.05, 10  # times the variation of the neighbours, and views that are enough to tell
LOUD, AROUND = 3.0, 13  # times what is usual in a neighbourhood [pixel]
WORST = 1.4  # times the next-worst pixel within STEP
AGREE = 0.75  # of the views
NOISY = 1e-4  # of the detector's range: less is no noise but rounding
STEP = 2  # [pixel] to the neighbours that a pixel is compared with: lines of that width stand out
MOST = 0.1  # of all pixels: more are no defects of single pixels
DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1), (1, 2), (2, 1), (1, -2), (2, -1))  # (v, u), half a turn


def bad_pixels(views: Iterable[np.ndarray], most: float = MOST) -> np.ndarray:
    """Return True for pixels that do not measure: bool [v, u].

    `views` are line integrals or intensities [v, u], read one at a time. Over a rotation the mean and the variation of a pixel resemble
    those of its neighbours; a pixel is bad if its mean is far off and most views agree, if it hardly varies where its neighbours do, if
    it differs from them in most views and far more than usual, or if it is not finite in any view. What goes on in one direction is an
    edge or a wall of the object. Lines up to two pixels wide are found (four on detectors of 128 x 128 and more). Where more than
    the share `most` of the pixels look bad, the detector is not to blame: none is returned but those that are not finite, as from fewer
    than five views.
    """
    seen = _Seen()
    for view in views:
        seen.add(view)
    if seen.count == 0:
        return np.zeros((0, 0), dtype=bool)
    if seen.count < FEWEST_VIEWS or min(seen.broken.size, max(seen.broken.shape)) < NARROW:
        return seen.broken
    found = seen.broken
    for _ in range(PASSES):
        more = seen.outliers(found) & ~found
        if not more.any():
            break
        found = found | more
    return found if (found & ~seen.broken).mean() <= most else seen.broken


class _Seen:
    """Sums over views, from which each pixel's mean, variation and difference from its neighbours follow."""

    broken: np.ndarray  # bool [v, u]: not finite in some view

    def __init__(self) -> None:
        self.count = 0

    def add(self, view: np.ndarray) -> None:
        """Take one more view [v, u], NaN allowed."""
        finite = np.isfinite(view)
        if self.count == 0:
            usual = float(np.median(view[finite])) if finite.any() else 0.0
            self._first = np.where(finite, view, usual).astype(np.float64)  # keeps the squares small
            self.broken = ~finite
            self._total, self._squares = np.zeros_like(self._first), np.zeros_like(self._first)
            self._above, self._below = np.zeros((2, *view.shape), np.int32), np.zeros((2, *view.shape), np.int32)
            self._steps = np.zeros((2, *view.shape))
        self.broken = self.broken | ~finite
        view = np.where(finite, view, self._first)
        change = view - self._first
        self._total += change
        self._squares += change**2
        least = CLEAR / 2 * float(np.subtract(*np.percentile(view, (99, 1))))
        for axis in (0, 1):
            off = _beyond(view, axis)
            self._above[axis] += off > least
            self._below[axis] += off < -least
            self._steps[axis] += _beyond(change, axis) ** 2
        self.count += 1

    def outliers(self, known: np.ndarray) -> np.ndarray:
        """Return single bad pixels, and lines of them, beside those already known, bool [v, u]."""
        repair = Repair(known) if known.any() and not known.all() else np.array
        mean = repair(self._first + self._total / self.count)
        variation = repair(np.sqrt(np.maximum(self._squares / self.count - (self._total / self.count) ** 2, 0)))
        low, high = np.percentile(mean, (1, 99))
        clear = CLEAR * max(high - low, float(np.percentile(variation, 99)))
        stuck = STUCK * min(1.0, (self.count - 1) / (ENOUGH - 1)) ** 2  # by chance alike: one pixel in a million
        noise = float(np.percentile(variation, 10))
        dead = variation < (stuck * noise if noise > NOISY * clear / CLEAR else 0)  # every pixel that measures varies by the noise
        found: np.ndarray = dead
        agree, changes = np.ones_like(found), []
        for axis in (1, 0):
            if mean.shape[axis] < NARROW:
                continue
            side = NARROW if mean.shape[axis] < LARGE else WIDE
            steady, noisy, change = self._differs(axis, known, clear)
            agree = agree & steady
            changes.append(np.where(noisy, change, 0))
            near = _median_along(variation, axis, side)
            weak = variation < stuck * near
            still = weak & (near > clear / 2)
            off = _far(mean, axis, side, clear) & steady
            odd = dead | still | noisy | (off & weak)  # a wall or plate that stands still varies as its neighbours do
            found = found | (odd if 1 in mean.shape else _lines(odd, off | weak, axis))
        if 1 in mean.shape:
            return found
        found = found | (_alone(mean, clear) & agree) | _still(variation, stuck, clear / 2)
        return np.asarray(found | _louder(np.minimum(*changes)))

    def _differs(self, axis: int, known: np.ndarray, clear: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the pixels that differ from their neighbours along an axis in most views: to one side; by a change; and that change."""
        unknown = known | _beside(known, axis)  # their neighbours are bad
        steady = np.maximum(self._above[axis], self._below[axis]) > AGREE * self.count
        change = np.sqrt(np.maximum(self._steps[axis] / self.count - (_beyond(self._total, axis) / self.count) ** 2, 0))
        if unknown.any() and not unknown.all():
            change = Repair(unknown)(change)
        usual = _median_along(change, axis, min(AROUND, 2 * known.shape[axis] - 1))
        beside = np.maximum(LOUD * _nearby(change, axis, 1), _nearby(change, axis, STEP) / WORST)  # a bad pixel's neighbours differ, too
        often = self._above[axis] + self._below[axis] > self.count / 2
        return steady, often & (change > np.maximum(np.maximum(LOUD * usual, beside), clear / 2)) & ~unknown, change


def _beyond(image: np.ndarray, axis: int) -> np.ndarray:
    """Return the difference of each pixel from the mean of its neighbours on both sides along an axis."""
    if image.shape[axis] <= STEP:
        return np.zeros_like(image)
    around = np.pad(image, [(STEP, STEP) if index == axis else (0, 0) for index in (0, 1)], mode="reflect")
    count = image.shape[axis]
    return np.asarray(image - (around.take(range(count), axis) + around.take(range(2 * STEP, 2 * STEP + count), axis)) / 2)


def _beside(pixels: np.ndarray, axis: int) -> np.ndarray:
    """Return the pixels that have one of these as a neighbour in _beyond, bool [v, u]."""
    from scipy.ndimage import binary_dilation

    shape = [1, 1]
    shape[axis] = 2 * STEP + 1
    structure = np.zeros(tuple(shape), dtype=bool)
    structure.flat[0] = structure.flat[-1] = True
    return np.asarray(binary_dilation(pixels, structure))


def _median_along(image: np.ndarray, axis: int, side: int) -> np.ndarray:
    from scipy.ndimage import median_filter

    return np.asarray(median_filter(image, tuple(side if index == axis else 1 for index in (0, 1)), mode="mirror"))


def _nearby(image: np.ndarray, axis: int, step: int) -> np.ndarray:
    """Return the larger of the two neighbours of each pixel along an axis, this many steps away."""
    step = min(step, image.shape[axis] - 1)
    around = np.pad(image, [(step, step) if index == axis else (0, 0) for index in (0, 1)], mode="reflect")
    count = image.shape[axis]
    return np.asarray(np.maximum(around.take(range(count), axis), around.take(range(2 * step, 2 * step + count), axis)))


def _far(mean: np.ndarray, axis: int, side: int, clear: float) -> np.ndarray:
    """Return the pixels whose mean is far off that of their neighbours along an axis."""
    from scipy.ndimage import maximum_filter

    off = np.abs(mean - _median_along(mean, axis, side))
    usual = _median_along(off, axis, min(4 * side + 1, 2 * mean.shape[axis] - 1))
    size = tuple(side if index == axis else 1 for index in (0, 1))
    worst = off > maximum_filter(off, size, mode="mirror") / 2  # the neighbours of a bad pixel are off its median, too
    return np.asarray((off > np.maximum(FAR * usual, clear)) & worst)


def _lines(odd: np.ndarray, perhaps: np.ndarray, axis: int) -> np.ndarray:
    """Return columns (axis 1) or rows (axis 0) of odd pixels, RUN long at least, with the pixels in line with them that may be bad."""
    from scipy.ndimage import binary_closing, binary_opening, binary_propagation

    run, along = [1, 1], np.zeros((3, 3), dtype=bool)
    run[1 - axis] = min(RUN, odd.shape[1 - axis])
    along[(slice(None), 1) if axis == 1 else (1, slice(None))] = True
    lines = binary_opening(odd, np.ones(tuple(run), dtype=bool))
    lines |= binary_closing(lines, np.ones(tuple(run), dtype=bool))
    return np.asarray(binary_propagation(lines, structure=along, mask=odd | perhaps | lines))


def _pairs(image: np.ndarray, step: int) -> Iterator[np.ndarray]:
    """Return the mean of the two neighbours of each pixel, this many steps away, in each direction."""
    rows, columns = image.shape
    most = step * max(max(map(abs, direction)) for direction in DIRECTIONS)
    around = np.pad(image, most, mode="reflect")
    for dv, du in DIRECTIONS:
        corners = [(most + s * dv, most + s * du) for s in (-step, step)]
        first, second = (around[v : v + rows, u : u + columns] for v, u in corners)
        yield (first + second) / 2


def _alone(mean: np.ndarray, clear: float) -> np.ndarray:
    """Return the pixels whose mean is unlike their neighbours' in every direction; an edge or a wall of the object goes on in one."""
    from scipy.ndimage import median_filter

    off = functools.reduce(np.minimum, (np.abs(mean - median_filter(mean, footprint=_line(*way), mode="mirror")) for way in DIRECTIONS))
    return np.asarray(off > max(FAR * float(np.median(off)), clear))


def _line(dv: int, du: int) -> np.ndarray:
    """Return a pixel and two more on both sides of it in a direction, bool [v, u]."""
    found = np.zeros((4 * abs(dv) + 1, 4 * abs(du) + 1), dtype=bool)
    for step in range(-2, 3):
        found[2 * abs(dv) + step * dv, 2 * abs(du) + step * du] = True
    return found


def _still(variation: np.ndarray, stuck: float, least_change: float) -> np.ndarray:
    """Return the pixels that hardly vary while their neighbours do in every direction."""
    least = functools.reduce(np.minimum, (pair for step in (1, 2) for pair in _pairs(variation, step)))
    return np.asarray((variation < stuck * least) & (least > least_change))


def _louder(change: np.ndarray) -> np.ndarray:
    """Return the pixels that change more than their neighbours in every direction."""
    return np.asarray(change > 2 * functools.reduce(np.maximum, (pair for step in (1, 2) for pair in _pairs(change, step))))


class Repair:
    """Linear interpolation over bad pixels from the nearest good ones in the same row and column, closer ones counting more."""

    def __init__(self, bad: np.ndarray) -> None:
        """Take the bad pixels, bool [v, u]. At least one pixel must be good."""
        self._where = np.flatnonzero(bad)
        near, weight = zip(*(_pair(bad, axis) for axis in (0, 1)), strict=True)
        self._near, weights = np.concatenate(near, -1), np.concatenate(weight, -1)
        lonely = weights.sum(-1) == 0  # no good pixel in the whole row and column
        if lonely.any():
            self._near[lonely, 0], weights[lonely, 0] = _nearest_good(bad)[self._where[lonely]], 1.0
        self._weights = weights / weights.sum(-1, keepdims=True)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Return the image [v, u] with its bad pixels replaced."""
        repaired = np.array(image, order="C")
        values = repaired.ravel()
        values[self._where] = (np.where(self._weights > 0, values[self._near], 0.0) * self._weights).sum(-1)
        return repaired


def _pair(bad: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest good pixel on either side of each bad one along an axis [bad, 2], as flat indices, and their weights."""
    count = bad.shape[axis]
    place = np.expand_dims(np.arange(count), 1 - axis)
    before = np.maximum.accumulate(np.where(bad, -1, place), axis)
    after = np.flip(np.minimum.accumulate(np.flip(np.where(bad, count, place), axis), axis), axis)
    at = np.nonzero(bad)
    low, high, here = before[at], after[at], at[axis]
    near = []
    for end in (low, high):
        index = list(at)
        index[axis] = np.clip(end, 0, count - 1)
        near.append(np.ravel_multi_index(tuple(index), bad.shape))
    below, above = low >= 0, high < count
    left, right = here - low, high - here
    both = below & above
    gap = np.where(both, left + right, 4 * np.where(below, left, right)).astype(np.float64)  # one end alone counts less
    first = np.where(both, right / np.maximum(left + right, 1), 1.0 * below)
    second = np.where(both, left / np.maximum(left + right, 1), 1.0 * above)
    return np.stack(near, -1), np.stack([first, second], -1) / gap[:, None] ** 2


def _nearest_good(bad: np.ndarray) -> np.ndarray:
    """Return the flat index of the good pixel nearest to each pixel."""
    from scipy.ndimage import distance_transform_edt

    indices = distance_transform_edt(bad, return_distances=False, return_indices=True)
    return np.asarray(np.ravel_multi_index(tuple(indices), bad.shape).ravel())
