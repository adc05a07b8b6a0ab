"""Measured scans from scan folders."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from benchmark.acquisition.measured import Measured
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan_folder.description import UNITS, Description, read_description
from benchmark.scan_folder.masks import Silhouettes
from benchmark.scan_folder.orbit import orbit, surroundings
from benchmark.scan_folder.prepared import Prepared, preprocessing_note
from benchmark.scan_folder.truth import read_truth


def open_scan_folder(folder: Path) -> Measured:
    """Open the scan that scan.yaml in this folder describes (docs/data/scan_yaml.md); projections are read when needed. Raises InputError.

    Whatever is to be found from the views (an axis shift, bad pixels) is found by `Measured.calibrated`; until then the shift is 0.
    """
    description = read_description(folder)
    prepared = Prepared.open(description)
    declared = orbit(description, prepared.images.stack.shape[0], prepared.images.stack.shape[1:])
    measured = _measured(description, prepared, declared)
    if description.preprocessing is None and not description.finds_axis:
        return measured

    def calibrated(heldout: Sequence[int]) -> Measured:
        found = Prepared.open(description, heldout)
        geometry, steps = found.geometry(), found.notes()
        notes = (*measured.notes, preprocessing_note(steps)) if steps else measured.notes
        return dataclasses.replace(_measured(description, found, geometry), preprocessing=steps, notes=notes)

    return dataclasses.replace(measured, calibrated=calibrated)


def _measured(description: Description, prepared: Prepared, geometry: ConeBeamGeometry) -> Measured:
    """Return the scan with these views and this geometry."""
    general, given, averaged = description.general, description.projections, prepared.window.bin
    measured = Measured(
        name=general.name or description.folder.resolve().name,
        geometry=geometry,
        around=surroundings(description, vars(geometry)),
        view=prepared.view,
        mask=None if description.masks is None else Silhouettes.open(description, prepared.images.stack.shape).view,
        photons=given.photons and given.photons * averaged**2,  # averaging pixels adds up what they counted
        noise=given.noise and given.noise / averaged,
        length_unit="mm" if general.length_unit in UNITS else general.length_unit,
        training=description.views.training,
        heldout=description.views.heldout,
        grid_stated=description.volume is not None and description.volume.shape is not None,
        valid=prepared.valid if description.preprocessing is not None and description.preprocessing.bad_pixels is not None else None,
    )
    if description.truth is None:
        return measured
    box = measured.geometry
    note = description.truth.note or f"{description.truth.file}, averaged over each voxel"
    return dataclasses.replace(measured, truth=lambda: read_truth(description, box.volume_extent, box.volume_offset), truth_note=note)
