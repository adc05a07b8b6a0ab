"""Scores of rendered photographs. `silhouettes` are the rendered and the true ones, both 0 .. 1 [view, v, u]."""

from __future__ import annotations

import numpy as np

from benchmark.metrics.similarity import finite

INSIDE = 0.5  # smallest value of a covered pixel


def iou(prediction: np.ndarray, truth: np.ndarray, silhouettes: tuple[np.ndarray, np.ndarray]) -> float | None:
    """Return the intersection over union of the covered pixels of all views; None if no pixel is covered."""
    found, true = (silhouette > INSIDE for silhouette in silhouettes)
    union = np.count_nonzero(found | true)
    return np.count_nonzero(found & true) / union if union else None


def l1(prediction: np.ndarray, truth: np.ndarray, silhouettes: tuple[np.ndarray, np.ndarray]) -> float | None:
    """Return the mean absolute difference of the colours [view * 3, v, u] in pixels touched by either silhouette.

    Background pixels, black in both, would dilute the difference in proportion to their number.
    """
    touched = np.repeat((silhouettes[0] > 0) | (silhouettes[1] > 0), len(truth) // len(silhouettes[1]), axis=0)
    return finite(np.abs(prediction - truth)[touched].mean()) if touched.any() else None
