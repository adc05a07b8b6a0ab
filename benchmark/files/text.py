"""Read the text files that other programs write: any of the usual encodings, any line ends."""

from __future__ import annotations

import codecs
from pathlib import Path

from benchmark.errors import InputError

MOST = 16 << 20  # [bytes] of a text file
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def read_text(path: Path, most: int | None = None) -> str:
    """Return the text of a file in UTF-8, UTF-16 or Latin-1, with or without a byte-order mark, with line ends `\\n`.

    `most` reads only so many bytes, for a header before binary data (NUL bytes are then allowed). Raise InputError for a missing file,
    one of more than 16 MiB, and one that is no text.
    """
    if not path.is_file():
        raise InputError(str(path), expected="a text file", found="none")
    size = path.stat().st_size
    if most is None and size > MOST:
        raise InputError(str(path), expected=f"a text of at most {MOST >> 20} MiB", found=f"{size >> 20} MiB")
    try:
        with path.open("rb") as file:
            content = file.read(MOST if most is None else most)
    except OSError as error:
        raise InputError(str(path), expected="a file that can be read", found=error.strerror or str(error)) from error
    if most is not None:
        return content.decode("latin-1").replace("\r\n", "\n")
    text = _decoded(content)
    if "\0" in text:
        raise InputError(str(path), expected="text", found="binary numbers")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _decoded(content: bytes) -> str:
    encodings = [name for mark, name in _MARKS if content.startswith(mark)]
    if not encodings and content[1:2] == b"\0":
        encodings = ["utf-16-le"]
    elif not encodings and content[:1] == b"\0":
        encodings = ["utf-16-be"]
    for encoding in (*encodings, "utf-8"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1")
