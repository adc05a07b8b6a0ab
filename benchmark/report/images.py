"""Images of a case in a report: central slices with their grey window, and held-out views rendered as for the scores."""

from __future__ import annotations

import numpy as np

from benchmark.scan.scan import Composite
from benchmark.storage import mapped

PLANES = ("axial", "coronal", "sagittal")  # across z, y and x
ERROR_SHARE = 0.2  # of the grey window: the error map saturates there
UNITS: dict[Composite, str] = {"sum": "line integral", "max": "maximum", "over": "opacity"}  # quantity and unit of a pixel

Window = tuple[float, float]


def window(truth: np.ndarray) -> Window:
    """Return the grey window of a case: the 0.1 and 99.9 percentiles of its truth (of a large one in a file, from evenly spaced planes)."""
    apart = -(-truth.nbytes // mapped.WHOLE)
    planes = np.concatenate([truth[part][::apart] for part in mapped.pieces(truth)]) if mapped.file_map(truth) is not None else truth
    low, high = (float(x) for x in np.percentile(planes, (0.1, 99.9)))
    low = 0.0 if abs(low) < 1e-6 * high else low  # rounding errors about air
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def central_slices(volume: np.ndarray) -> list[np.ndarray]:
    """Return the three slices through the middle of a volume [z, y, x]: [y, x], [z, x], [z, y]."""
    z, y, x = (count // 2 for count in volume.shape)
    across = [(volume[part, y], volume[part][:, :, x].copy()) for part in mapped.pieces(volume)]
    return [volume[z], *(np.concatenate(parts) for parts in zip(*across, strict=True))]
