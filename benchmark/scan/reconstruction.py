"""The reconstruction that a method returns."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmark.errors import InputError
from benchmark.storage import mapped


@dataclasses.dataclass(frozen=True, eq=False)
class Reconstruction:
    """Result of a method.

    - `volume`: float32 [z, y, x] on the scan's grid [1/mm].
    - `engine`: the code that did the work ('native', 'tigre 3.1.3', ...).
    - `info`: JSON values worth recording, such as a chosen weight or the number of iterations.
    - `arrays`: arrays worth keeping beside the volume, by name. Known names: `means`, `quaternions`, `log_scales` with `log_amplitudes`
      (see Mixture) or with `opacities` and `colours` (see Splats), `hull` (bool [z, y, x]), and `fine` (float32 [z, y, x]). The page and
      the command `features` use them; photographs are scored with them. Means of equal blocks of `fine` are the volume: views are
      rendered from it in place of the volume.
    """

    volume: np.ndarray
    engine: str = "native"
    info: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


FINE = "fine"  # of the arrays: the volume on a finer grid of the same box


def averaged(fine: np.ndarray, factor: int) -> np.ndarray:
    """Return the means of factor^3 voxels of a volume [z, y, x], float32."""
    z, y, x = (count // factor for count in fine.shape)
    blocks = fine.reshape(z, factor, y, factor, x, factor)
    return np.ascontiguousarray(blocks.mean((1, 3, 5), dtype=np.float32))


def rendered_from(volume: np.ndarray, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the volume that views are rendered from: `fine` of the arrays, else the volume [z, y, x] itself.

    Raise InputError for a `fine` whose means are not the volume.
    """
    fine = arrays.get(FINE)
    if fine is None:
        return volume
    factor = fine.shape[0] // volume.shape[0] if fine.ndim == 3 else 0
    if factor < 1 or fine.shape != tuple(factor * count for count in volume.shape) or fine.dtype != np.float32:
        raise InputError(FINE, expected=f"float32 [z, y, x], a multiple of {volume.shape}", found=f"{fine.dtype} {fine.shape}")
    apart = float(np.abs(averaged(fine, factor) - volume).max())
    if not apart <= 1e-4 * float(np.abs(volume).max()):
        raise InputError(FINE, expected="means of blocks that are the volume", found=f"differences up to {apart:.3g}")
    return fine


ARRAYS = "arrays.npz"  # file with a run's Reconstruction.arrays


def volume_digest(volume: np.ndarray) -> str:
    """Return the hash of a volume's shape and float32 values."""
    content = hashlib.sha256(repr(volume.shape).encode())
    mapped.update(content, mapped.contiguous(volume))
    return content.hexdigest()[:16]
