"""Measured scans from scan folders."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.acquisition.measured import Measured
from benchmark.errors import InputError
from benchmark.scan.geometry import Triple
from benchmark.scan.hounsfield import attenuation
from benchmark.scan_folder.description import FILE, UNITS, Description, read_description
from benchmark.scan_folder.masks import Silhouettes
from benchmark.scan_folder.numbers import Images, open_array
from benchmark.scan_folder.orbit import length, orbit, scaled, spacing_of
from benchmark.storage import mapped

if TYPE_CHECKING:
    from benchmark.acquisition.voxels import Voxels


def open_scan_folder(folder: Path) -> Measured:
    """Open the scan that scan.yaml in this folder describes (docs/data.md); projections are read when needed. Raises InputError."""
    description = read_description(folder)
    images = Images.open(description)
    views, rows, columns = images.stack.shape
    general = description.general
    measured = Measured(
        name=general.name or description.folder.resolve().name,
        geometry=orbit(description, views, (rows, columns)),
        view=images.view,
        mask=None if description.masks is None else Silhouettes.open(description, images.stack.shape).view,
        photons=description.projections.photons,
        noise=description.projections.noise,
        length_unit="mm" if general.length_unit in UNITS else general.length_unit,
        training=description.views.training,
        heldout=description.views.heldout,
        grid_stated=description.volume is not None and description.volume.shape is not None,
    )
    if description.truth is None:
        return measured
    box = measured.geometry
    note = description.truth.note or f"{description.truth.file}, averaged over each voxel"
    return dataclasses.replace(measured, truth=lambda: read_truth(description, box.volume_extent, box.volume_offset), truth_note=note)


def read_truth(description: Description, extent: Triple, offset: Triple) -> Voxels:
    """Return the truth named in scan.yaml; `extent` and `offset` (z, y, x) [mm] are the volume's box. Raise InputError if unusable."""
    from benchmark.acquisition.voxels import Voxels  # brings torch, which checking a plan does not need

    given, unit = description.truth, length(description)
    assert given is not None
    extent = scaled(given.extent, unit) if given.extent else extent
    offset = scaled(given.offset, unit) if given.offset else offset
    if not min(extent) > 0:
        raise InputError(f"{description.folder / FILE}: truth.extent", expected="positive lengths", found=f"{extent}")
    stack = open_array(description.path("truth.file", given.file), given.key, given.raw)
    stack = stack.transposed([given.axes.index(name) for name in ("z", "y", "x")])
    within = tuple("yx".index(name) for name in given.flip if name != "z")

    def write(values: np.ndarray) -> None:
        for index in range(len(values)):
            stored = stack.page(len(values) - 1 - index if "z" in given.flip else index)
            plane = np.flip(stored, within).astype(np.float32)
            if not np.isfinite(plane).all():
                raise InputError(stack.where, expected="finite numbers", found="NaN or Inf")
            values[index] = attenuation(plane, given.water) if given.unit == "HU" else plane / np.float32(unit)
            mapped.release(values)

    return Voxels(mapped.filled(stack.shape, write), spacing_of(extent, stack.shape), offset)
