"""Simulate a scan of a volume file: projections from its own voxels, truth averaged from them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from benchmark.api import Case, InputError, Voxels, attenuation, read_volume_file, simulated_case

from . import VolumeParams

AIR = -1000.0  # [HU]
HU_BELOW = -100.0  # attenuation is never this negative


def load(params: VolumeParams) -> Case:
    """Scan the volume. The reconstruction cube is centred on the kept part; in z the volume is padded with air or cut to fit."""
    path = Path(params.path)
    values, spacing, note = read_volume_file(path, key=params.key, spacing=params.spacing, outside=_air(params))
    values = _cropped(values, params.crop)
    voxels = Voxels(_attenuation(values, params, str(path)), spacing)
    _, y, x = voxels.extent
    return simulated_case(
        path.name.split(".")[0],
        params.side if params.side is not None else max(y, x),
        lambda: voxels,
        params,
        identity=f"{hashlib.sha256(voxels.values.tobytes()).hexdigest()} {spacing!r}",
        truth_note=f"the volume itself, averaged over each voxel ({path.name}{note})",
    )


def _air(params: VolumeParams) -> float:
    return 0.0 if params.unit == "attenuation" else AIR


def _cropped(values: np.ndarray, crop: tuple[float, ...]) -> np.ndarray:
    parts = []
    for axis, (low, high) in enumerate(zip(crop[::2], crop[1::2], strict=True)):
        count = values.shape[axis]
        first = min(count - 1, round(low * count))
        parts.append(slice(first, max(first + 1, round(high * count))))
    return values[tuple(parts)]


def _attenuation(values: np.ndarray, params: VolumeParams, where: str) -> np.ndarray:
    """Convert to attenuation [1/mm], 0 or more."""
    if not np.isfinite(values).all():
        raise InputError(where, expected="finite numbers", found="NaN or Inf")
    lowest = float(values.min())
    if params.unit == "attenuation":
        if params.ceiling is not None:
            raise InputError("ceiling", expected="none with unit: attenuation", found=f"{params.ceiling:g}")
        if lowest < HU_BELOW:
            raise InputError(where, expected="attenuation per mm", found=f"values down to {lowest:g}, as Hounsfield units have")
        return np.maximum(values, 0, dtype=np.float32)
    if params.unit == "auto" and lowest > HU_BELOW:
        raise InputError(
            where,
            expected="Hounsfield units (values below -100)",
            found=f"values from {lowest:g} to {float(values.max()):g}",
            fix="Say what they are: --set volume.unit=HU or --set volume.unit=attenuation.",
        )
    return attenuation(values, params.water, params.ceiling)
