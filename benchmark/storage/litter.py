"""Temporary files that know their owner, and the removal of those whose owner was killed.

    .seed-<machine>-<process>-<its start>-<random>-<name>

The first three say who writes: a running kernel with its process numbers (containers have their own), a process, and the time of
its start, since numbers are given again. A file of a living process is never removed. That of another machine, and one without a known
owner, is removed once nobody has written to it for LONGEST.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

LONGEST = 24 * 3600.0  # [s]
DEPTH = 3  # of folders below a results folder: runs/<run id>/snapshots
_TEMPORARY = re.compile(r"\.seed-(?P<machine>[0-9a-f]{8})-(?P<process>[0-9a-f]+)-(?P<start>[0-9a-f]+)-[0-9a-f]{6}-.+")
_OLDER = re.compile(r"\.(?:probe-)?[0-9a-f]{8}(?:-.+|$)")  # of versions before 0.3
_NAME = 40  # characters of the name that are kept: the longest ones would exceed what a file system allows


def temporary(path: Path) -> Path:
    """Return a path beside `path`, of the same suffix, that names this process as its owner."""
    process = os.getpid()
    mark = f"{machine()}-{process:x}-{_start(process) or 0:x}-{uuid.uuid4().hex[:6]}"
    return path.with_name(f".seed-{mark}-{path.name[-_NAME:]}")


def is_litter(path: Path) -> bool:
    """Return True for a temporary file or folder whose owner has ended."""
    found = _TEMPORARY.fullmatch(path.name)
    if found is None:
        return _OLDER.fullmatch(path.name) is not None and is_old(path)
    if found["machine"] != machine():
        return is_old(path)
    start = _start(int(found["process"], 16))
    return start is None or (start != 0 and start != int(found["start"], 16))


def is_old(path: Path, longest: float = LONGEST) -> bool:
    """Return True if a file or folder was last written to more than so many seconds ago."""
    try:
        facts = path.lstat()
        return time.time() - max(facts.st_mtime, facts.st_ctime) > longest  # a new link to an old file has an old time of writing
    except OSError:  # gone, or not to be seen: nothing to remove
        return False


def clear(folder: Path, depth: int = DEPTH) -> int:
    """Remove the litter in a folder and in the folders below; return how many files and folders. What cannot be removed stays."""
    count = 0
    for path in list(_entries(folder, depth)):
        if is_litter(path):
            remove(path)
            count += 1
    return count


@functools.cache
def clear_once(folder: Path) -> None:
    """Clear one folder of the cache, at its first use in this process."""
    clear(folder, 0)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder, if this user may."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


@functools.cache
def machine() -> str:
    """Return a name that processes share if they see each other's numbers: those of one running kernel, or of one container."""
    facts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        facts += [Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8"), os.readlink("/proc/self/ns/pid")]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:8]


def _entries(folder: Path, depth: int) -> Iterator[Path]:
    """Yield hidden files and folders down to a depth, without following links or looking into hidden folders."""
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith("."):
            yield Path(entry.path)
        elif depth > 0 and entry.is_dir(follow_symlinks=False):
            yield from _entries(Path(entry.path), depth - 1)


def _start(process: int) -> int | None:
    """Return the time of a process's start in ticks of the machine; 0 if it lives and the time is unknown, None if it has ended."""
    try:
        text = Path(f"/proc/{process}/stat").read_bytes()
        fields = text[text.rfind(b")") + 2 :].split()  # behind the name, which may hold anything
        return None if fields[0] in (b"Z", b"X") else int(fields[19])
    except (OSError, IndexError, ValueError):
        pass
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return None
    except OSError:  # another user's
        pass
    return 0
