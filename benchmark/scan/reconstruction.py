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
    """What a method returns: the volume (float32 [z, y, x] on the scan's grid, 1/mm), the engine that computed it, and notes.

    `engine` names the code that did the work ('native', 'tigre 3.1.3', ...); `info` holds anything worth keeping in the
    record (JSON values: a chosen weight, the number of iterations run); `arrays` what is worth keeping beside the volume, by name.
    Known names are means, quaternions, log_scales of Gaussians with log_amplitudes or with opacities and colours (see Mixture and
    Splats in benchmark.fields), and hull (bool [z, y, x]): pictures and `features` are made of them, photographs scored by them.
    """

    volume: np.ndarray
    engine: str = "native"
    info: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


ARRAYS = "arrays.npz"  # where a run keeps what is in Reconstruction.arrays


def volume_digest(volume: np.ndarray) -> str:
    """Hash of a volume's shape and float32 values."""
    content = hashlib.sha256(repr(volume.shape).encode())
    mapped.update(content, mapped.contiguous(volume))
    return content.hexdigest()[:16]
