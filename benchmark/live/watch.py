"""Keep report.html of a folder current while sweeps run in it, from another process."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmark.live.page import INTERVAL, SCRIPT, LivePage
from benchmark.storage import atomic


@contextlib.contextmanager
def watched(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Rewrite report.html whenever there are new results, and now.js beside it every second, until no sweep is alive in the folder.

    The block then writes the finished page; open pages load it when the block ends. Ctrl-C while sweeps are alive raises
    KeyboardInterrupt after the block. Raise StorageError if a page cannot be written.
    """
    live = LivePage(folder)
    beside = folder / SCRIPT
    if not live.look():
        say(f"No sweep is under way in {folder}.")
        yield
        return
    say(f"{folder / 'report.html'} is kept current until the sweep ends.")
    stopped: KeyboardInterrupt | None = None
    try:
        try:
            _follow(live, beside, say)
        except KeyboardInterrupt as error:
            stopped = error
            say("Stopping. First, the whole report is written; Ctrl-C again leaves it out.")
        yield
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
    if stopped is not None:
        raise stopped


def _follow(live: LivePage, beside: Path, say: Callable[[str], None]) -> None:
    written = problem = ""
    alive = 1
    while alive:
        if live.page != written:
            written = live.page
            atomic.replace_text(beside.with_name("report.html"), written)
        atomic.replace_text(beside, live.script)
        if live.problem not in ("", problem):
            problem = live.problem
            say(problem)
        time.sleep(INTERVAL)
        alive = live.look()
    atomic.replace_text(beside, live.script)  # which says that none is under way
    live.settle(5)
