"""Simulate a scan of a volume file: projections from its own voxels, truth averaged from them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.api import Case, InputError, PlacedVolume, Voxels, attenuation, case_name, read_placed_volume, simulated_case

from . import VolumeParams

AIR = -1000.0  # [HU]
HU_BELOW = -100.0  # attenuation is never this negative


def load(params: VolumeParams) -> Case:
    """Scan the volume. The reconstruction cube is centred on the kept part; in z the volume is padded with air or cut to fit."""
    path = Path(params.path)
    found, kept = _read(params)
    values = found.values[kept]
    voxels = Voxels(_attenuation(values, params, str(path)), found.spacing)
    z, y, x = voxels.extent
    grid = None
    if params.box == "own":
        shape = tuple(max(1, round(count * params.size / max(values.shape))) for count in values.shape)
        grid = shape, tuple(edge / count for edge, count in zip((z, y, x), shape, strict=True))
        side = max(z, y, x)
    else:
        side = params.side if params.side is not None else max(y, x)
    return simulated_case(
        case_name(path),
        side,
        lambda: voxels,
        params,
        identity=f"{hashlib.sha256(voxels.values.tobytes()).hexdigest()} {found.spacing!r}",
        truth_note=f"the volume itself, averaged over each voxel ({path.name}{found.note})",
        facts=_patient(found, kept),
        grid=grid,
    )


def native(params: VolumeParams) -> dict[str, int | str]:
    """Return the parameters of `size: native`: the kept voxels as they are; in a cube of a given side, its voxels of the file's size."""
    found, kept = _read(params)
    if params.side is not None:
        return {"size": round(params.side / min(found.spacing))}
    return {"size": max(found.values[kept].shape), "box": "own"}


def _read(params: VolumeParams) -> tuple[PlacedVolume, tuple[slice, ...]]:
    """Return the file's volume, and the part of it to keep."""
    found = read_placed_volume(Path(params.path), key=params.key, spacing=params.spacing, outside=_air(params))
    return found, _kept(found.values.shape, params.crop)


def _air(params: VolumeParams) -> float:
    return 0.0 if params.unit == "attenuation" else AIR


def _kept(shape: tuple[int, ...], crop: tuple[float, ...]) -> tuple[slice, ...]:
    parts = []
    for count, low, high in zip(shape, crop[::2], crop[1::2], strict=True):
        first = min(count - 1, round(low * count))
        parts.append(slice(first, min(count, max(first + 1, round(high * count)))))
    return tuple(parts)


def _patient(found: PlacedVolume, kept: tuple[slice, ...]) -> dict[str, Any]:
    """Return the place of the case's origin, the centre of the kept part, in the file's frame."""
    if found.centre is None:
        return {}
    shifts = [
        ((part.start + part.stop) / 2 - count / 2) * edge for part, count, edge in zip(kept, found.values.shape, found.spacing, strict=True)
    ]
    origin = [middle + shift for middle, shift in zip(found.centre, shifts[::-1], strict=True)]
    return {"patient": {"origin": origin, "frame_of_reference": found.frame}}


def _attenuation(values: np.ndarray, params: VolumeParams, where: str) -> np.ndarray:
    """Convert to attenuation [1/mm], 0 or more."""
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
