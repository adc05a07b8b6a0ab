"""Volumes of a time series for other programs: one TIFF, one OME-Zarr, and a video of their projections beside the truth's.

<output>/series/volumes.tif         float32 TZYX, an ImageJ hyperstack
<output>/series/volumes.ome.zarr    the same in chunks, at several resolutions (where zarr is installed)
<output>/series/series.mp4          XY, XZ, YZ of each frame, the truth's below (.gif without PyAV)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmark.errors import InputError
from benchmark.exchange.chunked import write_ome_zarr
from benchmark.exchange.stored_run import stored_image
from benchmark.exchange.volume_image import VolumeImage
from benchmark.execution.pictures import along_axis
from benchmark.machine.environment import missing_modules
from benchmark.records.record import RunRecord
from benchmark.records.results import Results
from benchmark.report.video import enlarged, save_video
from benchmark.storage import atomic, litter, mapped

GAP = 2  # [pixels] between pictures


def write_series(results: Results, records: Sequence[RunRecord], folder: Path, rate: float) -> list[Path]:
    """Write the volumes of the runs of a series, in this order, into a folder, in place of earlier ones; return the paths.

    `rate` is in frames a second. Raise InputError for a run without a volume, StorageError if writing fails.
    """
    first = stored_image(results, records[0])

    def write(volumes: np.ndarray) -> None:
        for time, record in enumerate(records):
            values = stored_image(results, record).values
            if values.shape != first.values.shape:
                raise InputError(record.run_id, expected=f"a volume of {first.values.shape}", found=f"{values.shape}")
            volumes[time] = values

    volumes = mapped.filled((len(records), *first.values.shape), write)
    paths = [folder / "volumes.tif"]
    with atomic.replacing(paths[0]) as temporary:
        _write_tiff(temporary, volumes, first)
    if not missing_modules(("zarr",)):
        paths.append(folder / "volumes.ome.zarr")
        if paths[1].exists():
            litter.remove(paths[1])
        with atomic.new_folder(paths[1]) as temporary:
            write_ome_zarr(temporary, first, volumes)
    paths.append(save_video(folder / "series.mp4", enlarged(np.stack(_pictures(results, records, volumes))), rate))
    return paths


def _write_tiff(path: Path, volumes: np.ndarray, image: VolumeImage) -> None:
    import tifffile

    x, y, z = image.spacing_xyz
    facts = {"axes": "TZYX", "spacing": z, "unit": image.length_unit}
    tifffile.imwrite(path, np.ascontiguousarray(volumes), imagej=True, resolution=(1 / x, 1 / y), metadata=facts)


def _pictures(results: Results, records: Sequence[RunRecord], volumes: np.ndarray) -> list[np.ndarray]:
    """Return a picture for each frame: projections of the volume, and of the truth below, all in one grey window."""
    rows: list[list[np.ndarray]] = []
    for time, record in enumerate(records):
        case, truth = results.case(record), results.truth(record)
        assert case is not None
        kinds = [volumes[time], *([] if truth is None else [truth])]
        rows.append([_side_by_side(values, case.geometry.volume_spacing, case.composite) for values in kinds])
    top = max(max(float(row.max()) for row in pictures) for pictures in rows) or 1.0
    return [np.concatenate([np.pad(np.clip(row / top * 255, 0, 255).astype(np.uint8), GAP) for row in pictures], 0) for pictures in rows]


def _side_by_side(values: np.ndarray, spacing: tuple[float, float, float], composite: str) -> np.ndarray:
    """Return the projections XY, XZ, YZ of a volume beside each other, the first row on top."""
    pictures = [along_axis(values, axis, spacing, "max" if composite == "max" else "sum")[::-1] for axis in range(3)]
    tall = max(len(picture) for picture in pictures)
    return np.concatenate([np.pad(picture, ((tall - len(picture), 0), (0, GAP))) for picture in pictures], 1)
