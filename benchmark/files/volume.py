"""Read a volume from any file or folder and turn it upright."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from benchmark.errors import InputError
from benchmark.files import dicom, images, medical
from benchmark.files.door import SINGLE, kind, open_stack
from benchmark.files.gaps import without_gaps
from benchmark.files.medical import Image
from benchmark.files.tiff_spacing import tiff_spacing
from benchmark.files.upright import Triple, centre, upright


def volume_format(path: Path) -> str:
    """Return the format of a file or folder: 'dicom', 'images', a suffix such as '.nii.gz', or '' for an unknown one."""
    if path.is_dir():
        if any(dicom.is_dicom(child) for child in path.iterdir()):
            return "dicom"
        if any(child.suffix.lower() in (*images.TIFF, *images.PNG) for child in path.iterdir()):
            return "images"
        return "dicom" if dicom.holds_dicom(path) else ""
    if path.is_file() and kind(path) in SINGLE:
        return kind(path)
    return "dicom" if dicom.is_dicom(path) else ""


@dataclasses.dataclass(frozen=True, eq=False)
class PlacedVolume:
    """A volume with its place in the patient or scanner.

    values: [z, y, x] as stored (DICOM and NIfTI rescaled). spacing: (z, y, x) [mm]. note: conversions made (', ...'). centre: of the box,
    x y z [mm], x to the patient's right, y to the front, z to the head; None if the file states no place. frame: DICOM's frame of
    reference.
    """

    values: np.ndarray
    spacing: Triple
    note: str = ""
    centre: Triple | None = None
    frame: str = ""


def read_volume_file(
    path: Path, *, key: str | None = None, spacing: float | Triple | None = None, outside: float = 0.0
) -> tuple[np.ndarray, Triple, str]:
    """Return values, spacing and note of `read_placed_volume`."""
    found = read_placed_volume(path, key=key, spacing=spacing, outside=outside)
    return found.values, found.spacing, found.note


def read_placed_volume(path: Path, *, key: str | None = None, spacing: float | Triple | None = None, outside: float = 0.0) -> PlacedVolume:
    """Read a volume from a file or folder.

    DICOM, NIfTI, NRRD and MetaImage are turned upright; oblique volumes are interpolated, with `outside` beyond their edges and for
    NaN or padding outside of the field of view. TIFF, PNG, .npy and .npz (`key` names the array) are taken as [z, y, x] and need a
    `spacing`, unless a TIFF has that of ImageJ or OME. A DICOM file stands for its series. Raise InputError for all else,
    MissingDependency if a format's reader is not installed.
    """
    found = volume_format(path)
    if not found:
        expected = "a DICOM folder, numbered images, NIfTI, NRRD, MHA, TIFF, .npy or .npz"
        raise InputError(str(path), expected=expected, found="something else" if path.exists() else "none")
    edges = _edges(path, spacing)
    if not has_place(path):
        own = _own_spacing(path, edges) if found in images.TIFF else None
        if edges is None and own is None:
            raise InputError(f"{path}: spacing", expected="the voxels' edges in mm", found="none", fix="Give it: --set volume.spacing=0.5.")
        values, note = without_gaps(open_stack(path, key).load(), outside, str(path))
        return PlacedVolume(values, edges or own or (1.0, 1.0, 1.0), _said(edges, own) + note)
    if edges is not None and found != "dicom":
        raise InputError(f"{path}: spacing", expected="none, since the file has its own", found=f"{spacing}")
    return upright_volume(read_image(path, edges, outside), outside, str(path))


def has_place(path: Path) -> bool:
    """Return True if the format holds the volume's spacing and position."""
    return volume_format(path) in ("dicom", *medical.NIFTI, *medical.ITK)


def read_image(path: Path, edges: Triple | None = None, outside: float = 0.0) -> Image:
    """Read a file whose format holds a position; `edges` [mm] are for DICOM slices that have none."""
    found = volume_format(path)
    if found == "dicom":
        return dicom.read_series(path, edges, outside)
    return medical.read_nifti(path) if found in medical.NIFTI else medical.read_itk(path)


def upright_volume(image: Image, outside: float, where: str) -> PlacedVolume:
    """Return an image turned upright, without the gaps outside of its field of view."""
    values, gaps = without_gaps(image.values, outside, where)
    values, spacing, interpolated = upright(dataclasses.replace(image, values=values), outside, where)
    note = image.note + gaps + (", oblique, interpolated onto the patient's axes" if interpolated else "")
    return PlacedVolume(values, spacing, note, centre(image) if image.stated else None, image.frame)


def _own_spacing(path: Path, given: Triple | None) -> Triple | None:
    """Return the spacing that a TIFF file states [mm]. Raise InputError if that is in an unknown unit and none is given."""
    try:
        return tiff_spacing(path)
    except InputError:
        if given is None:
            raise
        return None


def _said(given: Triple | None, own: Triple | None) -> str:
    """Return a note on the spacing of a file that also states one."""
    if own is None or (given is not None and np.allclose(given, own, rtol=0.01)):
        return ""
    says, used = (" x ".join(f"{length:.4g}" for length in lengths) for lengths in (own, given or own))
    return f", spacing {says} mm (z, y, x) as the file says" if given is None else f", spacing {used} mm (the file says {says} mm)"


def _edges(path: Path, spacing: float | Triple | None) -> Triple | None:
    if spacing is None:
        return None
    edges = spacing if isinstance(spacing, tuple) else (spacing,) * 3
    if not all(np.isfinite(edge) and edge > 0 for edge in edges):
        raise InputError(f"{path}: spacing", expected="positive lengths in mm", found=f"{edges}")
    return edges
