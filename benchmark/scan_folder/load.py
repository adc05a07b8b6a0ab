"""A scan folder as a measured scan."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from benchmark.ct.geometry import Triple
from benchmark.ct.measured import Measured
from benchmark.ct.simulate import Voxels
from benchmark.errors import InputError
from benchmark.scan_folder.description import FILE, UNITS, Description, Truth, read_description
from benchmark.scan_folder.numbers import Images, open_array
from benchmark.scan_folder.orbit import length, orbit, scaled, spacing_of


def open_scan_folder(folder: Path) -> Measured:
    """The scan that scan.yaml in this folder describes; projections are read when they are needed. Raises InputError."""
    description = read_description(folder)
    images = Images.open(description)
    views, rows, columns = images.stack.shape
    unit, general = length(description), description.general
    measured = Measured(
        name=general.name or description.folder.resolve().name,
        geometry=orbit(description, views, (rows, columns)),
        view=images.view,
        photons=description.projections.photons,
        length_unit="mm" if general.length_unit in UNITS else general.length_unit,
        training=description.views.training,
        heldout=description.views.heldout,
    )
    if description.truth is None:
        return measured
    given, box = description.truth, measured.geometry
    extent = scaled(given.extent, unit) if given.extent else box.volume_extent
    offset = scaled(given.offset, unit) if given.offset else box.volume_offset
    note = given.note or f"{given.file}, averaged over each voxel"
    return dataclasses.replace(measured, truth=lambda: _truth(description, given, extent, offset), truth_note=note)


def _truth(description: Description, given: Truth, extent: Triple, offset: Triple) -> Voxels:
    stack = open_array(description.path("truth.file", given.file), given.key, given.raw)
    values = stack.load().transpose([given.axes.index(name) for name in ("z", "y", "x")])
    values = np.flip(values, tuple("zyx".index(name) for name in given.flip)).astype(np.float32)
    if not np.isfinite(values).all():
        raise InputError(stack.where, expected="finite numbers", found="NaN or Inf")
    if given.unit == "HU":
        values = np.maximum(given.water * (1 + values / 1000), 0, dtype=np.float32)
    else:
        values /= np.float32(length(description))
    if not min(extent) > 0:
        raise InputError(f"{description.folder / FILE}: truth.extent", expected="positive lengths", found=f"{extent}")
    return Voxels(values, spacing_of(extent, values.shape), offset)
