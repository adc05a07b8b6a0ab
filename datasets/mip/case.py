"""Make maximum projections of a stack or a neuron: training views, held-out views between them, and the truth."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from benchmark.api import (
    AXES,
    Case,
    ConeBeamGeometry,
    InputError,
    Scan,
    Voxels,
    cached_arrays,
    camera_geometry,
    case_name,
    heldout_angles,
    open_frames,
    orbit_directions,
    read_volume_file,
    training_angles,
    volume_format,
)

from . import MipParams
from .neuron import SIDE, UNIT, neuron

VERSION = 1  # increase it whenever the numbers change: it is part of the cache key
OWN_SPACING = ("dicom", ".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")  # formats that store the voxel spacing


class Glowing(Protocol):
    """An object with known intensity: Voxels or Tubes."""

    def maxima(self, geometry: ConeBeamGeometry, sub_rays: int) -> np.ndarray: ...

    def averaged(self, geometry: ConeBeamGeometry) -> np.ndarray: ...

    def maximum_depths(self, geometry: ConeBeamGeometry) -> np.ndarray: ...


@dataclasses.dataclass(frozen=True)
class Subject:
    """The subject: the object, the edges of the box around it (z, y, x), their unit, and its identity."""

    name: str
    thing: Glowing
    extent: tuple[float, float, float]
    unit: str
    identity: str
    note: str
    part: str = ""
    voxels: tuple[int, ...] | None = None  # of the stack (z, y, x)


def load(params: MipParams) -> Case:
    """Make the case of a stack or of the neuron, in a box as large as the stack (the neuron's is a cube); the brightest value is 1."""
    subject = _stack(params) if params.path is not None else _neuron(params)
    sides = subject.extent if params.voxels == "cubes" or subject.voxels is None else subject.voxels
    edge = max(sides) / params.size
    shape = tuple(max(1, round(side / edge)) for side in sides)
    spacing = tuple(length / count for length, count in zip(subject.extent, shape, strict=True))
    pixels = params.detector if params.detector is not None else round(1.5 * params.size)
    field_of_view = np.deg2rad(params.field_of_view) if params.camera == "perspective" else None

    def looking(directions: np.ndarray) -> ConeBeamGeometry:
        return camera_geometry(directions, pixels, field_of_view, volume_shape=shape, volume_spacing=spacing)  # type: ignore[arg-type]

    def kept(kind: str, geometry: ConeBeamGeometry, compute: Callable[[], np.ndarray]) -> np.ndarray:
        key = [VERSION, subject.identity, kind, params.sub_rays, geometry.digest]
        return cached_arrays("mip", key, lambda: {"array": compute()})["array"]

    def seen(geometry: ConeBeamGeometry) -> Scan:
        projections = kept("maxima", geometry, lambda: subject.thing.maxima(geometry, params.sub_rays))
        return Scan(projections, geometry, length_unit=subject.unit, composite="max")

    training, training_views = training_directions(params)
    angles, heldout_views = heldout_angles(params.heldout, params.data_seed)
    geometry = looking(training)
    scan = seen(geometry)
    if params.depth:
        depths = kept("depths", geometry, lambda: subject.thing.maximum_depths(geometry))
        scan = dataclasses.replace(scan, depths=depths)
    return Case(
        name=subject.name,
        scan=scan,
        truth=kept("truth", looking(AXES), lambda: subject.thing.averaged(geometry)),
        heldout=seen(looking(orbit_directions(angles, np.deg2rad(params.elevation)))) if params.heldout else None,
        truth_note=subject.note,
        training_views=training_views,
        heldout_views=heldout_views,
        part=subject.part,
    )


def native(params: MipParams) -> dict[str, int | str]:
    """Return the parameters of `size: native`: the stack's own voxels."""
    shape = _stack(params).voxels
    assert shape is not None
    return {"size": max(shape), "voxels": "own"}


def training_directions(params: MipParams) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return the directions of the training views [view, 3], and their indices into the nominal orbit (none if any is off it)."""
    elevation = np.deg2rad(params.elevation)
    if not isinstance(params.views, int):
        angles, indices = training_angles(params.views)
        return orbit_directions(angles, elevation), indices
    axes = AXES[: params.views] if params.orthogonal else AXES[:0]
    if params.views == len(axes):
        return axes, ()
    angles, indices = training_angles(params.views - len(axes))
    return np.concatenate([axes, orbit_directions(angles, elevation)]), () if len(axes) else indices


def _stack(params: MipParams) -> Subject:
    path = Path(str(params.path))
    spacing = params.spacing
    if spacing is None and volume_format(path) not in OWN_SPACING:
        spacing = 1.0
    if params.frame is None:
        values, edges, note = read_volume_file(path, key=params.key, spacing=spacing)
        values = _above(values, params.background)
        brightest = float(values.max())
    else:
        values, brightest = _frame(params)
        edges, note = _edges(spacing), f", frame {params.frame}"
    if not 0 < brightest < np.inf:
        found = f"at most {brightest + params.background:g}"
        raise InputError(str(path), expected=f"finite voxels, some brighter than the background ({params.background:g})", found=found)
    voxels = Voxels(values / np.float32(brightest), edges)
    return Subject(
        name=case_name(path) if params.frame is None else f"{case_name(path)}-{params.frame}",
        thing=voxels,
        extent=voxels.extent,
        unit=params.unit,
        identity=f"{hashlib.sha256(voxels.values.tobytes()).hexdigest()} {edges!r}",
        note=f"the stack itself, averaged over each voxel ({path.name}{note}); 1 is its brightest voxel",
        part="" if params.frame is None else f"frame {params.frame}",
        voxels=voxels.values.shape,
    )


def _frame(params: MipParams) -> tuple[np.ndarray, float]:
    """Return a frame [z, y, x] above the background, and the brightest value of all frames: what changes over time stays to be seen."""
    frames = open_frames(Path(str(params.path)), params.key)
    index = params.frame
    if index is None or index >= frames.shape[0]:
        raise InputError(f"{params.path}: frame", expected=f"0 .. {frames.shape[0] - 1}", found=f"{index}")
    brightest = max(float(_above(frames.frame(time), params.background).max()) for time in range(frames.shape[0]))
    return _above(frames.frame(index), params.background), brightest


def _above(values: np.ndarray, background: float) -> np.ndarray:
    """Return what is brighter than the background, float32."""
    return np.maximum(np.asarray(values, dtype=np.float32) - np.float32(background), 0)


def _edges(spacing: float | tuple[float, float, float] | None) -> tuple[float, float, float]:
    edges = spacing if isinstance(spacing, tuple) else (float(spacing or 1.0),) * 3
    if not all(np.isfinite(edge) and edge > 0 for edge in edges):
        raise InputError("mip.spacing", expected="positive lengths", found=f"{spacing}")
    return edges


def _neuron(params: MipParams) -> Subject:
    for key in ("key", "spacing"):
        if getattr(params, key) is not None:
            raise InputError(f"mip.{key}", expected="none without a path", found=f"{getattr(params, key)}")
    return Subject(
        name=f"neuron-{params.neuron}",
        thing=neuron(params.neuron),
        extent=(SIDE, SIDE, SIDE),
        unit=UNIT,
        identity=f"neuron {params.neuron}",
        note="voxel means of the neuron's tubes, supersampled",
    )
