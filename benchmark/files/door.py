"""Open any file or folder of images by its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.errors import InputError
from benchmark.files import arrays, dicom, dicom_views, images, medical, pictures, zeiss
from benchmark.files.series import is_pattern
from benchmark.files.stack import Stack
from benchmark.files.table import read_table

SINGLE = (".npz", *images.KINDS, *medical.NIFTI, *zeiss.ZEISS)
KNOWN = "npy, npz, tif, png, bmp, nii, nii.gz, nrrd, nhdr, mha, mhd, his, edf, txrm, DICOM, or a folder of numbered images"


def kind(path: Path) -> str:
    """Return the suffix that identifies a file's format ('.nii.gz', '.npy', ...); '' for unknown formats."""
    name = path.name.lower()
    return next((ending for ending in sorted(SINGLE, key=len, reverse=True) if name.endswith(ending)), "")


def open_stack(path: Path, key: str | None = None, *, ordered: bool = True) -> Stack:
    """Open the images in a file, in a folder of numbered images, or matching a pattern such as `images/view*.tif`.

    Axes keep their order in the file, the fastest last: [z, y, x] for a medical image whose file counts x, y, z. `key` names an
    array of an .npz file; `ordered=False` takes the images of a folder in any order, for a mean. Raise InputError, naming the
    file, if it is missing, damaged or not numeric.
    """
    if is_pattern(path):
        return images.image_stack(images.image_folder(path.parent, path.name, ordered=ordered))
    if path.is_dir():
        return images.image_stack(images.image_folder(path, ordered=ordered))
    if not path.is_file():
        raise InputError(str(path), expected="a file or folder", found="none")
    try:
        return _open_file(path, key)
    except OSError as error:
        raise InputError(str(path), expected="a file that can be read", found=error.strerror or str(error)) from error


def read_rows(path: Path, rows: int | None = None, columns: int | None = None, name: str = "", unit: str = "") -> np.ndarray:
    """Read a table of numbers (angles, vectors): .npy, or text as `table.read_table` reads it. float64, up to 3 axes.

    `rows`, `columns`, `name` (a pattern for the header of a single column) and `unit` are what is expected of a text. One column has one
    axis.
    """
    if not path.is_file():
        raise InputError(str(path), expected="a file", found="none")
    if kind(path) == ".npy":
        table = np.asarray(arrays.read_npy(path), dtype=np.float64)
    else:
        table = read_table(path, rows, columns, name, unit)
    if table.size == 0 or table.ndim > 3 or not np.isfinite(table).all():
        raise InputError(str(path), expected="finite numbers", found="none" if table.size == 0 else "NaN, Inf or too many axes")
    return table[:, 0] if table.ndim == 2 and table.shape[1] == 1 else table


def _open_file(path: Path, key: str | None) -> Stack:
    ending = kind(path)
    if ending == ".npy":
        return Stack.of(str(path), arrays.read_npy(path))
    if ending == ".npz":
        return Stack.of(str(path), arrays.read_npz(path, key))
    if ending in images.TIFF:
        return images.tiff_pages(path)
    if ending in (*pictures.PILLOW, *pictures.HIS, *pictures.EDF):
        return images.image_stack([path])
    if ending in zeiss.ZEISS:
        return zeiss.zeiss_stack(path)
    if ending in medical.NIFTI:
        image = medical.read_nifti(path)
    elif ending in medical.ITK:
        image = medical.read_itk(path)
    elif dicom.is_dicom(path):
        return dicom_views.frames(path)
    elif path.suffix.lower() in pictures.LOSSY:
        raise images.lossy_image(path)
    else:
        raise InputError(str(path), expected=f"one of {KNOWN}", found=f"'{path.name}'", fix="Describe raw numbers with `raw:`.")
    return Stack.of(str(path), image.values, image.spacing)
