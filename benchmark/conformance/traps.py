"""Traps around a run: interruptions, decoy results, and a watch on opened files."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DECOYS = ("truth.nii.gz", "truth.npy", "heldout.npz")


def interrupt(step: int) -> None:
    """Raise KeyboardInterrupt at the second step."""
    if step == 2:
        raise KeyboardInterrupt


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise KeyboardInterrupt in the block after so many seconds."""

    def ring(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def decoys() -> Iterator[Path]:
    """Replace the working folder by a decoy folder of results, for a method that searches for a truth."""
    home = os.getcwd()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "results" / "mine" / "cases" / "0123456789abcdef"
        folder.mkdir(parents=True)
        for decoy in DECOYS:
            (folder / decoy).write_bytes(b"a decoy")
        os.chdir(name)
        try:
            yield Path(name)
        finally:
            os.chdir(home)


@contextmanager
def opened_files() -> Iterator[list[str]]:
    """Collect the paths opened by Python code inside the block (files opened by compiled code go unseen)."""
    found: list[str] = []
    watching = [True]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if watching[0] and event == "open" and isinstance(arguments[0], str | bytes):
            path = arguments[0]
            found.append(path.decode(errors="replace") if isinstance(path, bytes) else path)

    sys.addaudithook(hook)  # cannot be removed, only silenced
    try:
        yield found
    finally:
        watching[0] = False
