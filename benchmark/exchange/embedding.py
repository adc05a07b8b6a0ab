"""Few numbers for the many of a descriptor: principal components or UMAP, and their picture, coloured by time."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from benchmark.errors import InputError, MissingDependency
from benchmark.report.canvas import canvas

WAYS = ("pca", "umap")


def embedded(rows: np.ndarray, count: int, way: str) -> np.ndarray:
    """Return [run, count] for rows [run, number], each column scaled to a standard deviation of 1 first.

    'pca': the first principal components; 'umap': McInnes et al. 2018, arXiv 1802.03426, with seed 0. Raise InputError for too few runs,
    MissingDependency without the package umap-learn.
    """
    if len(rows) <= count:
        raise InputError("--embed", expected=f"more runs than numbers ({count})", found=f"{len(rows)} runs")
    values = rows.astype(np.float64) - rows.mean(0)
    spread = values.std(0)
    values = np.divide(values, spread, out=np.zeros_like(values), where=spread > 1e-12 * max(float(np.abs(rows).max()), 1e-300))
    if way == "umap":
        try:
            import umap
        except ImportError as error:
            raise MissingDependency("--embedding umap needs umap-learn (install: pip install umap-learn)") from error
        return np.asarray(umap.UMAP(n_components=count, random_state=0, n_neighbors=min(15, len(rows) - 1)).fit_transform(values))
    left, singular, right = np.linalg.svd(values, full_matrices=False)
    signs = np.sign(right[np.arange(len(right)), np.abs(right).argmax(1)])  # the same on every machine
    return np.asarray(left * singular * signs)[:, :count]


def picture(points: np.ndarray, times: np.ndarray, what: str, way: str) -> Figure:
    """Draw the first two numbers [run, 2 or more] coloured by time [run], joined in its order."""
    figure = canvas(5.4, 4.2)
    axes = figure.subplots()
    order = np.argsort(times, kind="stable")
    first, second = points[:, 0], points[:, 1] if points.shape[1] > 1 else np.zeros(len(points))
    axes.plot(first[order], second[order], color="0.8", linewidth=0.8, zorder=1)
    dots = axes.scatter(first, second, c=times, cmap="viridis", s=28, zorder=2)
    figure.colorbar(dots, label=what)
    name = {"pca": "principal component", "umap": "UMAP axis"}[way]
    axes.set(xlabel=f"{name} 1", ylabel=f"{name} 2" if points.shape[1] > 1 else "", title=f"{len(points)} runs")
    return figure
