"""Read NIfTI, NRRD and MetaImage: values with the position of each voxel."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError, MissingDependency, one_line
from benchmark.files.compressed import check_growth, read_to_end
from benchmark.files.itk_header import Header
from benchmark.files.limits import check_array
from benchmark.storage import mapped

SHORTEST = 1e-9  # [mm] spacing; shorter ones, and longer than its reciprocal, are no lengths of a scan
MOST_HEADER = 16 << 20  # [bytes] before the voxels of a NIfTI file, extensions included
XYZT_UNITS = {0: None, 1: ("meters", 1000.0), 2: None, 3: ("micrometers", 0.001)}  # NIfTI-1: name and mm; none is mm
NIFTI, ITK = (".nii", ".nii.gz"), (".nrrd", ".nhdr", ".mha", ".mhd")


@dataclasses.dataclass(frozen=True, eq=False)
class Image:
    """A volume with its position in space.

    values: [k, j, i], i fastest in the file. axes: [3, 3], column n is the step along index i, j, k (in this order) in x, y, z
    [mm]; x to the patient's right, y to the front, z to the head (RAS, as in NIfTI). origin: centre of voxel (0, 0, 0) [mm].
    note: conversions made (', ...'). stated: False if the header holds only defaults. frame: DICOM's frame of reference.
    oriented: False if the header says nothing about directions; ITK's defaults then stand in `axes`.
    """

    values: np.ndarray
    axes: np.ndarray
    origin: np.ndarray
    note: str = ""
    stated: bool = True
    frame: str = ""
    oriented: bool = True

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel spacing along k, j, i [mm]."""
        i, j, k = np.linalg.norm(self.axes, axis=0)
        return (float(k), float(j), float(i))


def read_nifti(path: Path) -> Image:
    """Read a NIfTI-1 or -2 file, its slope, intercept and unit of length applied. Raise InputError for anything else."""
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    broken = (ImageFileError, HeaderDataError, WrapStructError, OSError, EOFError, ValueError, TypeError, OverflowError, zlib.error)
    try:
        _check_header(path)
        with _nifti(path) as (image, packed):
            dtype = np.dtype(image.header.get_data_dtype())
            plain = None if packed else path.stat().st_size - int(image.header["vox_offset"])
            check_array(str(path), image.shape, dtype, stored=plain)
            if image.header.get_slope_inter() not in ((None, None), (1.0, 0.0)):
                check_array(str(path), image.shape, np.dtype(np.float64))  # rescaled, hence in memory
            values = np.asanyarray(image.dataobj) if packed is None else _unpacked(path, image, dtype)
            if packed:
                read_to_end(str(path), packed)
            affine = np.asarray(image.affine, dtype=np.float64)
            header = image.header
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(str(path), expected="a file", found="none") from None
    except broken as error:
        raise InputError(str(path), expected="a NIfTI image", found=one_line(error)) from error
    shape = tuple(length for axis, length in enumerate(values.shape) if axis < 3 or length > 1)
    if len(shape) != 3:
        raise InputError(str(path), expected="three axes", found=f"shape {values.shape}")
    stated = bool(header["sform_code"] or header["qform_code"]) and not np.array_equal(affine, np.eye(4))
    unit, note = _unit(path, int(header["xyzt_units"]))
    return _image(path, values.reshape(shape).transpose(2, 1, 0), affine[:3, :3] * unit, affine[:3, 3] * unit, note, stated)


@contextlib.contextmanager
def _nifti(path: Path) -> Iterator[tuple[Any, Any]]:
    """Open a NIfTI image: mapped from a plain file, or with the stream that unpacks it, so that its checksum can be read too."""
    import nibabel
    from nibabel.openers import ImageOpener

    if path.suffix.lower() == ".nii":
        yield nibabel.load(path, mmap="r"), None
        return
    with ImageOpener(str(path)) as stream:
        size = int.from_bytes(stream.read(4), "little")
        stream.seek(0)
        kind: Any = nibabel.Nifti2Image if 540 in (size, int.from_bytes(size.to_bytes(4, "big"), "little")) else nibabel.Nifti1Image
        holder: Any = nibabel.FileHolder(fileobj=stream)  # type: ignore[arg-type]
        yield kind.from_file_map({"header": holder, "image": holder}, mmap=False), stream


def _unpacked(path: Path, image: Any, dtype: np.dtype) -> np.ndarray:
    """Return the voxels [x, y, z] of a packed image; a large one is unpacked into a file, piece by piece."""
    check_growth(str(path), math.prod(image.shape) * dtype.itemsize, path.stat().st_size)
    first = np.asanyarray(image.dataobj[(slice(0, 1),) * len(image.shape)])
    size = math.prod(image.shape) * first.dtype.itemsize
    if size <= mapped.WHOLE:
        return np.asanyarray(image.dataobj)

    def write(array: np.ndarray) -> None:
        for part in mapped.pieces(array):
            array[part] = np.asanyarray(image.dataobj[..., part]).T

    return mapped.filled(image.shape[::-1], write, first.dtype).T


def _unit(path: Path, code: int) -> tuple[float, str]:
    """Return mm per unit of length and a note. Raise InputError for a code that is no length."""
    if code & 7 not in XYZT_UNITS:
        raise InputError(f"{path}: xyzt_units", expected="mm, micron or meter", found=f"code {code & 7}")
    found = XYZT_UNITS[code & 7]
    return (1.0, "") if found is None else (found[1], f", lengths in {found[0]} as its header says")


def _check_header(path: Path) -> None:
    """Raise InputError for spacings that nibabel would silently make positive, and for more header than memory is for."""
    import nibabel
    from nibabel.openers import ImageOpener

    with ImageOpener(str(path)) as file:
        block = file.read(nibabel.Nifti2Header.sizeof_hdr)
    second = block[:4] in ((540).to_bytes(4, "little"), (540).to_bytes(4, "big"))
    kind = nibabel.Nifti2Header if second else nibabel.Nifti1Header
    header = kind(block[: kind.sizeof_hdr], check=False)
    spacing = np.asarray(header["pixdim"][1:4])
    if not (spacing > 0).all():
        raise InputError(str(path), expected="positive voxel spacings (pixdim)", found=f"{spacing.tolist()}")
    start = float(header["vox_offset"])
    if not header.sizeof_hdr <= start <= MOST_HEADER:
        expected = f"voxels behind the header, within the first {MOST_HEADER >> 20} MiB (vox_offset)"
        raise InputError(str(path), expected=expected, found=f"{start:g}")
    _check_extensions(path, header, int(start))


def _check_extensions(path: Path, header: Any, end: int) -> None:
    """Raise InputError for extensions that reach beyond the voxels' begin, byte `end`: nibabel reads any length that one states."""
    from nibabel.openers import ImageOpener

    with ImageOpener(str(path)) as file:
        content = file.read(end).ljust(end, b"\0")
    place, order = header.sizeof_hdr + 4, "little" if header.endianness == "<" else "big"
    if content[header.sizeof_hdr] == 0:
        return
    while end - place >= 16:
        size = int.from_bytes(content[place : place + 4], order, signed=True)  # type: ignore[arg-type]
        if not 8 <= size <= end - place:
            raise InputError(str(path), expected=f"header extensions of 8 to {end - place} bytes", found=f"{size}")
        place += size


def read_itk(path: Path) -> Image:
    """Read an NRRD or MetaImage file through SimpleITK. Raise InputError for anything else, MissingDependency without SimpleITK."""
    itk = simple_itk()
    shape, _, reader = itk_header(path)
    if len(shape) != 3:
        raise InputError(str(path), expected="three axes and one number per voxel", found=f"shape {shape}")
    with _itk_errors(path):
        image = reader.Execute()
    directions = np.array(image.GetDirection()).reshape(3, 3)
    axes = directions * np.array(image.GetSpacing())  # columns: steps along i, j, k in x, y, z of LPS
    origin = np.array(image.GetOrigin())
    stated = not (np.array_equal(axes, np.eye(3)) and not origin.any())
    header = Header.read(path)
    along_space, along_index, note = header.units()
    oriented = bool(header.field("space directions", "TransformMatrix", "Orientation", "Rotation"))
    to_ras = np.array([-1.0, -1.0, 1.0]) * along_space
    found = _image(path, itk.GetArrayFromImage(image), to_ras[:, None] * axes * along_index, to_ras * origin, note, stated)
    return dataclasses.replace(found, oriented=oriented)


def itk_header(path: Path) -> tuple[tuple[int, ...], np.dtype, Any]:
    """Return shape (two or three axes, the fastest last), type and SimpleITK's reader of an NRRD or MetaImage file that is not read yet."""
    itk = simple_itk()
    if not path.is_file():
        raise InputError(str(path), expected="a file", found="none")
    header = Header.read(path)
    reader = itk.ImageFileReader()
    reader.SetFileName(str(path))
    with _itk_errors(path):
        reader.ReadImageInformation()
        shape = reader.GetSize()[::-1]
        if reader.GetNumberOfComponents() != 1 or len(shape) not in (2, 3):
            found = f"shape {shape} with {reader.GetNumberOfComponents()} numbers per voxel"
            raise InputError(str(path), expected="three axes and one number per voxel", found=found)
        dtype = itk.GetArrayViewFromImage(itk.Image(1, 1, 1, reader.GetPixelID())).dtype
        header.check_data(shape, dtype)
    return shape, dtype, reader


@contextlib.contextmanager
def _itk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1][:200]
        raise InputError(str(path), expected="an NRRD or MetaImage file", found=reason) from error


def simple_itk() -> Any:
    """Return SimpleITK with its warnings off. Raise MissingDependency if it is not installed."""
    try:
        import SimpleITK
    except ImportError:
        raise MissingDependency("NRRD, MetaImage and DICOM need SimpleITK and pydicom (install: pip install 'seed-ct[medical]')") from None
    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    return SimpleITK


def _image(path: Path, values: np.ndarray, axes: np.ndarray, origin: np.ndarray, note: str, stated: bool) -> Image:
    lengths = np.linalg.norm(axes, axis=0)
    finite = np.isfinite(axes).all() and np.isfinite(origin).all() and lengths.min() > SHORTEST and lengths.max() < 1 / SHORTEST
    if not (finite and abs(np.linalg.det(axes / lengths)) > 1e-6):
        raise InputError(str(path), expected="three finite axes of positive spacing", found=f"{axes.tolist()}, origin {origin.tolist()}")
    return Image(values, axes, origin, note, stated)
