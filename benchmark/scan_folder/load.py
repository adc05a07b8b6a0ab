"""Measured scans from scan folders."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from benchmark.acquisition.measured import Measured
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan_folder.description import UNITS, read_description
from benchmark.scan_folder.masks import Silhouettes
from benchmark.scan_folder.numbers import Images
from benchmark.scan_folder.orbit import orbit_values, surroundings
from benchmark.scan_folder.truth import read_truth


def open_scan_folder(folder: Path) -> Measured:
    """Open the scan that scan.yaml in this folder describes (docs/data.md); projections are read when needed. Raises InputError."""
    description = read_description(folder)
    images = Images.open(description)
    views, rows, columns = images.stack.shape
    general = description.general
    values = orbit_values(description, views, (rows, columns))
    measured = Measured(
        name=general.name or description.folder.resolve().name,
        geometry=ConeBeamGeometry(**values),
        around=surroundings(description, values),
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
