"""Pictures of Gaussians: hull, volume and the Gaussians over their slices, and photographs beside their renderings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.figure import Figure

from benchmark.metrics import photographs
from benchmark.report.canvas import canvas
from benchmark.report.images import PLANES, central_slices, window
from benchmark.scan.geometry import ConeBeamGeometry

if TYPE_CHECKING:
    from benchmark.records.record import RunRecord
    from benchmark.records.store import Results

SHAPE = ("means", "quaternions", "log_scales")  # of Reconstruction.arrays
MOST = 600  # ellipses in a panel: the heaviest there
CAMERAS = 4  # held-out photographs shown
OVER_SLICES = (
    "The middle slices of {}the volume, and of the volume with the Gaussians over it: each ellipse is a Gaussian's "
    f"cross-section at one standard deviation, the more opaque the more it weighs there (the {MOST} heaviest)."
)
BESIDE = "Held-out photographs, what the harness renders of the Gaussians, and where the silhouettes differ (red: missing, blue: too much)."


def pictures(results: Results, record: RunRecord) -> Iterator[tuple[str, str, Figure]]:
    """Yield name, caption and figure of each picture of a run's Gaussians; none for runs without Gaussians."""
    arrays, (case, volumes) = results.tried(results.arrays, record) or {}, results.shown([record])
    if case is None or not volumes or not set(SHAPE) <= set(arrays):
        return
    caption = OVER_SLICES.format("the visual hull, of " if "hull" in arrays else "")
    yield "slices", caption, over_slices(arrays, volumes[0][1], case.geometry)
    if case.composite == "over" and case.heldout_geometry is not None and set(photographs.PARTS) <= set(arrays):
        loaded = results.tried(case.load)
        if loaded is None:
            return
        heldout = loaded.heldout
        assert heldout is not None
        chosen = np.unique(np.linspace(0, heldout.geometry.views - 1, min(CAMERAS, heldout.geometry.views)).round().astype(int)).tolist()
        yield "photographs", BESIDE, beside(photographs.seen(heldout), photographs.rendered(arrays, heldout, chosen), chosen)


def over_slices(arrays: Mapping[str, np.ndarray], volume: np.ndarray, geometry: ConeBeamGeometry) -> Figure:
    """Draw rows: the three planes. Columns: hull (if the run kept one), volume, Gaussians over the volume."""
    hull = arrays.get("hull")
    columns = ["volume", "Gaussians"] if hull is None else ["hull", "volume", "Gaussians"]
    figure = canvas(2.3 * len(columns), 7.0)
    axes = figure.subplots(len(PLANES), len(columns), squeeze=False)
    low, high = window(volume)
    bounds = geometry.volume_bounds  # x y z
    for plane, name in enumerate(PLANES):
        across = 2 - plane  # the axis that the plane is across, in x y z
        horizontal, vertical = (axis for axis in range(3) if axis != across)
        extent = (*bounds[:, horizontal], *bounds[:, vertical])
        for axis, column in zip(axes[plane], columns, strict=True):
            if column == "hull":
                assert hull is not None
                axis.imshow(central_slices(hull)[plane], origin="lower", cmap="gray", vmin=0, vmax=1, extent=extent)
            else:
                axis.imshow(central_slices(volume)[plane], origin="lower", cmap="gray", vmin=low, vmax=high, extent=extent)
            if column == "Gaussians":
                _draw(axis, arrays, across, float(geometry.voxel_centres(plane)[volume.shape[plane] // 2]))
            axis.set(xlim=extent[:2], ylim=extent[2:], xticks=[], yticks=[])
            axis.set_title(column if plane == 0 else "")
        axes[plane][0].set_ylabel(name)
    return figure


def _draw(axis: Axes, arrays: Mapping[str, np.ndarray], across: int, place: float) -> None:
    """Draw the ellipses of the Gaussians in the plane where coordinate `across` is `place` [mm]."""
    centres, covariances, weights = cross_sections(arrays, across, place)
    heaviest = np.argsort(-weights, kind="stable")[:MOST]
    heaviest = heaviest[weights[heaviest] > 0]
    squares, turns = np.linalg.eigh(covariances[heaviest])
    edges = 2 * np.sqrt(np.maximum(squares, 0))
    angles = np.degrees(np.arctan2(turns[:, 1, 1], turns[:, 0, 1]))
    strength = 0.15 + 0.85 * weights[heaviest] / max(float(weights.max(initial=0.0)), 1e-30)
    colours = np.column_stack([np.tile([0.95, 0.45, 0.1], (len(heaviest), 1)), strength])
    axis.add_collection(
        EllipseCollection(edges[:, 1], edges[:, 0], angles, units="xy", offsets=centres[heaviest], offset_transform=axis.transData,
                          facecolors="none", edgecolors=colours, linewidths=0.6)
    )  # fmt: skip


def cross_sections(arrays: Mapping[str, np.ndarray], across: int, place: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each Gaussian in a plane: centre [K, 2], covariance [K, 2, 2] [mm^2] and peak [K] (with weights: see `weights`).

    With the precision P: the centre moves by -P_aa^-1 P_ac (c - mu_c), the covariance is P_aa^-1, and the peak falls by
    exp(-(c - mu_c)^2 / 2 S_cc).
    """
    axes = [axis for axis in range(3) if axis != across]
    means, covariances = arrays["means"].astype(np.float64), covariance(arrays)
    precisions = np.linalg.inv(covariances)
    inside = np.linalg.inv(precisions[:, axes][:, :, axes])
    away = place - means[:, across]
    centres = means[:, axes] - np.einsum("kij,kj->ki", inside, precisions[:, axes, across]) * away[:, None]
    return centres, inside, weights(arrays) * np.exp(-(away**2) / (2 * covariances[:, across, across]))


def covariance(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return S = R diag(s^2) R^T, float64 [K, 3, 3] [mm^2]."""
    import torch

    from benchmark.fields.mixture import rotations

    turns = rotations(torch.from_numpy(arrays["quaternions"].astype(np.float64))).numpy()
    return np.einsum("kij,kj,klj->kil", turns, np.exp(2 * arrays["log_scales"].astype(np.float64)), turns)


def weights(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return opacities, or amplitudes, [K]; ones if a run kept neither."""
    if "opacities" in arrays:
        return arrays["opacities"].astype(np.float64)
    return np.exp(arrays["log_amplitudes"].astype(np.float64)) if "log_amplitudes" in arrays else np.ones(len(arrays["means"]))


def appearance(arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return opacities [K] and colours [K, 3], 0 .. 1; of attenuation, opacities relative to the densest Gaussian, and white."""
    if "opacities" in arrays:
        white = np.ones_like(arrays["means"])
        return arrays["opacities"].astype(np.float64), np.asarray(arrays.get("colours", white), np.float64)
    depth = np.exp(arrays["log_amplitudes"].astype(np.float64) + arrays["log_scales"].astype(np.float64).mean(1))
    return depth / max(float(depth.max(initial=0.0)), 1e-30), np.ones(arrays["means"].shape)


def beside(true: photographs.Seen, found: photographs.Seen, chosen: list[int]) -> Figure:
    """Draw rows: photograph, rendering, silhouettes. Columns: the chosen cameras."""
    figure = canvas(1.9 * len(chosen) + 0.4, 6.0)
    axes = figure.subplots(3, len(chosen), squeeze=False)
    for column, camera in enumerate(chosen):
        error = np.stack([true.silhouettes[camera], *[np.minimum(true.silhouettes[camera], found.silhouettes[column])] * 2], -1)
        extra = np.clip(found.silhouettes[column] - true.silhouettes[camera], 0, 1)[..., None] * np.array([0.0, 0.4, 1.0])
        rows = ((true.colours[camera], "photograph"), (found.colours[column], "rendered"), (error + extra, "silhouettes"))
        for axis, (image, name) in zip(axes[:, column], rows, strict=True):
            axis.imshow(np.clip(image, 0, 1), origin="lower")
            axis.set(xticks=[], yticks=[], ylabel=name if column == 0 else "")
        axes[0, column].set_title(f"held out {camera}")
    return figure
