"""The scan: the only data that a method receives."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from benchmark.errors import InputError
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.storage import mapped

Composite = Literal["sum", "max", "over"]  # value of a pixel along its ray: integral, maximum, or the nearest surface over the rest
"""Kind of a scan's views: 'sum' = line integrals, 'max' = maximum projections, 'over' = photographs (silhouettes and colours)."""

MEASURED: Mapping[Composite, str] = {"sum": "line integrals", "max": "maxima along the rays", "over": "silhouettes and colours"}


@dataclasses.dataclass(frozen=True, eq=False)
class Scan:
    """The part of a case that methods see: projections and their geometry. Arrays are read-only.

    By `composite`, `projections` (float32 [view, v, u]) are line integrals (dimensionless), maxima along the rays (in the field's unit), or
    silhouettes (the covered share of each pixel, 0 .. 1) beside `colours` (red, green, blue over black, 0 .. 1). Only methods that
    declare a kind (`MethodSpec.composites`) receive scans of it. `masks` mark the pixels that show the object; None where unknown. `valid`
    marks the pixels that were measured: the others are repaired (dead and hot pixels), no score counts them, and methods may ignore
    them; None where all were measured. `depths` say where along its ray a maximum lies (see `central_rays`), NaN where that is not known;
    methods may use them. `noise` is set only if known better than from the pixels: call `scan_noise`.

    Raise InputError, naming the field, for arrays that do not fit the geometry or are not finite, for empty masks, for views without a
    measured pixel, and for a detector that does not see the volume.
    """

    projections: np.ndarray
    geometry: ConeBeamGeometry
    photons: float | None = None  # per pixel of the unattenuated beam, if known
    length_unit: str = "mm"
    view_labels: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)  # of each view: time [s], breathing phase, ...
    composite: Composite = "sum"
    colours: np.ndarray | None = None  # float32 [view, v, u, 3] of photographs
    masks: np.ndarray | None = None  # bool [view, v, u] (uint8 is converted: 0 is outside); photographs have silhouettes instead
    noise: float | None = None  # in the projections' unit
    valid: np.ndarray | None = None  # bool [view, v, u]
    depths: np.ndarray | None = None  # float32 [view, v, u] of maxima

    def __post_init__(self) -> None:
        if not isinstance(self.geometry, ConeBeamGeometry):
            raise InputError("scan.geometry", expected="a ConeBeamGeometry", found=type(self.geometry).__name__)
        projections = np.asarray(self.projections)
        if projections.shape != self.geometry.projection_shape:
            raise InputError(
                "scan.projections",
                expected=f"shape [view, v, u] = {self.geometry.projection_shape} (the geometry's)",
                found=f"{projections.shape}",
                fix="Check the number of angles and the order of the detector axes.",
            )
        projections = _own(projections)
        _check_finite(projections)
        self.geometry.check_sees_volume()
        labels = {str(name): np.array(values, dtype=np.float64) for name, values in self.view_labels.items()}
        for name, values in labels.items():
            if values.shape != (self.geometry.views,) or not np.isfinite(values).all():
                found = f"shape {values.shape}" if np.isfinite(values).all() else "NaN or Inf"
                raise InputError(f"scan.view_labels.{name}", expected="a finite number for each view", found=found)
        object.__setattr__(self, "view_labels", labels)
        projections.setflags(write=False)
        object.__setattr__(self, "projections", projections)
        if self.composite == "over" or self.colours is not None:
            object.__setattr__(self, "colours", _checked_colours(self))
        if self.masks is not None:
            object.__setattr__(self, "masks", _checked_masks(self, np.asarray(self.masks)))
        if self.valid is not None:
            object.__setattr__(self, "valid", _checked_valid(self, np.asarray(self.valid)))
        if self.depths is not None:
            object.__setattr__(self, "depths", _checked_depths(self, np.asarray(self.depths)))
        if self.noise is not None and not 0 <= self.noise < math.inf:
            raise InputError("scan.noise", expected="a standard deviation, 0 or more", found=f"{self.noise}")

    @property
    def beside(self) -> dict[str, np.ndarray]:
        """Arrays beside the projections, by name: `colours`, `masks`, `valid` and `depths`, where present."""
        found = {"colours": self.colours, "masks": self.masks, "valid": self.valid, "depths": self.depths}
        return {name: array for name, array in found.items() if array is not None}

    @property
    def digest(self) -> str:
        """Hash of the projections, the geometry and all other facts about the views."""
        content = hashlib.sha256()
        for view in self.projections:
            content.update(view.data)
            mapped.release(self.projections)
        content.update(self.geometry.digest.encode())
        if self.composite != "sum":  # digests of line integrals stay as they were before other kinds existed
            content.update(self.composite.encode())
        if self.colours is not None:
            content.update(self.colours.data)
        if self.masks is not None:
            content.update(b"masks")
            mapped.update(content, self.masks)
        if self.valid is not None:
            content.update(b"valid")
            mapped.update(content, self.valid)
        if self.depths is not None:
            content.update(b"depths")
            mapped.update(content, self.depths)
        if self.noise is not None:
            content.update(f"noise {self.noise!r}".encode())
        if self.photons is not None:
            content.update(f"photons {float(self.photons)!r}".encode())
        for name in sorted(self.view_labels):
            content.update(name.encode() + self.view_labels[name].tobytes())
        return content.hexdigest()[:16]


def _checked_colours(scan: Scan) -> np.ndarray:
    """Return the colours of photographs, read-only. Raise InputError for a wrong shape, and for values outside 0 .. 1."""
    shape = (*scan.geometry.projection_shape, 3)
    colours = None if scan.colours is None else np.array(scan.colours, dtype=np.float32, order="C")
    if scan.composite != "over" or colours is None or colours.shape != shape:
        found = "none" if colours is None else f"shape {colours.shape} of {MEASURED[scan.composite]}"
        raise InputError("scan.colours", expected=f"[view, v, u, 3] = {shape} of photographs", found=found)
    for name, values in (("colours", colours), ("projections", scan.projections)):
        if not (values.min() >= 0 and values.max() <= 1):  # also catches NaN
            raise InputError(f"scan.{name}", expected="values from 0 to 1", found=f"{values.min():.4g} .. {values.max():.4g}")
    colours.setflags(write=False)
    return colours


def _checked_masks(scan: Scan, masks: np.ndarray) -> np.ndarray:
    """Return the masks as bool, read-only. Raise InputError for a wrong shape or type, and for an empty mask."""
    _check_marks("masks", masks, scan.geometry.projection_shape)
    if scan.composite == "over":
        raise InputError("scan.masks", expected="none beside photographs, whose projections are their silhouettes", found="masks")
    masks = _own(masks, np.bool_)
    empty = [index for index, mask in enumerate(masks) if not mask.any()]
    mapped.release(masks)
    if empty:
        found = f"empty masks in {len(empty)} of {len(masks)} views, the first is view {empty[0]}"
        raise InputError("scan.masks", expected="the object in every view", found=found, fix="Remove these views or repair their masks.")
    masks.setflags(write=False)
    return masks


def _checked_valid(scan: Scan, valid: np.ndarray) -> np.ndarray:
    """Return the marks of measured pixels as bool, read-only. Raise InputError for a wrong shape or type, and for a view without any."""
    _check_marks("valid", valid, scan.geometry.projection_shape)
    valid = _own(valid, np.bool_)
    empty = [index for index, marks in enumerate(valid) if not marks.any()]
    mapped.release(valid)
    if empty:
        raise InputError("scan.valid", expected="a measured pixel in every view", found=f"none in view {empty[0]}")
    valid.setflags(write=False)
    return valid


def _checked_depths(scan: Scan, depths: np.ndarray) -> np.ndarray:
    """Return the depths of maxima, read-only. Raise InputError beside other views, for a wrong shape, and for infinite numbers."""
    shape = scan.geometry.projection_shape
    if scan.composite != "max":
        raise InputError("scan.depths", expected=f"none beside {MEASURED[scan.composite]}", found="depths")
    if depths.shape != shape or depths.dtype.kind != "f" or np.isinf(depths).any():
        found = f"shape {depths.shape}, {depths.dtype}" if depths.shape != shape or depths.dtype.kind != "f" else "Inf"
        raise InputError("scan.depths", expected=f"numbers or NaN, float32 [view, v, u] = {shape}", found=found)
    depths = _own(depths)
    depths.setflags(write=False)
    return depths


def _check_marks(name: str, marks: np.ndarray, shape: tuple[int, int, int]) -> None:
    if marks.shape != shape or marks.dtype not in (np.bool_, np.uint8):
        raise InputError(f"scan.{name}", expected=f"bool or uint8 [view, v, u] = {shape}", found=f"shape {marks.shape}, {marks.dtype}")


def _own(array: np.ndarray, dtype: Any = np.float32) -> np.ndarray:
    """Return a C-contiguous array of this type that no other code can change: a copy, unless mapped read-only from a file."""
    return mapped.contiguous(array, dtype) if mapped.is_read_only_file(array) else mapped.copied(array, dtype)


def _check_finite(projections: np.ndarray) -> None:
    """Raise InputError unless all line integrals [view, v, u] are finite; read one view at a time."""
    bad, first = 0, None
    for index, view in enumerate(projections):
        if not np.isfinite(view).all():
            found = np.argwhere(~np.isfinite(view))
            first = first or (index, *(int(i) for i in found[0]))
            bad += len(found)
        mapped.release(projections)
    if bad:
        raise InputError(
            "scan.projections",
            expected="finite line integrals",
            found=f"{bad} NaN or Inf, the first at [view, v, u] = {first}",
            fix="Line integrals are -log(I / I0): zero or negative intensities must be repaired first.",
        )
