"""Decode the text files that other programs write: UTF-8 with or without a byte order mark, UTF-16, UTF-32, any line ends."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from benchmark.errors import InputError

MARKS = (  # those of UTF-32 first: the mark of UTF-16 begins one of them
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
SAVE = "Save it as UTF-8."


def read_text(path: Path, *, most_bytes: int = 64 << 20, single_bytes: bool = False) -> str:
    """Return the text of a file without its byte order mark, lines ended by newlines (see `decoded`).

    Raise InputError for a missing or unreadable file, and for one of more than `most_bytes`.
    """
    try:
        size = path.stat().st_size
        if size > most_bytes:
            raise InputError(str(path), expected=f"a text of at most {most_bytes >> 20} MiB", found=f"{size} bytes")
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(str(path), expected="a file", found="none") from None
    except OSError as error:
        raise InputError(str(path), expected="a file that can be read", found=error.strerror or str(error)) from error
    return decoded(content, str(path), single_bytes=single_bytes)


def decoded(content: bytes, where: str, *, single_bytes: bool = False) -> str:
    """Return bytes as text, by their byte order mark, else as UTF-8 (or UTF-16 if every other byte is zero).

    `single_bytes` reads anything else as Latin-1, for tables and logs whose headers may hold a degree sign or a micro sign. Raise
    InputError, naming byte and line, for bytes that are no such text.
    """
    mark, encoding = next(((mark, name) for mark, name in MARKS if content.startswith(mark)), (b"", ""))
    content = content[len(mark) :]
    encoding = encoding or _without_mark(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        if single_bytes and encoding == "utf-8" and not mark:
            text = content.decode("latin-1")
        else:
            line = content[: error.start].decode(encoding, errors="replace").count("\n") + 1
            found = f"byte {content[error.start : error.start + 1].hex()} at position {error.start + len(mark)}"
            raise InputError(f"{where}: line {line}", expected=f"text in {encoding.upper()}", found=found, fix=SAVE) from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise InputError(
            f"{where}: line {line}", expected="text", found="a zero byte", fix="The file is binary, or text of an unknown kind."
        )
    return re.sub("\r\n?", "\n", text)


def _without_mark(content: bytes) -> str:
    """Return the encoding of text without a byte order mark: text in UTF-16 is mostly ASCII, with zeros between."""
    if len(content) >= 4 and len(content) % 2 == 0:
        for encoding, zeros, letters in (("utf-16-le", content[1::2], content[::2]), ("utf-16-be", content[::2], content[1::2])):
            if not any(zeros) and 0 not in letters:
                return encoding
    return "utf-8"
