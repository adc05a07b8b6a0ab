"""Display that prints nothing."""

from __future__ import annotations

import logging

from rich.console import Console

from benchmark.plan.plan import Plan
from benchmark.sweep.progress import PlainDisplay

LOGGER = logging.getLogger("benchmark")


class SilentDisplay(PlainDisplay):
    """Display without lines. Warnings go to the logger 'benchmark': nothing that is wrong with results is kept from the caller."""

    def __init__(self, plan: Plan | None = None) -> None:
        super().__init__(Console(quiet=True), plan)

    def line(self, text: str) -> None:
        """Print nothing."""

    def warning(self, text: str) -> None:
        LOGGER.warning("%s", text)
