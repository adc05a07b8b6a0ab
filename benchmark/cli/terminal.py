"""The standard streams of a command: they outlive their readers, and say in ASCII what their encoding cannot say."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
from typing import Any

from benchmark.storage.visible import visible

PLAIN = {"±": "+/-", "×": "x", "µ": "u", "μ": "u", "°": " deg", "–": "-", "—": "-", "…": "...", "→": "->", "≤": "<=", "≥": ">="}
READER_GONE = "reader gone"  # as in `... | head`


class _Lasting(io.RawIOBase):
    """A stream whose reader may go away or whose disk may fill up: `error` says why, the rest is dropped and the work goes on."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self.descriptor = descriptor
        self.error: OSError | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.descriptor

    def isatty(self) -> bool:
        return os.isatty(self.descriptor)

    def write(self, content: Any) -> int | None:
        try:
            return os.write(self.descriptor, content) if self.error is None else len(content)
        except BlockingIOError:
            return None
        except OSError as error:
            self.error = error
            return len(content)


def prepare_streams() -> None:
    """Open streams that are closed, let both degrade what they cannot encode, and figures need no display.

    MPLBACKEND may name a notebook's backend.
    """
    for descriptor in (0, 1, 2):  # else the next file that is opened would be the standard output
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    codecs.register_error("seed-plain", _plain)
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        ours = stream is not None and stream is getattr(sys, f"__{name}__") and _descriptor(stream) == descriptor
        if stream is None or (ours and os.name != "nt"):  # a console of Windows takes no bytes
            encoding = getattr(stream, "encoding", None) or "utf-8"
            buffer = io.BufferedWriter(_Lasting(descriptor))
            line_wise = name == "stderr" or os.isatty(descriptor)
            setattr(sys, name, io.TextIOWrapper(buffer, encoding, "seed-plain", line_buffering=line_wise, write_through=name == "stderr"))
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="seed-plain")
    os.environ["MPLBACKEND"] = "agg"


def lost_output() -> str:
    """Flush the standard output; return why part of it could not be written, 'reader gone' for a closed pipe, '' if all was."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    error = raw.error if isinstance(raw, _Lasting) else None
    if error is None:
        return ""
    return READER_GONE if error.errno == errno.EPIPE else error.strerror or str(error)


def _descriptor(stream: Any) -> int:
    try:
        return int(stream.fileno())
    except (OSError, ValueError, AttributeError):
        return -1


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = error.object[error.start : error.end]
    return "".join(PLAIN.get(letter, "?") if visible(letter) == letter else visible(letter) for letter in letters), error.end
