"""Read one image file: its header without its pixels, and its pixels, for every format of single images."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import re
import struct
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError, MissingDependency, one_line
from benchmark.files import arrays, medical, raw
from benchmark.files.compressed import check_packed, check_tiff_page
from benchmark.files.limits import NUMBERS, check_image
from benchmark.files.tiff_chain import check_chain

TIFF, PILLOW, HIS, EDF, NPY = (".tif", ".tiff"), (".png", ".bmp"), (".his",), (".edf",), (".npy",)
EDF_HEADER = 1 << 16  # [bytes] in which axes are looked for
LOSSY = (".jpg", ".jpeg")
HIS_BEGIN, HIS_TYPES = b"\x00\x70\x44\x00", {4: "<u2", 32: "<u4"}  # file type 0x7000, 68 bytes of header
MOST_PREVIEWS = 3  # in a TIFF file
GREY = {"1": np.bool_, "I;16": np.uint16, "I;16B": np.uint16, "I": np.int32, "L": np.uint8}  # Pillow's modes


@dataclasses.dataclass(frozen=True)
class Header:
    """Images of a file: how many, [row, column] of each, and their type."""

    frames: int
    shape: tuple[int, int]
    dtype: np.dtype


def read_header(path: Path) -> Header:
    """Return the header of an image file. Raise InputError for anything but grey images."""
    with readable(path):
        frames, shape, dtype = _format(path)[0](path)
    if len(shape) != 2 or dtype.kind not in NUMBERS:
        raise InputError(str(path), expected="one grey image", found=f"shape {shape}" if dtype.kind in NUMBERS else "colours")
    check_image(str(path), shape, dtype)
    return Header(frames, (int(shape[0]), int(shape[1])), dtype)


def read_frame(path: Path, frame: int = 0) -> np.ndarray:
    """Return one image of a file [row, column]. Raise InputError for a damaged file."""
    with readable(path):
        return _format(path)[1](path, frame)


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn any error of a decoder into one InputError."""
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it also logs the errors it raises
    logging.getLogger("fabio").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about large images; the header is checked here
        try:
            yield
        except (InputError, FileNotFoundError, MissingDependency):
            raise
        except Exception as error:
            kind = path.suffix.lower().lstrip(".").upper().replace("TIFF", "TIF").replace("TIF", "TIFF")
            raise InputError(str(path), expected=f"an undamaged {kind} image", found=one_line(error)) from error


Shape = tuple[int, ...]
Read = tuple[Callable[[Path], tuple[int, Shape, np.dtype]], Callable[[Path, int], np.ndarray]]


def _format(path: Path) -> Read:
    ending = path.suffix.lower()
    found = FORMATS.get(ending)
    if found is None:
        raise InputError(str(path), expected=f"an image: {', '.join(sorted(ending[1:] for ending in FORMATS))}", found=f"'{path.name}'")
    return found


def _tiff_header(path: Path) -> tuple[int, Shape, np.dtype]:
    import tifffile

    check_chain(path)
    with tifffile.TiffFile(path) as file:
        page, count = file.pages[0], len(file.pages)
        if 1 < count <= MOST_PREVIEWS + 1:  # smaller pages are previews
            count = 1 + sum(file.pages[k].size >= page.size for k in range(1, count))
        return count, tuple(page.shape), np.dtype(page.dtype)


def _tiff_frame(path: Path, frame: int) -> np.ndarray:
    import tifffile

    with tifffile.TiffFile(path) as file:
        page = file.pages[frame]
        check_tiff_page(str(path), page)
        return page.asarray()


def _pillow_header(path: Path) -> tuple[int, Shape, np.dtype]:
    from PIL import Image

    with Image.open(path) as image:
        return 1, (image.height, image.width), np.dtype(GREY.get(image.mode, object))


def _pillow_frame(path: Path, frame: int) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image)


def _his_layout(path: Path) -> tuple[int, Shape, np.dtype, int]:
    """Return frames, shape, type and offset of a Heimann / Perkin-Elmer file (its header of 68 bytes, then one of the detector)."""
    with path.open("rb") as file:
        head = file.read(68)
    if len(head) < 68 or head[:4] != HIS_BEGIN:
        kind = "a file of Hamamatsu's format of this name" if head[:2] == b"IM" else f"one that begins with {head[:4].hex()}"
        raise InputError(str(path), expected="a Heimann / Perkin-Elmer file (00 70 44 00 ...)", found=kind, fix="Describe it with `raw:`.")
    more, left, upper, right, lower, frames = struct.unpack_from("<6H", head, 10)
    (number,) = struct.unpack_from("<H", head, 32)
    shape = (lower - upper + 1, right - left + 1)
    if min(shape) < 1 or frames < 1:
        raise InputError(str(path), expected="at least one image of positive size", found=f"{frames} of {shape}")
    if number not in HIS_TYPES:
        raise InputError(str(path), expected="numbers of type 4 (uint16) or 32 (uint32)", found=f"{number}", fix="Describe it with `raw:`.")
    return frames, shape, np.dtype(HIS_TYPES[number]), 68 + more


def _his_frame(path: Path, frame: int) -> np.ndarray:
    frames, shape, dtype, offset = _his_layout(path)
    return np.array(raw.read_raw(path, (frames, *shape), dtype.name, header_bytes=offset)[frame])


def _edf(path: Path) -> Any:
    """Open an EDF file of the ESRF through FabIO."""
    try:
        import fabio
    except ImportError:
        raise MissingDependency("EDF needs FabIO (install: pip install 'seed-ct[scanners]')") from None
    with path.open("rb") as file:
        axes = re.findall(rb"dim_(\d{2,})", file.read(EDF_HEADER), re.IGNORECASE)
    if axes:  # FabIO counts up to the highest
        raise InputError(str(path), expected="at most nine axes", found=f"Dim_{axes[0][:20].decode()}")
    return fabio.open(str(path))


def _edf_header(path: Path) -> tuple[int, Shape, np.dtype]:
    with _edf(path) as file:
        return file.nframes, tuple(file.shape), np.dtype(file.dtype)


def _edf_frame(path: Path, frame: int) -> np.ndarray:
    with _edf(path) as file:
        found = file.get_frame(frame)
        needed = int(np.prod(found.shape)) * np.dtype(found.dtype).itemsize
        stored = min(found.size, path.stat().st_size - found.start)
        if found.bfname is not None:
            raise InputError(str(path), expected="its numbers in the file itself", found=f"a name of another file: {found.bfname!r:.60}")
        if found.incomplete_data or (not file.header.get("COMPRESSION") and stored != needed):  # FabIO fills the rest with zeros
            raise InputError(str(path), expected=f"{needed} bytes of numbers", found=f"{stored} bytes")
        packed = str(file.header.get("COMPRESSION") or "").upper()
        if packed and not packed.startswith("NO"):
            check_packed(str(path), path, found.start, "bzip2" if "BZ" in packed else "zlib", needed)  # FabIO unpacks any amount
        return np.asarray(found.data)


def _npy_header(path: Path) -> tuple[int, Shape, np.dtype]:
    array = arrays.read_npy(path)
    return (array.shape[0], array.shape[1:], array.dtype) if array.ndim == 3 else (1, array.shape, array.dtype)


def _npy_frame(path: Path, frame: int) -> np.ndarray:
    array = arrays.read_npy(path)
    return np.array(array[frame] if array.ndim == 3 else array)


def _itk_header(path: Path) -> tuple[int, Shape, np.dtype]:
    shape, dtype, _ = medical.itk_header(path)
    return (shape[0], shape[1:], dtype) if len(shape) == 3 else (1, shape, dtype)


def _itk_frame(path: Path, frame: int) -> np.ndarray:
    itk = medical.simple_itk()
    _, _, reader = medical.itk_header(path)
    values = itk.GetArrayFromImage(reader.Execute())
    return values[frame] if values.ndim == 3 else values


FORMATS: dict[str, Read] = {
    **dict.fromkeys(TIFF, (_tiff_header, _tiff_frame)),
    **dict.fromkeys(PILLOW, (_pillow_header, _pillow_frame)),
    **dict.fromkeys(HIS, (lambda path: _his_layout(path)[:3], _his_frame)),
    **dict.fromkeys(EDF, (_edf_header, _edf_frame)),
    **dict.fromkeys(NPY, (_npy_header, _npy_frame)),
    **dict.fromkeys(medical.ITK, (_itk_header, _itk_frame)),
}
