"""Read Zeiss Xradia files (.txrm, .xrm): an OLE compound file with one stream per image and one per fact.

Facts: ImageInfo/ImageWidth, ImageHeight, NoOfImages (uint32) and DataType (5 = uint16, 10 = float32), all little-endian; image n, from 1,
is the stream ImageData<n over 100, rounded up>/Image<n>.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError, MissingDependency, one_line
from benchmark.files.limits import MOST_VIEWS, check_array
from benchmark.files.stack import Stack

ZEISS = (".txrm", ".xrm")
TYPES: dict[int, np.dtype] = {5: np.dtype("<u2"), 10: np.dtype("<f4")}


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a compound file. Raise InputError for anything else, MissingDependency without olefile."""
    try:
        import olefile
    except ImportError:
        raise MissingDependency(f"{path.name} needs olefile (install: pip install 'seed-ct[scanners]')") from None
    if not path.is_file():
        raise InputError(str(path), expected="a file", found="none")
    try:
        with olefile.OleFileIO(path) as file:
            yield file
    except (InputError, MissingDependency):
        raise
    except Exception as error:  # olefile raises many kinds for damaged files
        raise InputError(str(path), expected="an undamaged Zeiss file", found=one_line(error)) from error


def read_zeiss(path: Path, stream: str, dtype: str, count: int = 1) -> np.ndarray | None:
    """Return the first `count` numbers of a stream such as 'ImageInfo/Angles' in a .txrm file; None if there is no such stream.

    `dtype` is NumPy's name of their type, such as '<f4'. Raise InputError for a damaged file and for a stream that is too short,
    MissingDependency without olefile.
    """
    with opened(path) as file:
        return _numbers(path, file, stream, dtype, count)


def zeiss_stack(path: Path) -> Stack:
    """Open the images of a .txrm or .xrm file, each read on demand; rows as stored."""
    with opened(path) as file:
        width, height, images, kind = (
            int(_fact(path, file, f"ImageInfo/{name}")) for name in ("ImageWidth", "ImageHeight", "NoOfImages", "DataType")
        )
        if kind not in TYPES:
            raise InputError(f"{path}: DataType", expected="5 (uint16) or 10 (float32)", found=f"{kind}")
        if images > MOST_VIEWS:
            raise InputError(f"{path}: NoOfImages", expected=f"at most {MOST_VIEWS}", found=f"{images}")
        check_array(str(path), (images, height, width), TYPES[kind], stored=path.stat().st_size)
    return Stack(str(path), (images, height, width), TYPES[kind], lambda index: _image(path, index, height, width, TYPES[kind]))


def reference_image(path: Path) -> np.ndarray | None:
    """Return the image without an object that the file holds, float32 [v, u], None if it has none."""
    shape = zeiss_stack(path).shape[1:]
    with opened(path) as file:
        if not file.exists("ReferenceData/Image"):
            return None
        kind = int(_fact(path, file, "ReferenceData/DataType"))
        if kind not in TYPES:
            raise InputError(f"{path}: ReferenceData/DataType", expected="5 or 10", found=f"{kind}")
        found = _numbers(path, file, "ReferenceData/Image", TYPES[kind].str, shape[0] * shape[1])
    return None if found is None else found.reshape(shape).astype(np.float32)


def _image(path: Path, index: int, height: int, width: int, kind: np.dtype) -> np.ndarray:
    stream = f"ImageData{index // 100 + 1}/Image{index + 1}"
    with opened(path) as file:
        found = _numbers(path, file, stream, kind.str, height * width)
    if found is None:
        raise InputError(
            f"{path}: {stream}", expected=f"image {index + 1}", found="none", fix="The scan was interrupted or the file is cut."
        )
    return found.reshape(height, width)


def _fact(path: Path, file: Any, stream: str) -> int:
    found = _numbers(path, file, stream, "<u4", 1)
    if found is None:
        raise InputError(f"{path}: {stream}", expected="a number", found="none")
    return int(found[0])


def _numbers(path: Path, file: Any, stream: str, dtype: str, count: int) -> np.ndarray | None:
    if not file.exists(stream):
        return None
    needed = count * np.dtype(dtype).itemsize
    if file.get_size(stream) < needed:
        raise InputError(f"{path}: {stream}", expected=f"{needed} bytes", found=f"{file.get_size(stream)}")
    with file.openstream(stream) as data:
        content = data.read(needed)
    if len(content) < needed:
        raise InputError(f"{path}: {stream}", expected=f"{needed} bytes", found=f"{len(content)}", fix="The file is cut off.")
    return np.frombuffer(content, dtype, count)
