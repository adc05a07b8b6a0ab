"""Trial imports in a child process, against third-party modules whose import ends the process (crash in compiled code, os._exit)."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmark.machine.interpreter import PYTHON
from benchmark.storage.cache_folder import cache_folder

LONGEST = 120.0  # [s] for an import
_TRY = """
import importlib, os, sys
try:
    importlib.import_module(sys.argv[1])
except BaseException:
    pass  # said where it is imported for good
os.write(1, b"survived")
"""


@contextlib.contextmanager
def survived(module: str) -> Iterator[None]:
    """Guard the import of `module` inside the block. Raise ImportError, without entering the block, if it would end the process.

    A stamp in the cache marks a module imported before. The stamp is removed during an import, so it is missing
    after a crash; without a stamp, a child imports the module first.
    """
    stamp = _stamp(module)
    try:
        stamp.unlink()
    except OSError:
        _try_in_child(module)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # unwritable cache: the child imports again next time
            stamp.parent.mkdir(parents=True, exist_ok=True)
            stamp.touch()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Send what the block prints, from Python and from compiled code, to the standard error: the output belongs to the command."""
    if sys.stdout:
        sys.stdout.flush()
    try:
        kept = os.dup(1)
        os.dup2(2, 1)
    except OSError:  # a stream is closed
        kept = -1
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        if kept >= 0:
            os.dup2(kept, 1)
            os.close(kept)


def _stamp(module: str) -> Path:
    """Return the stamp file of a module, location and interpreter."""
    try:
        spec = importlib.util.find_spec(module.partition(".")[0])
    except (ImportError, ValueError):
        spec = None
    facts = f"{sys.executable} {module} {spec.origin if spec else ''}"
    return cache_folder() / "imported" / hashlib.sha256(facts.encode()).hexdigest()[:24]


def _try_in_child(module: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [*PYTHON, "-c", _TRY, module]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, timeout=LONGEST)
    except subprocess.TimeoutExpired:
        raise ImportError(f"{module} takes longer than {LONGEST:g} s to import") from None
    if not done.stdout.endswith(b"survived"):
        how = signal.strsignal(-done.returncode) if done.returncode < 0 else f"exit code {done.returncode}"
        raise ImportError(f"{module} ends the process that imports it ({how})")
