"""Keep report.html of a folder current while sweeps run in it, from another process."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmark.live.page import INTERVAL, SCRIPT, LivePage
from benchmark.machine.environment import HOME
from benchmark.machine.interpreter import PYTHON
from benchmark.storage import atomic

# waits for a word from the watcher; when it dies without one, the script goes and the whole report is made
GUARD = 'read -r _ || { rm -f "$0"; exec "$@"; }'


@contextlib.contextmanager
def watched(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Rewrite report.html whenever there are new results, and now.js beside it every second, until no sweep is alive in the folder.

    The block then writes the finished page; open pages load it when the block ends. Ctrl-C while sweeps are alive raises
    KeyboardInterrupt after the block, and if this process is killed, another one writes the page. Raise StorageError if a page cannot
    be written.
    """
    live = LivePage(folder)
    beside = folder / SCRIPT
    if not live.look():
        say(f"No sweep is under way in {folder}.")
        yield
        return
    say(f"{folder / 'report.html'} is kept current until the sweep ends.")
    stopped: KeyboardInterrupt | None = None
    with _guarded(folder):
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


@contextlib.contextmanager
def _guarded(folder: Path) -> Iterator[None]:
    """Have another process write the report of a folder if this one is killed inside the block."""
    place = folder.resolve()
    command = ["sh", "-c", GUARD, str(place / SCRIPT), *PYTHON, "-m", "benchmark", "report", str(place)]
    path = os.pathsep.join(filter(None, [str(HOME), os.environ.get("PYTHONPATH")]))
    try:
        guard = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # a terminal that is closed ends the watcher only
        )
    except OSError:  # of a system without a shell or without room for one more process
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # it was killed
            guard.communicate(b"done\n")
