"""Scores of rendered photographs. `silhouettes` are what was rendered and what is true, both 0 .. 1 [view, v, u]."""

from __future__ import annotations

import numpy as np

from benchmark.metrics.similarity import finite

INSIDE = 0.5  # of a pixel, to count as covered


def iou(prediction: np.ndarray, truth: np.ndarray, silhouettes: tuple[np.ndarray, np.ndarray]) -> float | None:
    """Intersection over union of the covered pixels of all views; None where nothing is covered."""
    found, true = (silhouette > INSIDE for silhouette in silhouettes)
    union = np.count_nonzero(found | true)
    return np.count_nonzero(found & true) / union if union else None


def l1(prediction: np.ndarray, truth: np.ndarray, silhouettes: tuple[np.ndarray, np.ndarray]) -> float | None:
    """Mean absolute difference of the colours [view * 3, v, u] in pixels that one of the two silhouettes touches.

    The background, which is black in both, would dilute it by however much of it there is.
    """
    touched = np.repeat((silhouettes[0] > 0) | (silhouettes[1] > 0), len(truth) // len(silhouettes[1]), axis=0)
    return finite(np.abs(prediction - truth)[touched].mean()) if touched.any() else None
