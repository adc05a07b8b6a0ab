"""Write and read volumes as NIfTI-1 files that medical viewers (3D Slicer, ITK-SNAP) show at the right size and position."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError
from benchmark.files.compressed import check_growth, read_to_end
from benchmark.scan.geometry import ConeBeamGeometry, Triple
from benchmark.storage import mapped

PIECE = 8 << 20  # [bytes] written or read at once


def affine(geometry: ConeBeamGeometry, origin: Triple = (0.0, 0.0, 0.0)) -> np.ndarray:
    """Return the map from voxel indices (x, y, z) to scanner coordinates [mm], float64 [4, 4]: spacing and first voxel centre.

    `origin`: x y z of the geometry's origin in those coordinates.
    """
    matrix = np.diag([*geometry.volume_spacing[::-1], 1.0])
    matrix[:3, 3] = [geometry.voxel_centres(axis)[0] + origin[2 - axis] for axis in (2, 1, 0)]
    return matrix


def write_volume(
    path: Path, volume: np.ndarray, geometry: ConeBeamGeometry, length_unit: str = "mm", origin: Triple = (0.0, 0.0, 0.0)
) -> None:
    """Store a volume [z, y, x] as float32, plane by plane; on disk the first axis is x, as NIfTI requires. `origin` as in `affine`."""
    import nibabel
    from nibabel.openers import ImageOpener

    make: Any = nibabel.Nifti1Image  # whose methods have no types
    planes = np.broadcast_to(np.float32(0), volume.shape[::-1])  # placeholder for the volume, which may exceed memory
    image = make(planes, affine(geometry))
    image.set_sform(affine(geometry, origin), code=1)
    image.set_qform(affine(geometry, origin), code=1)
    header = image.header
    header.set_xyzt_units("mm" if length_unit == "mm" else "unknown")
    header.set_slope_inter(1.0, 0.0)
    with ImageOpener(str(path), "wb") as file:
        header.write_to(file)
        for part in mapped.pieces(volume, PIECE):
            file.write(np.ascontiguousarray(volume[part], dtype="<f4").tobytes())


def read_volume(path: Path) -> np.ndarray:
    """Read a volume [z, y, x] written by `write_volume`, float32: in memory, or unpacked into a file if large.

    Raise OSError for a file that is missing, truncated or of another format.
    """
    import zlib

    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.openers import ImageOpener
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    try:
        with ImageOpener(str(path)) as stream:
            holder: Any = nibabel.FileHolder(fileobj=stream)  # type: ignore[arg-type]
            kind: Any = nibabel.Nifti1Image
            image = kind.from_file_map({"header": holder, "image": holder}, mmap=False)

            def write(volume: np.ndarray) -> None:
                for part in mapped.pieces(volume, PIECE):
                    volume[part] = np.asarray(image.dataobj[..., part]).transpose(2, 1, 0)

            x, y, z = image.shape
            check_growth(str(path), x * y * z * image.header.get_data_dtype().itemsize, path.stat().st_size)
            volume = mapped.filled((z, y, x), write)
            read_to_end(str(path), stream)
            return volume
    except (ImageFileError, HeaderDataError, WrapStructError, InputError, EOFError, ValueError, zlib.error) as error:
        raise OSError(f"{path}: not a complete NIfTI volume ({error})") from error
