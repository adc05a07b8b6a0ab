"""Read NIfTI, NRRD and MetaImage: values with the position of each voxel."""

from __future__ import annotations

import dataclasses
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError, MissingDependency, one_line
from benchmark.files.limits import check_array

NIFTI, ITK = (".nii", ".nii.gz"), (".nrrd", ".nhdr", ".mha", ".mhd")


@dataclasses.dataclass(frozen=True, eq=False)
class Image:
    """A volume with its position in space.

    values: [k, j, i], i fastest in the file. axes: [3, 3], column n is the step along index i, j, k (in this order) in x, y, z
    [mm]; x to the patient's right, y to the front, z to the head (RAS, as in NIfTI). origin: centre of voxel (0, 0, 0) [mm].
    """

    values: np.ndarray
    axes: np.ndarray
    origin: np.ndarray

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel spacing along k, j, i [mm]."""
        i, j, k = np.linalg.norm(self.axes, axis=0)
        return (float(k), float(j), float(i))


def read_nifti(path: Path) -> Image:
    """Read a NIfTI-1 or -2 file and apply its slope and intercept. Raise InputError for anything else."""
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    broken = (ImageFileError, HeaderDataError, WrapStructError, OSError, EOFError, ValueError, TypeError, OverflowError, zlib.error)
    try:
        _check_pixdim(path)
        image: Any = nibabel.load(path, mmap="r")
        dtype = np.dtype(image.header.get_data_dtype())
        plain = path.stat().st_size - int(image.header["vox_offset"]) if path.suffix == ".nii" else None
        check_array(str(path), image.shape, dtype, stored=plain)
        if image.header.get_slope_inter() not in ((None, None), (1.0, 0.0)):
            check_array(str(path), image.shape, np.dtype(np.float64))  # rescaled, hence in memory
        values = np.asanyarray(image.dataobj)
        affine = np.asarray(image.affine, dtype=np.float64)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(str(path), expected="a file", found="none") from None
    except broken as error:
        raise InputError(str(path), expected="a NIfTI image", found=one_line(error)) from error
    shape = tuple(length for axis, length in enumerate(values.shape) if axis < 3 or length > 1)
    if len(shape) != 3:
        raise InputError(str(path), expected="three axes", found=f"shape {values.shape}")
    return _image(path, values.reshape(shape).transpose(2, 1, 0), affine[:3, :3], affine[:3, 3])


def _check_pixdim(path: Path) -> None:
    """Raise InputError for spacings that nibabel would silently make positive."""
    import nibabel
    from nibabel.openers import ImageOpener

    with ImageOpener(str(path)) as file:
        block = file.read(nibabel.Nifti2Header.sizeof_hdr)
    second = block[:4] in ((540).to_bytes(4, "little"), (540).to_bytes(4, "big"))
    kind = nibabel.Nifti2Header if second else nibabel.Nifti1Header
    spacing = np.asarray(kind(block[: kind.sizeof_hdr], check=False)["pixdim"][1:4])
    if not (spacing > 0).all():
        raise InputError(str(path), expected="positive voxel spacings (pixdim)", found=f"{spacing.tolist()}")


def read_itk(path: Path) -> Image:
    """Read an NRRD or MetaImage file through SimpleITK. Raise InputError for anything else, MissingDependency without SimpleITK."""
    itk = simple_itk()
    if not path.is_file():
        raise InputError(str(path), expected="a file", found="none")
    data = _check_data_file(path)
    _check_spacing(path)
    reader = itk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        shape = reader.GetSize()[::-1]
        if reader.GetNumberOfComponents() != 1 or len(shape) != 3:
            found = f"shape {shape} with {reader.GetNumberOfComponents()} numbers per voxel"
            raise InputError(str(path), expected="three axes and one number per voxel", found=found)
        check_array(str(path), shape, np.dtype(np.float32), stored=None)
        _check_stored(path, data, shape, reader.GetPixelID(), itk)
        image = reader.Execute()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1][:200]
        raise InputError(str(path), expected="an NRRD or MetaImage file", found=reason) from error
    directions = np.array(image.GetDirection()).reshape(3, 3)
    axes = directions * np.array(image.GetSpacing())  # columns: steps along i, j, k in x, y, z of LPS
    to_ras = np.array([-1.0, -1.0, 1.0])
    return _image(path, itk.GetArrayFromImage(image), to_ras[:, None] * axes, to_ras * np.array(image.GetOrigin()))


def simple_itk() -> Any:
    """Return SimpleITK with its warnings off. Raise MissingDependency if it is not installed."""
    try:
        import SimpleITK
    except ImportError:
        raise MissingDependency("NRRD, MetaImage and DICOM need SimpleITK and pydicom (install: pip install 'seed-ct[medical]')") from None
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    return SimpleITK


def _image(path: Path, values: np.ndarray, axes: np.ndarray, origin: np.ndarray) -> Image:
    if not (np.isfinite(axes).all() and np.isfinite(origin).all()) or abs(np.linalg.det(axes)) < 1e-12:
        raise InputError(str(path), expected="three finite axes of positive spacing", found=f"{axes.tolist()}, origin {origin.tolist()}")
    return Image(values, axes, origin)


def _check_data_file(path: Path) -> Path:
    """Return the file with the numbers: the header itself or a file in its folder. No other folder is allowed."""
    match = re.search(r"^\s*(?:ElementDataFile\s*=|data ?file:)\s*(\S.*?)\s*$", _head(path), re.IGNORECASE | re.MULTILINE)
    if match is None or match.group(1).upper() in ("LOCAL", "LIST"):
        if match is not None and match.group(1).upper() == "LIST":
            raise InputError(str(path), expected="one file with the numbers", found="a list of files")
        return path
    name = match.group(1)
    if not name.isprintable() or len(name) > 255:
        raise InputError(str(path), expected="its numbers in a file beside it", found=f"{name!r:.80}")
    neighbour = path.parent / name
    if neighbour.resolve().parent != path.parent.resolve() or "%" in name:
        raise InputError(str(path), expected="its numbers in a file beside it", found=name)
    if not neighbour.is_file():
        raise InputError(str(path), expected=f"its numbers in {name} beside it", found="no such file")
    return neighbour


def _check_spacing(path: Path) -> None:
    """Raise InputError for spacings that ITK would silently make positive."""
    match = re.search(r"^\s*(?:ElementSpacing\s*=|spacings:)(.*)$", _head(path), re.IGNORECASE | re.MULTILINE)
    words = match.group(1).split() if match else []
    if any(re.fullmatch(r"-.*|[+]?0*[.]?0*(e.*)?|nan|inf", word, re.IGNORECASE) for word in words):
        raise InputError(str(path), expected="positive voxel spacings", found=" ".join(words))


def _check_stored(path: Path, data: Path, shape: tuple[int, ...], pixel: int, itk: Any) -> None:
    """Raise InputError for a file too short for its image: ITK would fill the rest with uninitialised memory."""
    head = _head(path).lower()
    compressed = bool(re.search(r"compresseddata\s*=\s*true|encoding:\s*(gz|gzip|bz2|bzip2|txt|text|ascii|hex)", head))
    binary = not re.search(r"binarydata\s*=\s*false", head)
    if binary and not compressed:
        check_array(str(path), shape, itk.GetArrayViewFromImage(itk.Image(1, 1, 1, pixel)).dtype, stored=data.stat().st_size)


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(1 << 16).decode("latin-1")
