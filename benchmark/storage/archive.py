"""Read .npz files to their last byte, where zip's checksums are: NumPy compares none of an array that its header cuts short."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

Arrays = dict[str, np.ndarray]
END, COUNT = 22, slice(10, 12)  # [bytes] of the record at the end of a zip file, and in it the number of members


def read_archive(path: Path, most_bytes: int | None = None) -> Arrays:
    """Return all arrays of an .npz file, by name.

    Raise OSError for a file that cannot be opened, ValueError for a damaged one and for arrays of more than `most_bytes` together.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as content:
            check_members(content)
            file.seek(-END, 2)
            if int.from_bytes(file.read(END)[COUNT], "little") != len(content.infolist()):
                raise ValueError("an array is missing")
            size = sum(item.file_size for item in content.infolist())  # no stream gives more
            if most_bytes is not None and size > most_bytes:
                raise ValueError(f"arrays of {size / 2**30:.1f} GiB, which are too large for this machine")
            return {name.removesuffix(".npy"): _read(content, name) for name in content.namelist()}
    except (OSError, ValueError):
        raise
    except Exception as error:  # each decompressor has its own exceptions
        raise ValueError(" ".join(str(error).split())[:200] or type(error).__name__) from error


def check_members(content: zipfile.ZipFile) -> None:
    """Raise ValueError for other compressions than NumPy's own: a few bytes of those unpack to gigabytes in one step."""
    for item in content.infolist():
        if item.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{item.filename[:80]} is compressed in a way that NumPy does not use")


def _read(content: zipfile.ZipFile, name: str) -> np.ndarray:
    with content.open(name) as stream:
        array = np.asarray(np.lib.format.read_array(stream, allow_pickle=False))
        if stream.read(1):
            raise ValueError(f"{name} holds more numbers than its header says")
    return array
