"""Write volumes in the formats of viewers and other programs; a voxel has the same physical position in every format."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmark.errors import InputError, MissingDependency
from benchmark.exchange.chunked import write_ome_zarr, write_precomputed
from benchmark.exchange.dicom import write_series
from benchmark.exchange.volume_image import VolumeImage
from benchmark.machine.environment import missing_modules
from benchmark.records import nifti
from benchmark.storage import atomic, mapped
from benchmark.storage.json_values import dumps
from benchmark.storage.writable import prove_file

LPS_FROM_OURS = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)  # direction cosines, row by row


@dataclasses.dataclass(frozen=True)
class Format:
    """File format: suffix, writer, required modules and the extra that installs them, whether it is a folder, and whether it holds the
    volume's position itself."""

    suffix: str
    write: Callable[[Path, VolumeImage], None]
    requires: tuple[str, ...] = ()
    extra: str = "medical"
    folder: bool = False
    placed: bool = True


def write(kind: str, path: Path, image: VolumeImage) -> list[Path]:
    """Write one of FORMATS, complete or not at all, with a JSON file of the position beside formats that cannot hold it.

    Return the paths. Raise InputError if the path exists or values are not finite, MissingDependency if a library is not installed.
    """
    format = FORMATS[kind]
    missing = missing_modules(format.requires)
    if missing:
        raise MissingDependency(f"--format {kind} needs {missing[0]} (install: pip install 'seed-ct[{format.extra}]')")
    if not path.name.endswith(format.suffix):
        raise InputError("--output", expected=f"a name that ends in {format.suffix}", found=f"'{path.name}'")
    paths = [path] if format.placed else [path, path.with_name(f"{path.name}.json")]
    broken = mapped.not_finite(image.values)
    if broken:
        raise InputError(f"volume of {image.title}", expected="finite numbers", found=f"{broken} that are NaN or Inf")
    for target in paths:
        prove_file(target, new=True)
    with atomic.new_folder(path) if format.folder else atomic.replacing(path) as temporary:
        format.write(temporary, image)
    if not format.placed:
        atomic.create(paths[1], (dumps(image.facts(), indent=1) + "\n").encode())
    return paths


def usual_name(kind: str, title: str) -> str:
    """Return the default file or folder of an image."""
    return title + (FORMATS[kind].suffix or f"-{kind}")


def _nifti(path: Path, image: VolumeImage) -> None:
    nifti.write_volume(path, image.values, image.geometry, image.length_unit, image.origin)


def _itk(path: Path, image: VolumeImage) -> None:
    """Write NRRD or MetaImage, both in LPS."""
    import SimpleITK

    written = SimpleITK.GetImageFromArray(np.ascontiguousarray(image.values, dtype=np.float32))
    x, y, z = image.first_ras
    written.SetOrigin((-x, -y, z))
    written.SetSpacing(image.spacing_xyz)
    written.SetDirection(LPS_FROM_OURS)
    SimpleITK.WriteImage(written, str(path), useCompression=True)


def _tiff(path: Path, image: VolumeImage) -> None:
    """Write one page per z, with the spacing in the tags that ImageJ and ITK read; TIFF cannot hold the origin."""
    import tifffile

    x, y, z = (length / 10 for length in image.spacing_xyz)  # [cm], the only metric unit of TIFF
    tifffile.imwrite(
        path,
        np.ascontiguousarray(image.values, dtype=np.float32),
        imagej=True,
        resolution=(1 / x, 1 / y),
        resolutionunit="CENTIMETER",
        metadata={"axes": "ZYX", "spacing": z, "unit": "cm"},
    )


def _npy(path: Path, image: VolumeImage) -> None:
    np.save(path, np.ascontiguousarray(image.values, dtype=np.float32), allow_pickle=False)


FORMATS = {
    "nifti": Format(".nii.gz", _nifti),
    "dicom": Format("", write_series, ("pydicom",), folder=True),
    "nrrd": Format(".nrrd", _itk, ("SimpleITK",)),
    "mha": Format(".mha", _itk, ("SimpleITK",)),
    "tiff": Format(".tif", _tiff, ("tifffile",), placed=False),
    "npy": Format(".npy", _npy, placed=False),
    "ome-zarr": Format(".ome.zarr", write_ome_zarr, ("zarr",), "zarr", folder=True),
    "precomputed": Format(".precomputed", write_precomputed, ("tensorstore",), "zarr", folder=True, placed=False),
}
