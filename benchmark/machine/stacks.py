"""Python stacks of a child process, written on request by faulthandler: also while compiled code runs or holds the interpreter's lock."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import re
import signal
import time
import traceback
from pathlib import Path

SIGNAL = signal.SIGUSR2
FILE = "stacks.txt"
LONGEST = 1.0  # [s] to wait for an answer
FRAMES = 40  # of each thread that are kept
_FRAME = re.compile(r'  File "(?P<path>.*)", line (?P<line>\d+) in (?P<name>.*)')


def offer(path: Path) -> None:
    """Let this process write the stacks of all its threads into a file whenever it gets SIGNAL."""
    file = path.open("a", encoding="utf-8")
    faulthandler.register(SIGNAL, file, all_threads=True)


def request(pid: int, path: Path) -> str:
    """Return the present stacks of a process that offers them in `path`, innermost frame first; '' if it gives none in time."""
    if not path.exists():  # it would be ended by the signal
        return ""
    before = path.stat().st_size
    with contextlib.suppress(OSError):
        os.kill(pid, SIGNAL)
        deadline, size = time.monotonic() + LONGEST, -1
        while time.monotonic() < deadline:
            now = path.stat().st_size
            if now > before and now == size:  # written, and no longer growing
                break
            size = now
            time.sleep(0.02)
    with path.open(encoding="utf-8", errors="replace") as file:
        file.seek(before)
        return _shortened(file.read())


def place(text: str, package: Path | None) -> str:
    """Return 'my_method.py:12 in reconstruct', the innermost frame of a file or folder in such a text; '' if there is none.

    The thread that got the signal or crashed comes first, then the main thread, which is written last.
    """
    threads = re.split(r"^(?=Thread |Current thread )", text, flags=re.MULTILINE)
    threads = sorted(reversed(threads), key=lambda thread: not thread.startswith("Current"))
    frames = (found for thread in threads for found in _FRAME.finditer(thread))
    return next((words for found in frames if (words := in_words(found["path"], found["line"], found["name"], package))), "")


def place_of(error: BaseException, package: Path | None) -> str:
    """Return 'my_method.py:12 in reconstruct', the last frame of a file or folder in an error's traceback; '' if there is none."""
    frames = [in_words(frame.filename, frame.lineno or 0, frame.name, package) for frame in traceback.extract_tb(error.__traceback__)]
    return next((words for words in reversed(frames) if words), "")


def in_words(path: str, line: int | str, name: str, package: Path | None) -> str:
    """Return a frame in words, with its path from the package on; '' for a frame outside this file or folder."""
    if package is None or not (Path(path) == package or package in Path(path).parents):
        return ""
    return f"{Path(path).relative_to(package.parent)}:{line} in {name}"


def _shortened(text: str) -> str:
    """Return the text with at most FRAMES frames of each thread."""
    lines, count = [], 0
    for line in text.splitlines():
        count = count + 1 if _FRAME.match(line) else 0
        if count <= FRAMES:
            lines.append(line)
        elif count == FRAMES + 1:
            lines.append("  ...")
    return "\n".join(lines)
