"""The standard streams of a command: what their encoding cannot say is said in ASCII, instead of ending the command."""

from __future__ import annotations

import codecs
import os
import sys

PLAIN = {"±": "+/-", "×": "x", "µ": "u", "μ": "u", "°": " deg", "–": "-", "—": "-", "…": "...", "→": "->", "≤": "<=", "≥": ">="}


def prepare_streams() -> None:
    """Let both streams degrade what they cannot encode, and figures need no display: MPLBACKEND may name a notebook's backend."""
    codecs.register_error("seed-plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="seed-plain")
    os.environ["MPLBACKEND"] = "agg"


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(letter, "?") for letter in error.object[error.start : error.end]), error.end
