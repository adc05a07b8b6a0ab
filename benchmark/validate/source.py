"""Read a scan folder as a setup, whether or not its geometry is possible."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from benchmark.acquisition.voxels import Voxels
from benchmark.scan_folder.description import FILE, UNITS, Description, read_description
from benchmark.scan_folder.masks import Silhouettes
from benchmark.scan_folder.orbit import orbit_values, surroundings
from benchmark.scan_folder.prepared import Prepared, preprocessing_note
from benchmark.scan_folder.truth import read_truth
from benchmark.validate.setup import Setup, far_grid

MOST_VIEWS, FEWEST_VIEWS, MOST_BYTES = 60, 12, 1 << 30
VOXELS = 64


def is_scan_folder(text: str) -> bool:
    """Return True for a folder with scan.yaml, or for that file."""
    path = Path(text)
    return path.is_dir() and (path / FILE).is_file() or path.name == FILE and path.is_file()


def folder_setup(folder: Path) -> tuple[str, Setup]:
    """Return name and setup of a scan folder, even with an impossible geometry: some of all views, at the detector's resolution."""
    description = read_description(folder)
    prepared = Prepared.open(description)
    stored = prepared.images.stack.shape
    views, (rows, columns) = stored[0], prepared.window.shape
    values = orbit_values(description, views, stored[1:])
    if description.finds_axis:
        values["axis_shift"] = prepared.axis.shift
    around = surroundings(description, values)
    if around is not None:  # the truth knows the box alone, the projections show what is around it
        low, high = around
        spacing = (high - low) / values["volume_shape"]
        values |= {"volume_spacing": tuple(spacing.tolist()), "volume_offset": tuple(((low + high) / 2).tolist())}
    most = min(MOST_VIEWS, max(FEWEST_VIEWS, MOST_BYTES // (4 * rows * columns)))
    # An index stands for each view until the choice of views is known.
    setup = Setup(np.arange(views)[:, None, None], values, box_follows=description.volume is None).some_views(most)
    indices = [int(index) for index in setup.projections.ravel()]
    stated = description.volume is not None and description.volume.shape is not None
    setup = dataclasses.replace(
        setup,
        voxel=values["volume_spacing"] if stated else None,
        length_unit="mm" if description.general.length_unit in UNITS else description.general.length_unit,
    )
    setup = setup.with_projections(np.stack([prepared.view(index) for index in indices]))
    if description.masks is not None:
        silhouettes = Silhouettes.open(description, stored)
        setup = dataclasses.replace(setup, masks=np.stack([silhouettes.view(index) for index in indices]))
    finest = min(VOXELS, max(rows, columns))
    z, y, x = (max(1, round(count * finest / max(values["volume_shape"]))) for count in values["volume_shape"])
    spacing = tuple(
        old * length / new for old, length, new in zip(values["volume_shape"], values["volume_spacing"], (z, y, x), strict=True)
    )
    setup = setup.changed(volume_shape=(z, y, x), volume_spacing=spacing)
    if steps := prepared.notes():
        setup = dataclasses.replace(setup, notes=(*setup.notes, preprocessing_note(steps)))
    name = description.general.name or description.folder.resolve().name
    return name, setup if description.truth is None or around is not None else _with_truth(description, setup)


def _with_truth(description: Description, setup: Setup) -> Setup:
    """Return the setup with the truth on its grid, whether or not the geometry is possible."""
    shape, spacing, offset = (setup.geometry[f"volume_{name}"] for name in ("shape", "spacing", "offset"))
    extent = np.multiply(shape, spacing)
    voxels: Voxels = read_truth(description, tuple(extent), offset)
    beyond = np.abs(np.subtract(voxels.centre, offset)) + (extent - voxels.extent) / 2  # [mm] of the volume, at either end
    known = setup.with_truth(voxels.averaged(far_grid(shape, spacing, offset)))
    return dataclasses.replace(known, partial_truth=bool((beyond > spacing).any()))
