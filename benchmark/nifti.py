"""Volumes as NIfTI-1 files that medical viewers (3D Slicer, ITK-SNAP) show at the right size and place."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.ct.geometry import ConeBeamGeometry


def affine(geometry: ConeBeamGeometry) -> np.ndarray:
    """Voxel indices (x, y, z) to the scanner's coordinates [mm], float64 [4, 4]: spacing on the diagonal, first voxel centre."""
    matrix = np.diag([*geometry.volume_spacing[::-1], 1.0])
    matrix[:3, 3] = [geometry.voxel_centres(axis)[0] for axis in (2, 1, 0)]
    return matrix


def write_volume(path: Path, volume: np.ndarray, geometry: ConeBeamGeometry, length_unit: str = "mm") -> None:
    """Store a volume [z, y, x] as float32; on disk the first axis is x, as NIfTI wants."""
    import nibabel

    image = nibabel.Nifti1Image(np.asarray(volume, dtype=np.float32).transpose(2, 1, 0), affine(geometry))
    image.set_sform(affine(geometry), code=1)
    image.set_qform(affine(geometry), code=1)
    image.header.set_xyzt_units("mm" if length_unit == "mm" else "unknown")
    nibabel.save(image, path)


def read_volume(path: Path) -> np.ndarray:
    """The volume [z, y, x] of a file written by `write_volume`, float32. Raises OSError for a file that is missing, cut off or foreign."""
    import zlib

    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    try:
        image = nibabel.Nifti1Image.from_filename(path)
        return np.ascontiguousarray(np.asarray(image.dataobj, dtype=np.float32).transpose(2, 1, 0))
    except (ImageFileError, HeaderDataError, WrapStructError, EOFError, ValueError, zlib.error) as error:
        raise OSError(f"{path}: not a complete NIfTI volume ({error})") from error
