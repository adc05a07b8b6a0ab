"""Dead, stuck, hot and noisy pixels of a detector: found from the views alone, and filled from their neighbours."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

FEWEST_VIEWS = 5  # with fewer, the object's own edges look like defects
NARROW, WIDE, LARGE = 5, 9, 128  # [pixel] side of the neighbourhood, up to and from detectors of LARGE
FAR = 8.0  # times the usual deviation of its surroundings
CLEAR = 0.1  # share of the detector's range: smaller deviations are rings, not bad pixels
RUN = 8  # [pixel] of a line of bad pixels, at least
WHOLE = 0.9  # of a row
PASSES = 3  # the worst pixels hide others
STUCK, NOISY = 0.15, 4.0  # times the variation of the neighbours
MOST = 0.1  # of all pixels: more are no defects of single pixels


def bad_pixels(views: Iterable[np.ndarray]) -> np.ndarray:
    """Return True for pixels that do not measure: bool [v, u].

    `views` are line integrals or intensities [v, u], read one at a time. Over a rotation the mean and the variation of a pixel resemble
    those of its neighbours; a pixel is bad if its mean is far off, if it hardly varies where its neighbours do, if it varies far more
    than they do, or if it is not finite in any view. Lines up to two pixels wide are found (four on detectors of 128 x 128 and more).
    Where more than a tenth of the pixels look bad, the detector is not to blame: none is returned. From fewer than five views only
    pixels that are not finite are.
    """
    count, broken, first, total, squares = 0, None, None, None, None
    for view in views:
        finite = np.isfinite(view)
        if first is None:
            first = np.where(finite, view, 0).astype(np.float64)  # keeps the squares small
            total, squares = np.zeros_like(first), np.zeros_like(first)
            broken = ~finite
        assert total is not None and squares is not None and broken is not None
        broken |= ~finite
        from_first = np.where(finite, view, first) - first
        total += from_first
        squares += from_first**2
        count += 1
    if first is None or total is None or squares is None or broken is None:
        return np.zeros((0, 0), dtype=bool)
    if count < FEWEST_VIEWS or min(first.size, max(first.shape)) < NARROW:
        return np.asarray(broken)
    mean = first + total / count
    variation = np.sqrt(np.maximum(squares / count - (total / count) ** 2, 0))
    found: np.ndarray = broken
    for _ in range(PASSES):
        more = _outliers(filled(mean, found), filled(variation, found)) & ~found
        if not more.any():
            break
        found = found | more
    return found if (found & ~broken).mean() <= MOST else broken


def filled(image: np.ndarray, bad: np.ndarray) -> np.ndarray:
    """Return an image [v, u] whose bad pixels are replaced by the mean of their nearest good neighbours, layer by layer."""
    if not bad.any() or bad.all():
        return image
    image, missing = np.where(bad, 0, image), bad.copy()
    while missing.any():
        near = [(dv, du) for dv in (-1, 0, 1) for du in (-1, 0, 1) if dv or du]
        known = np.pad(~missing, 1).astype(image.dtype)
        values = np.pad(image, 1)
        rows, columns = image.shape
        windows = [(slice(1 + dv, 1 + dv + rows), slice(1 + du, 1 + du + columns)) for dv, du in near]
        weight = np.sum([known[window] for window in windows], 0)
        mean = np.sum([values[window] for window in windows], 0) / np.maximum(weight, 1)
        now = missing & (weight > 0)
        image[now] = mean[now]
        missing &= ~now
    return image


def _outliers(mean: np.ndarray, variation: np.ndarray) -> np.ndarray:
    """Return single bad pixels, and lines of them, from mean and standard deviation [v, u] of each pixel over the views."""
    from scipy.ndimage import binary_opening

    low, high = np.percentile(mean, (1, 99))
    clear = CLEAR * max(high - low, float(np.percentile(variation, 99)))
    flat = 1 in mean.shape
    found: np.ndarray = np.zeros(mean.shape, dtype=bool)
    for axis, other in ((1, 0), (0, 1)):
        if mean.shape[axis] < NARROW:
            continue
        off, still, loud = _beside(mean, variation, axis, clear)
        if flat:
            return np.asarray(off | still | loud)
        run = min(RUN, mean.shape[other])
        line = (run, 1) if other == 0 else (1, run)
        # A thin plate is a line across the axis, too, but it ends where the object does.
        lines = off | still | loud if axis == 1 else np.where(off.mean(1, keepdims=True) > WHOLE, off, still | loud)
        found = found | binary_opening(lines, np.ones(line, dtype=bool))
    return np.asarray(found | _points(mean, variation, clear))


def _beside(mean: np.ndarray, variation: np.ndarray, axis: int, clear: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pixels that are far off their neighbours along an axis, hardly vary, or vary too much."""
    from scipy.ndimage import maximum_filter, median_filter

    side = NARROW if mean.shape[axis] < LARGE else WIDE
    size = tuple(side if index == axis else 1 for index in (0, 1))
    off = np.abs(mean - median_filter(mean, size, mode="mirror"))
    far = tuple(min(4 * side + 1, 2 * mean.shape[axis] - 1) if index == axis else 1 for index in (0, 1))
    usual = median_filter(off, far, mode="mirror")
    near = median_filter(variation, size, mode="mirror")
    still = (variation < STUCK * near) & (near > clear / 2)
    worst = off > maximum_filter(off, size, mode="mirror") / 2  # the neighbours of a bad pixel are off its median, too
    return (off > np.maximum(FAR * usual, clear)) & worst, still, variation > NOISY * near + clear


def _points(mean: np.ndarray, variation: np.ndarray, clear: float) -> np.ndarray:
    """Return the pixels unlike their neighbours in every direction; an edge or a ridge of the object goes on in one of them."""
    off, least, most = np.full(mean.shape, np.inf), np.full(mean.shape, np.inf), np.zeros(mean.shape)
    rows, columns = mean.shape
    around, varying = (np.pad(image, 2, mode="reflect") for image in (mean, variation))
    for dv, du in ((0, 1), (1, 0), (1, 1), (1, -1)):
        for step in (1, 2):
            both = [(slice(2 + s * dv, 2 + s * dv + rows), slice(2 + s * du, 2 + s * du + columns)) for s in (-step, step)]
            off = np.minimum(off, np.abs(mean - (around[both[0]] + around[both[1]]) / 2))
            beside = (varying[both[0]] + varying[both[1]]) / 2
            least, most = np.minimum(least, beside), np.maximum(most, beside)
    usual = float(np.median(off))
    return (off > max(FAR * usual, clear)) | ((variation < STUCK * least) & (least > clear / 2)) | (variation > NOISY * most + clear)
