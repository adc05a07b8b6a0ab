"""Compressed streams: read to their end, where their checksums are, in bounded memory."""

from __future__ import annotations

import bz2
import contextlib
import lzma
import zlib
from pathlib import Path
from typing import IO, Any

from benchmark.errors import InputError

CHUNK = 1 << 20
MOST_GROWTH = 1032  # of deflated bytes
DEFLATE, LZMA = (8, 32946, 50013), (34925,)  # compressions of TIFF
MOST_AFTER = 64 << 20  # [bytes] unpacked beyond what a header announces


def read_to_end(where: str, stream: Any) -> None:
    """Read a stream on to its end, so that its checksum is compared. Raise InputError for far more than the header announces."""
    left = MOST_AFTER
    while content := stream.read(CHUNK):
        left -= len(content)
        if left < 0:
            raise InputError(where, expected="nothing behind the voxels", found=f"more than {MOST_AFTER >> 20} MiB")


def check_growth(where: str, size: int, stored: int) -> None:
    """Raise InputError if `stored` deflated bytes of a file cannot give the `size` bytes that its header announces."""
    if size > stored * MOST_GROWTH:
        raise InputError(
            where, expected=f"{size} bytes of compressed numbers", found=f"a file of {stored} bytes", fix="The file is cut off."
        )


def check_deflate(where: str, file: IO[bytes], most: int) -> None:
    """Raise InputError if the deflated rest of a file gives more than `most` bytes (and MOST_AFTER); damage is left to the reader."""
    unpack, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
    with contextlib.suppress(zlib.error):
        content = file.read(CHUNK)
        while content and not unpack.eof:
            total += len(unpack.decompress(content, CHUNK))
            if total > most + MOST_AFTER:
                raise InputError(where, expected=f"at most {most + MOST_AFTER >> 20} MiB when unpacked", found="far more")
            content = unpack.unconsumed_tail or file.read(CHUNK)


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
                while kind == "bzip2" and not unpack.needs_input and not unpack.eof and total <= size + MOST_AFTER:
                    total += len(unpack.decompress(b"", CHUNK))
                if total > size + MOST_AFTER:
                    raise InputError(where, expected=f"{size} bytes of numbers", found="far more when unpacked")
                content = (b"" if kind == "bzip2" else unpack.unconsumed_tail) or file.read(CHUNK)
    except (zlib.error, OSError, EOFError, ValueError) as error:
        raise InputError(where, expected="undamaged compressed numbers", found=str(error)[:200]) from error
    if not unpack.eof or total < size:
        raise InputError(where, expected=f"{size} bytes of compressed numbers, whole", found=f"{total} bytes, then the end")


def check_tiff_page(where: str, page: Any) -> None:
    """Raise InputError if a piece of a TIFF page (a tifffile.TiffPage) unpacks to far more than the page announces, or the file is too
    short for a page that is not packed.
    """
    most = page.nbytes + MOST_AFTER
    kind = int(page.compression)
    if kind == 1 and page.nbytes > page.parent.filehandle.size:
        raise InputError(where, expected=f"{page.nbytes} bytes of pixels", found=f"a file of {page.parent.filehandle.size} bytes")
    if kind not in (*DEFLATE, *LZMA):
        return
    for start, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if kind in DEFLATE and count * MOST_GROWTH <= most:
            continue
        unpack: Any = zlib.decompressobj() if kind in DEFLATE else lzma.LZMADecompressor()
        page.parent.filehandle.seek(start)
        content, total = page.parent.filehandle.read(count), 0
        while content and not unpack.eof and total <= most:
            total += len(unpack.decompress(content, CHUNK))
            content = unpack.unconsumed_tail if kind in DEFLATE else b""
            while kind in LZMA and not unpack.needs_input and not unpack.eof and total <= most:
                total += len(unpack.decompress(b"", CHUNK))
        if total > most:
            raise InputError(where, expected=f"{page.nbytes} bytes of pixels", found="far more when unpacked")
