"""Compressed streams: read to their end, where their checksums are, in bounded memory."""

from __future__ import annotations

import bz2
import zlib
from pathlib import Path
from typing import Any

from benchmark.errors import InputError

CHUNK = 1 << 20
MOST_AFTER = 64 << 20  # [bytes] unpacked beyond what a header announces


def read_to_end(where: str, stream: Any) -> None:
    """Read a stream on to its end, so that its checksum is compared. Raise InputError for far more than the header announces."""
    left = MOST_AFTER
    while content := stream.read(CHUNK):
        left -= len(content)
        if left < 0:
            raise InputError(where, expected="nothing behind the voxels", found=f"more than {MOST_AFTER >> 20} MiB")


def check_packed(where: str, path: Path, start: int, kind: str, size: int) -> None:
    """Unpack the rest of a file from byte `start`, keeping nothing. `kind` is 'zlib' (or gzip, found by itself) or 'bzip2'.

    Raise InputError unless that gives at least `size` bytes (and not far more), ends properly and has the right checksum.
    """
    unpack: Any = bz2.BZ2Decompressor() if kind == "bzip2" else zlib.decompressobj(zlib.MAX_WBITS | 32)
    total = 0
    try:
        with path.open("rb") as file:
            file.seek(start)
            content = file.read(CHUNK)
            while content and not unpack.eof:
                total += len(unpack.decompress(content, CHUNK))
                if total > size + MOST_AFTER:
                    raise InputError(where, expected=f"{size} bytes of numbers", found="far more when unpacked")
                content = b"" if kind == "bzip2" else unpack.unconsumed_tail
                while kind == "bzip2" and not unpack.needs_input and not unpack.eof and total <= size + MOST_AFTER:
                    total += len(unpack.decompress(b"", CHUNK))
                content = content or file.read(CHUNK)
    except (zlib.error, OSError, EOFError, ValueError) as error:
        raise InputError(where, expected="undamaged compressed numbers", found=str(error)[:200]) from error
    if not unpack.eof or total < size:
        raise InputError(where, expected=f"{size} bytes of compressed numbers, whole", found=f"{total} bytes, then the end")
