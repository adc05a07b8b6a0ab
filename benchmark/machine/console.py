"""Console on the standard output."""

from __future__ import annotations

import os
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from benchmark.storage.visible import visible


class SafeConsole(Console):
    """A console that shows control characters in texts, such as names of files, instead of sending them to the terminal."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


def open_console() -> Console:
    """Return the console on standard output; wide if it is not a terminal."""
    output = SafeConsole(highlight=False, emoji=False)  # else naf:tv becomes a television
    return output if output.is_terminal or "COLUMNS" in os.environ else SafeConsole(highlight=False, emoji=False, width=160)
