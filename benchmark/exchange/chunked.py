"""Volumes in chunks at several resolutions, for viewers that fetch what they show: OME-Zarr and neuroglancer precomputed.

OME-Zarr 0.4 (zarr format 2): axes t, z, y, x and units by name; a voxel's centre is at scale x index + translation.
Precomputed: axes x, y, z, lengths in nanometres, voxels from 0, 0, 0; it cannot hold a position.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError
from benchmark.exchange.volume_image import VolumeImage

CHUNK = 64  # voxels along an edge of a chunk
UNITS = {"nm": ("nanometer", 1.0), "um": ("micrometer", 1e3), "\u00b5m": ("micrometer", 1e3), "mm": ("millimeter", 1e6)}  # name, [nm]


def write_ome_zarr(folder: Path, image: VolumeImage, frames: np.ndarray | None = None) -> None:
    """Write an image into a folder; `frames` [t, z, y, x] on its grid replace its values."""
    import zarr

    values = image.values if frames is None else frames
    times = values.ndim - 3  # axes before z
    x, y, z = image.first_ras
    unit = {"unit": UNITS[image.length_unit][0]} if image.length_unit in UNITS else {}
    group, datasets = zarr.open_group(folder, mode="w", zarr_format=2), []
    for level, (pixels, factors) in enumerate(_pyramid(np.asarray(values, dtype=np.float32))):
        chunks = (1,) * times + tuple(min(CHUNK, n) for n in pixels.shape[times:])
        array = group.create_array(
            str(level), shape=pixels.shape, chunks=chunks, dtype="float32", chunk_key_encoding={"name": "v2", "separator": "/"}
        )
        array[:] = pixels
        spacing = [length * factor for length, factor in zip(image.geometry.volume_spacing, factors, strict=True)]
        first = [at + (wide - own) / 2 for at, wide, own in zip((z, y, x), spacing, image.geometry.volume_spacing, strict=True)]
        steps = [
            {"type": "scale", "scale": [1.0] * times + spacing},
            {"type": "translation", "translation": [0.0] * times + first},
        ]
        datasets.append({"path": str(level), "coordinateTransformations": steps})
    axes: list[Any] = [{"name": "t", "type": "time"}] * times + [{"name": name, "type": "space", **unit} for name in "zyx"]
    scales: Any = {"version": "0.4", "name": image.title, "axes": axes, "datasets": datasets, "type": "mean"}
    group.attrs["multiscales"] = [scales]


def write_precomputed(folder: Path, image: VolumeImage) -> None:
    """Write an image into a folder. Raise InputError for lengths in an unknown unit."""
    import tensorstore

    if image.length_unit not in UNITS:
        raise InputError(
            "--format precomputed", expected=f"lengths in {', '.join(UNITS)}", found=f"'{image.length_unit}'", fix="Export as ome-zarr."
        )
    nanometres = UNITS[image.length_unit][1]
    for pixels, factors in _pyramid(np.asarray(image.values, dtype=np.float32)):
        spacing = [nanometres * length * factor for length, factor in zip(image.geometry.volume_spacing, factors, strict=True)]
        store = tensorstore.open(
            {
                "driver": "neuroglancer_precomputed",
                "kvstore": {"driver": "file", "path": str(folder)},
                "multiscale_metadata": {"type": "image", "data_type": "float32", "num_channels": 1},
                "scale_metadata": {
                    "size": list(pixels.shape[::-1]),
                    "encoding": "raw",
                    "chunk_size": [min(CHUNK, n) for n in pixels.shape[::-1]],
                    "resolution": spacing[::-1],
                    "voxel_offset": [0, 0, 0],
                },
                "create": True,
                "open": True,
            }
        ).result()
        store.write(pixels.transpose(2, 1, 0)[..., None]).result()


def _pyramid(values: np.ndarray) -> Iterator[tuple[np.ndarray, tuple[int, int, int]]]:
    """Yield the values [..., z, y, x] and means of ever larger blocks, until one chunk holds them; with the edges of a block (z, y, x)."""
    factors = (1, 1, 1)
    while True:
        yield values, factors
        halved = [axis for axis in range(3) if values.shape[axis - 3] > CHUNK]
        if not halved:
            return
        for axis in halved:
            values = _halved(values, axis - 3)
        z, y, x = (factor * (2 if axis in halved else 1) for axis, factor in enumerate(factors))
        factors = (z, y, x)


def _halved(values: np.ndarray, axis: int) -> np.ndarray:
    """Return means of pairs along an axis; an odd last one stands alone."""
    starts = np.arange(0, values.shape[axis], 2)
    counts = np.minimum(2, values.shape[axis] - starts)
    shape = [1] * values.ndim
    shape[axis] = -1
    return (np.add.reduceat(values, starts, axis=axis) / counts.reshape(shape)).astype(np.float32)
