"""Does a truth agree with the projections: as much attenuation, at the same place? Another unit, order of axes or box would not."""

from __future__ import annotations

import numpy as np

from benchmark.scan.geometry import ConeBeamGeometry

VIEWS, MOST_PIXELS, MOST_VOXELS = 24, 256, 128  # looked at, at most: views, pixels along each side of them, voxels along each edge
MOST = 3.0  # a detector that sees half of the body, or a body twice the box, is no other unit
SHOWN = 0.05  # of large values: less is noise or scatter
APART = 0.025  # of the box's longest edge
SPREAD = 0.15  # of the standard deviation along z
BROAD = 0.1  # least share of the views' directions across any line: less is too short an arc to find a place
LOOK = "Check truth.axes, truth.flip, truth.offset, truth.extent, and the geometry with `validate`."


def agreement_notes(projections: np.ndarray, geometry: ConeBeamGeometry, truth: np.ndarray) -> list[str]:
    """Return a sentence if a truth [z, y, x] holds another attenuation, in all, than projections [view, v, u] show, or elsewhere."""
    places = np.unique(np.linspace(0, len(projections) - 1, min(VIEWS, len(projections))).round().astype(int))
    rows, columns = (np.arange(0, count, -(-count // MOST_PIXELS)) for count in geometry.detector_shape)
    layers = [np.arange(0, count, -(-count // MOST_VOXELS)) for count in truth.shape]
    views = np.stack([_shown(np.asarray(projections[place])[np.ix_(rows, columns)].astype(np.float64)) for place in places])
    matter = _shown(np.stack([truth[layer][np.ix_(layers[1], layers[2])] for layer in layers[0]]).astype(np.float64))
    area = float(np.prod(np.multiply(geometry.detector_shape, geometry.detector_pitch))) / geometry.magnification**2  # [mm^2] at the axis
    measured = float(np.median(views.mean((1, 2)))) * area
    own = float(matter.mean()) * float(np.prod(geometry.volume_extent))
    if not (measured > 0 and own > 0 and (views.sum((1, 2)) > 0).all()):
        return []
    if not 1 / MOST <= own / measured <= MOST:
        return [
            f"the truth holds {own / measured:.3g} times the attenuation that the projections show, in all: scores compare two units or "
            "two bodies. Check truth.unit (attenuation per length_unit, or HU), truth.extent, length_unit and projections.scale."
        ]
    v, u = (indices - (count - 1) / 2 for indices, count in zip((rows, columns), geometry.detector_shape, strict=True))
    seen = _seen_centre(views, geometry.vectors()[places], v, u)
    if seen is None:
        return []
    centres = [np.asarray(geometry.voxel_centres(axis))[layers[axis]] for axis in (2, 1, 0)]
    held = np.array([matter.sum(axes) @ centre for axes, centre in zip(((0, 1), (0, 2), (1, 2)), centres, strict=True)]) / matter.sum()
    if np.abs(seen - held).max() <= max(APART * max(geometry.volume_extent), max(geometry.volume_spacing)):
        high = _spread(matter.sum((1, 2)), centres[2])
        heights = v * geometry.detector_pitch[0] / geometry.magnification
        shown = float(np.median([_spread(view, heights) for view in views.sum(2)]))
        if abs(high - shown) <= max(SPREAD * shown, geometry.volume_spacing[0]):
            return []
        return [
            f"the truth is {high / shown:.2g} times as high (along z) as the body in the projections: it is turned or stretched. {LOOK}"
        ]
    there, here = (", ".join(f"{value:.4g}" for value in place) for place in (held, seen))
    return [
        f"the truth's centre of mass is at x, y, z = {there}, that of the projections at {here}: it is turned, moved or stretched. {LOOK}"
    ]


def _shown(values: np.ndarray) -> np.ndarray:
    """Return values without those that are small beside the largest (but for 1 %)."""
    return np.where(values > SHOWN * np.percentile(values, 99), np.maximum(values, 0), 0.0)


def _spread(weights: np.ndarray, places: np.ndarray) -> float:
    """Return the standard deviation of places."""
    mean = weights @ places / weights.sum()
    return float(np.sqrt(weights @ (places - mean) ** 2 / weights.sum()))


def _seen_centre(views: np.ndarray, vectors: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray | None:
    """Return the point x y z [mm] nearest to the rays through the views' centres; None for a cut body or a short arc.

    `rows` and `columns` are the places of the views' pixels, counted from the detector's centre.
    """
    edges = np.concatenate([views[:, 0].ravel(), views[:, -1].ravel(), views[:, :, 0].ravel(), views[:, :, -1].ravel()])
    if min(views.shape[1:]) < 4 or (edges > 0).mean() > 0.01:
        return None
    total = views.sum((1, 2))
    v, u = (views.sum(2) @ rows / total)[:, None], (views.sum(1) @ columns / total)[:, None]
    source, centre, along, up = vectors.transpose(1, 0, 2)
    ray = centre + u * along + v * up - source
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    across = np.eye(3) - ray[:, :, None] * ray[:, None, :]  # projects onto the plane across the ray
    if np.linalg.eigvalsh(across.mean(0)).min() < BROAD:
        return None
    return np.linalg.solve(across.sum(0), np.einsum("nij,nj->i", across, source))
