"""Zeiss Xradia: NAME.txrm, which holds the projections, the flat image and the geometry.

Facts (as CIL and dxchange read them): Angles in degrees, clockwise for the source; StoRADistance and DtoRADistance in mm, of either sign;
PixelSize in um at the object; row 0 is taken as the bottom and column 0 as the left; XrayGeometry 1 is a cone beam; AcquisitionMode 0 is
an acquisition. Shifts of the alignment are in pixels, by which each image is to be moved.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.api import InputError, ScanDraft, read_zeiss, reference_image

from .folders import ending


def recognises(folder: Path) -> list[Path]:
    """Return the .txrm files of a folder."""
    return ending(folder, ".txrm")


def read(path: Path) -> ScanDraft:
    """Read the scan of a .txrm file."""
    draft, name = ScanDraft(), path.name
    views, rows, columns = (int(_number(path, f"ImageInfo/{key}", "<u4")) for key in ("NoOfImages", "ImageHeight", "ImageWidth"))
    mode = read_zeiss(path, "ImageInfo/AcquisitionMode", "<i4")
    if mode is not None and mode[0] != 0:
        raise InputError(f"{path}: AcquisitionMode", expected="0, an acquisition", found=f"{mode[0]}")
    draft.images = (views, rows, columns)
    draft.set("length_unit", "mm", "Zeiss writes mm, pixels in um")
    draft.set("angle_unit", "degrees", "as Zeiss writes")
    draft.set("projections.file", name, "it holds the images")
    draft.set("projections.axes", ["view", "v", "u"], "one image per view")
    draft.set("projections.first_row", "bottom", "as CIL reads it")
    draft.set("projections.first_column", "left", "as CIL reads it")
    draft.set("projections.values", "intensities", "as Zeiss writes")
    flat = reference_image(path)
    if flat is None:
        draft.leave("projections.flat", "intensity without object: this file has no ReferenceData/Image")
    else:
        draft.table("projections.flat", "scan_flat.npy", flat[None], f"{name}: ReferenceData/Image")
    _distances(path, draft, views)
    angles = read_zeiss(path, "ImageInfo/Angles", "<f4", views)
    if angles is None:
        raise InputError(f"{path}: ImageInfo/Angles", expected="an angle per view", found="none")
    draft.table("angles.file", "scan_angles.txt", angles.astype(np.float64), f"{name}: ImageInfo/Angles")
    draft.set("angles.rotation", "clockwise", "as CIL reads it")
    for key in ("X-Shifts", "Y-Shifts"):
        shifts = read_zeiss(path, f"Alignment/{key}", "<f4", views)
        if shifts is not None and np.abs(shifts).max() >= 0.5:
            draft.note(f"{name}: Alignment/{key} up to {np.abs(shifts).max():.3g} pixels are not applied.")
    return draft


def _distances(path: Path, draft: ScanDraft, views: int) -> None:
    name, size = path.name, _number(path, "ImageInfo/PixelSize", "<f4") / 1000
    beam = read_zeiss(path, "ImageInfo/XrayGeometry", "<i4")
    if beam is not None and beam[0] != 1:
        draft.set("geometry.beam", "parallel", f"{name}: ImageInfo/XrayGeometry")
        draft.set("geometry.detector_pitch", size, f"{name}: ImageInfo/PixelSize")
        return
    near, behind = (abs(_number(path, f"ImageInfo/{key}", "<f4")) for key in ("StoRADistance", "DtoRADistance"))
    if not near > 0 or not behind > 0:
        raise InputError(f"{path}: StoRADistance, DtoRADistance", expected="distances", found=f"{near:g}, {behind:g}")
    draft.set("geometry.source_to_origin", near, f"{name}: ImageInfo/StoRADistance")
    draft.set("geometry.source_to_detector", near + behind, f"{name}: StoRADistance + DtoRADistance")
    draft.set("geometry.detector_pitch", size * (near + behind) / near, f"{name}: PixelSize, enlarged to the detector")


def _number(path: Path, stream: str, dtype: str) -> float:
    found = read_zeiss(path, stream, dtype)
    if found is None or not np.isfinite(found[0]):
        raise InputError(f"{path}: {stream}", expected="a number", found="none" if found is None else f"{found[0]}")
    return float(found[0])
