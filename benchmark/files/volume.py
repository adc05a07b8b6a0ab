"""Read a volume from any file or folder and turn it upright."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.errors import InputError
from benchmark.files import dicom, images, medical
from benchmark.files.door import SINGLE, kind, open_stack
from benchmark.files.upright import Triple, upright


def volume_format(path: Path) -> str:
    """Return the format of a file or folder: 'dicom', 'images', a suffix such as '.nii.gz', or '' for an unknown one."""
    if path.is_dir():
        if any(dicom.is_dicom(child) for child in path.iterdir()):
            return "dicom"
        return "images" if any(child.suffix.lower() in (*images.TIFF, *images.PNG) for child in path.iterdir()) else ""
    if path.is_file() and kind(path) in SINGLE:
        return kind(path)
    return "dicom" if dicom.is_dicom(path) else ""


def read_volume_file(
    path: Path, *, key: str | None = None, spacing: float | Triple | None = None, outside: float = 0.0
) -> tuple[np.ndarray, Triple, str]:
    """Read a volume: values [z, y, x] as stored (DICOM and NIfTI rescaled), spacing (z, y, x) [mm], and a note on conversions.

    DICOM, NIfTI, NRRD and MetaImage are turned upright; oblique volumes are interpolated, with `outside` beyond their edges. TIFF,
    PNG, .npy and .npz (`key` names the array) are taken as [z, y, x] and need a `spacing`. A DICOM file stands for its folder. Raise
    InputError for all else, MissingDependency if a format's reader is not installed.
    """
    found = volume_format(path)
    if not found:
        expected = "a DICOM folder, numbered images, NIfTI, NRRD, MHA, TIFF, .npy or .npz"
        raise InputError(str(path), expected=expected, found="something else" if path.exists() else "none")
    if found == "dicom":
        image = dicom.read_series(path if path.is_dir() else path.parent)
    elif found in medical.NIFTI:
        image = medical.read_nifti(path)
    elif found in medical.ITK:
        image = medical.read_itk(path)
    else:
        if spacing is None:
            raise InputError(f"{path}: spacing", expected="the voxels' edges in mm", found="none", fix="Give it: --set volume.spacing=0.5.")
        edges = spacing if isinstance(spacing, tuple) else (spacing,) * 3
        if not all(np.isfinite(edge) and edge > 0 for edge in edges):
            raise InputError(f"{path}: spacing", expected="positive lengths in mm", found=f"{edges}")
        return open_stack(path, key).load(), edges, ""
    if spacing is not None:
        raise InputError(f"{path}: spacing", expected="none, since the file has its own", found=f"{spacing}")
    values, own, interpolated = upright(image, outside, str(path))
    return values, own, ", oblique, interpolated onto the patient's axes" if interpolated else ""
