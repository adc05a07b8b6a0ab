"""Read images: one file per view in any format of single images, or one TIFF with many pages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmark.errors import InputError, note
from benchmark.files import dicom_views, pictures
from benchmark.files.compressed import check_tiff_page
from benchmark.files.limits import check_array, check_image
from benchmark.files.pictures import readable
from benchmark.files.series import SHOWN, in_order, series
from benchmark.files.stack import Stack
from benchmark.files.tiff_chain import check_chain

TIFF, PNG = pictures.TIFF, pictures.PILLOW
KINDS = tuple(pictures.FORMATS)  # endings of files that hold an image


def image_folder(folder: Path, pattern: str = "*", *, ordered: bool = True) -> list[Path]:
    """Return the images of a folder in the order of the number in their names; DICOM files by what their headers count.

    Files that do not belong to the series are named in a note. `ordered=False` returns all images, for a mean. Raise InputError for no
    images, for several series, for a gap in the numbers, and for names that allow two orders.
    """
    where = str(folder / pattern) if pattern != "*" else str(folder)
    named = [path for path in folder.glob(pattern) if not path.name.startswith(".") and path.is_file()]
    files = [path for path in named if path.suffix.lower() in KINDS]
    others = in_order([path for path in named if path.suffix.lower() not in KINDS])
    exchanged = dicom_views.dicom_files(others)
    _check_majority(where, max(len(files), len(exchanged)), [path for path in others if path not in set(exchanged)])
    if files and exchanged:
        most, fewest = sorted((files, exchanged), key=len, reverse=True)
        if len(most) < 2 * len(fewest):
            found = f"{len(files)} {files[0].suffix} and {len(exchanged)} DICOM files"
            raise InputError(where, expected="images of one kind", found=found, fix="Give a pattern: projections.file: folder/*.dcm.")
        note(f"{where}: {len(most)} files like {most[0].name} are used; left out: {', '.join(path.name for path in fewest[:SHOWN])} ...")
        files, exchanged = (most, []) if most is files else ([], most)
    if exchanged:
        return dicom_views.in_order_of_exposure(where, exchanged)
    if not files:
        raise InputError(where, expected=f"numbered images ({', '.join(kind[1:] for kind in KINDS)} or DICOM)", found="none")
    return series(where, files) if ordered else in_order(files)


def _check_majority(where: str, count: int, others: list[Path]) -> None:
    """Raise InputError if a folder holds more files of an unknown kind than images: then those may be the views."""
    kinds = Counter(path.suffix.lower() for path in others)
    for ending, number in kinds.most_common(1):
        if number > count and (ending in pictures.LOSSY or count):
            first = next(path for path in others if path.suffix.lower() == ending)
            if ending in pictures.LOSSY:
                raise lossy_image(first)
            fix = "If they are raw numbers describe them (projections.raw), else give a pattern that fits only the images."
            raise InputError(where, expected="images for the most part", found=f"{count} beside {number} like {first.name}", fix=fix)


def image_stack(files: Sequence[Path]) -> Stack:
    """Return a stack of one image per file, all with the shape and type of the first, each read on demand."""
    first = files[0]
    if first.suffix.lower() not in KINDS:
        return dicom_views.one_per_file(files)
    header = pictures.read_header(first)
    if header.frames > 1 and len(files) > 1:
        found = f"{header.frames} in each of {len(files)} files"
        fix = "Average or split them first: it is not known whether they are views or repetitions."
        raise InputError(str(first), expected="one image in each file", found=found, fix=fix)

    def page(index: int) -> np.ndarray:
        if len(files) == 1:
            return pictures.read_frame(first, index)
        found = pictures.read_header(files[index])
        if found != header:
            expected = f"shape {header.shape} and type {header.dtype} as in {first.name}"
            pages = f", {found.frames} images" * (found.frames > 1)
            raise InputError(str(files[index]), expected=expected, found=f"{found.shape}, {found.dtype}{pages}")
        return pictures.read_frame(files[index])

    return Stack(
        str(first.parent),
        (max(len(files), header.frames), *header.shape),
        header.dtype,
        page,
        names=tuple(path.name for path in files) if len(files) > 1 else (),
    )


def tiff_pages(path: Path) -> Stack:
    """Open a TIFF file with many pages (or one page with three axes)."""
    import tifffile

    with readable(path):
        check_chain(path)
    with readable(path), tifffile.TiffFile(path) as file:
        series = file.series[0]
        shape = tuple(length for length in series.shape if length > 1 or len(series.shape) <= 3)
        dtype = np.dtype(series.dtype)
        if len(shape) != 3:
            raise InputError(str(path), expected="three axes: grey pages of one shape", found=f"shape {series.shape}")
        if series.dataoffset is not None:  # not compressed and in one piece
            check_array(str(path), shape, dtype, stored=path.stat().st_size - series.dataoffset)
            return Stack.of(str(path), tifffile.memmap(path, mode="r").reshape(shape))
        if len(file.pages) == shape[0] and len(file.series) == 1:
            check_image(str(path), shape[1:], dtype)
            return Stack(str(path), shape, dtype, lambda index: _page(path, index, shape[1:]))
        check_array(str(path), shape, dtype)
        for page in series.pages:
            check_tiff_page(str(path), page)
        return Stack.of(str(path), series.asarray().reshape(shape))


def page_count(path: Path) -> int:
    """Return the number of images in a file."""
    return pictures.read_header(path).frames


def lossy_image(path: Path) -> InputError:
    """Return the error for a JPEG."""
    fix = "Use the scanner's own files, or export TIFF: compression and display gamma have changed a JPEG's numbers."
    return InputError(str(path), expected="images without loss", found="a JPEG", fix=fix)


def _page(path: Path, index: int, shape: tuple[int, ...]) -> np.ndarray:
    found = pictures.read_frame(path, index)
    if found.shape != shape:
        raise InputError(str(path), expected=f"pages of {shape}, as the first one", found=f"{found.shape} on page {index}")
    return found
