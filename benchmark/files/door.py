"""Open any file or folder of images by its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.errors import InputError
from benchmark.files import arrays, images, medical, zeiss
from benchmark.files.stack import Stack

SINGLE = (".npy", ".npz", *images.TIFF, *images.PNG, *medical.NIFTI, *medical.ITK, *zeiss.ZEISS)
KNOWN = "npy, npz, tif, png, nii, nii.gz, nrrd, nhdr, mha, mhd, txrm, or a folder of numbered images"


def kind(path: Path) -> str:
    """Return the suffix that identifies a file's format ('.nii.gz', '.npy', ...); '' for unknown formats."""
    name = path.name.lower()
    return next((ending for ending in sorted(SINGLE, key=len, reverse=True) if name.endswith(ending)), "")


def open_stack(path: Path, key: str | None = None) -> Stack:
    """Open the images in a file, in a folder of numbered images, or matching a pattern such as `images/view*.tif`.

    Axes keep their order in the file, the fastest last: [z, y, x] for a medical image whose file counts x, y, z. `key` names an
    array of an .npz file. Raise InputError, naming the file, if it is missing, damaged or not numeric.
    """
    if "*" in path.name:
        return images.image_stack(images.image_folder(path.parent, path.name))
    if path.is_dir():
        return images.image_stack(images.image_folder(path))
    if not path.is_file():
        raise InputError(str(path), expected="a file or folder", found="none")
    try:
        return _open_file(path, key)
    except OSError as error:
        raise InputError(str(path), expected="a file that can be read", found=error.strerror or str(error)) from error


def read_rows(path: Path) -> np.ndarray:
    """Read a table of numbers (angles, vectors): .npy, or text separated by spaces or commas. float64, up to 3 axes."""
    if not path.is_file():
        raise InputError(str(path), expected="a file", found="none")
    if kind(path) == ".npy":
        table = np.asarray(arrays.read_npy(path), dtype=np.float64)
    else:
        if path.stat().st_size > 64 << 20:
            raise InputError(str(path), expected="a text file with numbers", found=f"{path.stat().st_size} bytes")
        try:
            lines = [line.split("#")[0].replace(",", " ").split() for line in path.read_text().splitlines()]
            table = np.array([[float(word) for word in line] for line in lines if line])
        except (ValueError, UnicodeDecodeError) as error:
            raise InputError(str(path), expected="lines with equal counts of numbers", found=str(error)[:200]) from None
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
    if ending in images.PNG:
        return images.image_stack([path])
    if ending in zeiss.ZEISS:
        return zeiss.zeiss_stack(path)
    if ending in medical.NIFTI:
        image = medical.read_nifti(path)
    elif ending in medical.ITK:
        image = medical.read_itk(path)
    else:
        raise InputError(str(path), expected=f"one of {KNOWN}", found=f"'{path.name}'", fix="Describe raw numbers with `raw:`.")
    return Stack.of(str(path), image.values, image.spacing)
