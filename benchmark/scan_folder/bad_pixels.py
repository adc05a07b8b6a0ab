"""Dead, hot and erratic pixels of a detector: found from images, repaired from their neighbours."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

REACH = 7  # [pixel] width of the running median; defects up to 3 pixels wide stand out
SIGMAS = 8.0  # a deviation above this many standard deviations of its surroundings is one
LEAST = 0.05  # of the views' range: smaller deviations are left to the ring correction
STILL, WILD = 0.1, 5.0  # times its neighbours' variation over the views: less is stuck, more is erratic
LARGE = 0.005  # of the views' range: smaller variations over the views show nothing
NOISY = 1e-4  # of the views' range: less is no noise but rounding
FOLLOWS = 0.5  # correlation with its neighbours over the views of a pixel that measures
BLOCK = 16  # [pixel] side of the squares in which noise is measured
LINE, SHORTEST = 4, 8  # a defective line takes at least a quarter of a column or row, and 8 pixels
LEAST_VIEWS = 4


def found_bad(views: Iterable[np.ndarray], beam: np.ndarray | None = None, dark: np.ndarray | None = None) -> np.ndarray:
    """Return the bad pixels, bool [v, u].

    A pixel is bad if it has no number in any of `views` (line integrals [v, u], NaN allowed), or if, compared with the running median
    along its row and along its column, it hardly varies from view to view, varies wildly, or deviates in most views without following
    the others' changes. Rows and columns, or parts of them, need to do so in one direction only. `beam` (flat - dark) and `dark`
    [v, u] show further ones. Edges of the object are safe, since the running median of a monotone profile is the profile; walls that
    stand still are safe, since what is seen through them changes as it does beside them.
    """
    missing, count, sums = None, 0, (_Comparison(0), _Comparison(1))
    for view in views:
        absent = ~np.isfinite(view)
        missing = absent if missing is None else missing | absent
        filled = view if not absent.any() else np.zeros_like(view) if absent.all() else Repair(absent)(view)
        usual = [_running_median(filled, comparison.axis) for comparison in sums]
        spread = min(float(np.subtract(*np.percentile(median, (99, 1)))) for median in usual)  # without dead columns or rows
        for comparison, median in zip(sums, usual, strict=True):
            comparison.add(filled, median, spread)
        count += 1
    assert missing is not None
    bad = missing | _defects(*(comparison.odd() for comparison in sums))
    for image, wrong in ((beam, _odd_gain), (dark, _hot)):
        if image is not None and image.shape == bad.shape:
            bad |= wrong(image, beam)
    return bad


class _Comparison:
    """Every pixel against the running median along one axis, summed up over views."""

    def __init__(self, axis: int) -> None:
        self.axis = axis
        self._count, self._noise, self._range = 0, 0.0, 0.0
        self._deviates = np.zeros((), np.uint32)
        self._sums: list[np.ndarray] = [np.zeros(())] * 5  # of pixels, medians, their squares and their products

    def add(self, view: np.ndarray, usual: np.ndarray, spread: float) -> None:
        """Take one more view [v, u] without NaN, its running median and its range."""
        away = np.abs(view - usual)
        noise = _in_blocks(away) / 0.6745
        self._deviates = self._deviates + (away > np.maximum(SIGMAS * noise, max(LEAST * spread, 1e-12)))
        if self._count == 0:
            self._first = float(np.median(view))  # the sums are of small numbers then
        x, y = view.astype(np.float64) - self._first, usual.astype(np.float64) - self._first
        self._sums = [total + more for total, more in zip(self._sums, (x, y, x * x, y * y, x * y), strict=True)]
        self._count, self._noise, self._range = self._count + 1, self._noise + float(np.median(noise)), self._range + spread

    def odd(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the pixels that are stuck, erratic or deviate, and those of them that do so on their own, bool [v, u] each."""
        x, y, xx, yy, xy = (total / self._count for total in self._sums)
        own, usual = np.sqrt(np.maximum(xx - x * x, 0)), np.sqrt(np.maximum(yy - y * y, 0))
        around = _running_median(own, self.axis)
        large, noise = LARGE * self._range / self._count, self._noise / self._count
        noisy = noise > NOISY * self._range / self._count  # then every pixel that measures varies
        stuck = (own < STILL * around) & (around > (min(large, noise / 2) if noisy else large))
        erratic = (own > WILD * around) & (own > large)
        changing = usual > max(4 * large, 3 * noise)
        alone = changing & (xy - x * y < FOLLOWS * own * usual)
        deviates = 2 * self._deviates > self._count
        return stuck | erratic | deviates, stuck | erratic | (deviates & alone)


def _running_median(image: np.ndarray, axis: int) -> np.ndarray:
    """Return the median over REACH pixels along an axis; beyond the border profiles go on as they came, so that monotone ones stay so."""
    from scipy.ndimage import median_filter

    if image.shape[axis] == 1:
        return image
    reach, size, around = REACH // 2, [1, 1], [(0, 0), (0, 0)]
    size[axis], around[axis] = REACH, (reach, reach)
    found = median_filter(np.pad(image, around, mode="reflect", reflect_type="odd"), size=tuple(size))
    found = np.take(found, np.arange(reach, reach + image.shape[axis]), axis)
    if image.shape[axis] > 2:  # a border pixel is its own median: it may go on from the next two, no further
        rows, usual = np.moveaxis(image, axis, 0), np.moveaxis(found, axis, 0)
        for border, second, third in ((0, 1, 2), (-1, -2, -3)):
            onwards = rows[second] + 3 * (rows[second] - rows[third])
            usual[border] = np.clip(rows[border], np.minimum(rows[second], onwards), np.maximum(rows[second], onwards))
    return found


def _in_blocks(image: np.ndarray) -> np.ndarray:
    """Return the median of the square of BLOCK pixels that each pixel lies in."""
    rows, columns = (-(-count // BLOCK) for count in image.shape)
    padded = np.pad(image, ((0, rows * BLOCK - image.shape[0]), (0, columns * BLOCK - image.shape[1])), mode="symmetric")
    medians = np.median(padded.reshape(rows, BLOCK, columns, BLOCK), axis=(1, 3))
    return medians.repeat(BLOCK, 0).repeat(BLOCK, 1)[: image.shape[0], : image.shape[1]]


def _defects(along_v: tuple[np.ndarray, np.ndarray], along_u: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return pixels that are odd in both directions, and columns (rows) of at least a LINE that are odd along u (v).

    A line is one where its pixels are odd on their own; pixels in a row with them, which see nothing but air, need only be odd.
    """
    from scipy.ndimage import binary_closing, binary_opening, binary_propagation

    rows, columns = along_u[0].shape
    if min(rows, columns) < 3:  # a detector with one row has no neighbours along v
        return (along_u if rows < columns else along_v)[0]
    found = along_v[0] & along_u[0]
    for (odd, alone), axis, count in ((along_u, 0, rows), (along_v, 1, columns)):
        shape = [1, 1]
        shape[axis] = min(count, max(SHORTEST, count // LINE))
        along = np.zeros((3, 3), bool)
        along[(slice(None), 1) if axis == 0 else (1, slice(None))] = True
        whole = binary_closing(alone | found, along, iterations=2) | alone
        seeds = binary_opening(whole, np.ones(tuple(shape), bool))
        found |= binary_propagation(seeds, structure=along, mask=odd | seeds)
    return found


def _odd_gain(beam: np.ndarray, _: np.ndarray | None) -> np.ndarray:
    from scipy.ndimage import median_filter

    usual = np.maximum(median_filter(beam, size=5, mode="reflect"), 1e-30)
    return (beam <= 0) | (beam < 0.3 * usual) | (beam > 3 * usual)


def _hot(dark: np.ndarray, beam: np.ndarray | None) -> np.ndarray:
    from scipy.ndimage import median_filter

    away = dark - median_filter(dark, size=5, mode="reflect")
    noise = float(np.median(np.abs(away))) / 0.6745
    return away > max(20 * noise, 0.2 * float(np.median(beam)) if beam is not None else 0.0, 1e-12)


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
    return np.ravel_multi_index(tuple(indices), bad.shape).ravel()
