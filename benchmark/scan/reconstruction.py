"""The reconstruction that a method returns."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmark.storage import mapped


@dataclasses.dataclass(frozen=True, eq=False)
class Reconstruction:
    """Result of a method.

    - `volume`: float32 [z, y, x] on the scan's grid [1/mm].
    - `engine`: the code that did the work ('native', 'tigre 3.1.3', ...).
    - `info`: JSON values worth recording, such as a chosen weight or the number of iterations.
    - `arrays`: arrays worth keeping beside the volume, by name. Known names: `means`, `quaternions`, `log_scales` with `log_amplitudes`
      (see Mixture) or with `opacities` and `colours` (see Splats), and `hull` (bool [z, y, x]). The page and the command `features` use
      them; photographs are scored with them.
    """

    volume: np.ndarray
    engine: str = "native"
    info: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


ARRAYS = "arrays.npz"  # file with a run's Reconstruction.arrays


def volume_digest(volume: np.ndarray) -> str:
    """Return the hash of a volume's shape and float32 values."""
    content = hashlib.sha256(repr(volume.shape).encode())
    mapped.update(content, mapped.contiguous(volume))
    return content.hexdigest()[:16]
