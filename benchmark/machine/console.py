"""Console on the standard output."""

from __future__ import annotations

import os

from rich.console import Console


def open_console() -> Console:
    """Return the console on standard output; wide if it is not a terminal."""
    output = Console(highlight=False, emoji=False)  # else naf:tv becomes a television
    return output if output.is_terminal or "COLUMNS" in os.environ else Console(highlight=False, emoji=False, width=160)
