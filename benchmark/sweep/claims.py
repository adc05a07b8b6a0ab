"""Claims on runs, so that several sweeps can share one folder, on one machine or over a shared file system.

    <folder>/.sweeps/<token>.json, .lock     one sweep's sign of life; beside it its state, .now (see pulse.py)
    <folder>/runs/<run id>/attempt-0002.claim     attempt 2 is being made, by the sweep whose token is inside

A claim is made by creating a file that must not exist, so two sweeps never make the same attempt. It ends with the attempt's record
or the death of its sweep. On the same machine a death is known at once (the kernel frees the lock of a dead process); elsewhere a
sweep counts as dead if its file has not been touched for PATIENCE seconds of the observer's own monotonic clock, so wrong or
jumping clocks do no harm.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock

from benchmark.storage import atomic
from benchmark.storage.checked_json import read_checked

HEARTBEAT = 15.0  # [s]
WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
PATIENCE = 180.0  # [s] longer than network file systems cache attributes


class Claims:
    """One sweep's claims in a results folder. Use as a context manager: the sweep is alive inside."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.token = uuid.uuid4().hex[:12]
        self.scratch = self.folder / ".jobs" / self.token  # for files of runs under way
        self._lease = self.folder / ".sweeps" / f"{self.token}.json"
        self._lock = filelock.FileLock(str(self._lease.with_suffix(".lock")))
        self._ended = threading.Event()
        self._seen: dict[str, tuple[int, float]] = {}  # token -> (time stamp of its file, time when that stamp was first seen)

    def __enter__(self) -> Claims:
        try:
            _persist(self._open_lease)  # before the first claim
            _persist(lambda: self.scratch.mkdir(parents=True, exist_ok=True))
        except OSError as error:
            raise atomic.StorageError(self._lease.parent, error) from error
        self._clear_away_the_dead()
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        shutil.rmtree(self.scratch, ignore_errors=True)
        self._lease.unlink(missing_ok=True)
        self._lock.release()
        self._lease.with_suffix(".lock").unlink(missing_ok=True)
        _remove_if_empty(self.scratch.parent)
        _remove_if_empty(self._lease.parent)

    def take(self, run_id: str) -> int | None:
        """Return the number of the attempt that this sweep may make; None while another sweep makes one. Raise StorageError."""
        folder = self.folder / "runs" / run_id
        try:
            folder.mkdir(parents=True, exist_ok=True)
            names = os.listdir(folder)
        except OSError as error:
            raise atomic.StorageError(folder, error) from error
        recorded = max((number(name) for name in names if name.endswith(".json")), default=0)
        claimed = max((number(name) for name in names if name.endswith(".claim")), default=0)
        if claimed > recorded and self._is_alive(_token(_claim(folder, claimed))):
            return None
        attempt = max(recorded, claimed) + 1
        try:
            atomic.create(_claim(folder, attempt), self.token.encode())
        except FileExistsError:
            return None
        if (folder / f"attempt-{attempt:04d}.json").exists():  # recorded since the last look
            self.release(run_id, attempt)
            return None
        return attempt

    def release(self, run_id: str, attempt: int) -> None:
        """Release the claim on an attempt that is recorded or will not be made. A record also ends earlier claims of dead sweeps."""
        folder = self.folder / "runs" / run_id
        if (folder / f"attempt-{attempt:04d}.json").exists():
            for path in folder.glob("attempt-*.claim"):
                if number(path.name) < attempt:
                    path.unlink(missing_ok=True)
        _claim(folder, attempt).unlink(missing_ok=True)

    def alone(self) -> bool:
        """Return True if no other sweep is alive in this folder."""
        return not self.living()

    def living(self) -> list[str]:
        """Return the tokens of the other sweeps that are alive in this folder; of an observer that was not entered, of all sweeps."""
        return [lease.stem for lease in self._others() if self._is_alive(lease.stem)]

    def state_file(self, token: str = "") -> Path:
        """Return the path of a sweep's state, by default this one's."""
        return self._lease.parent / f"{token or self.token}.now"

    def _others(self) -> list[Path]:
        """Return the files of other sweeps, except files still being written."""
        return [path for path in self._lease.parent.glob("*.json") if path != self._lease and not path.name.startswith(".")]

    def _is_alive(self, token: str) -> bool:
        lease = self.folder / ".sweeps" / f"{token}.json"
        try:
            stamp = lease.stat().st_mtime_ns
            machine = read_checked(lease).get("machine")
        except FileNotFoundError:
            return False
        except OSError:  # of a folder that this user may not read
            return True
        except ValueError:  # still being written, or damaged: judged by its age
            machine = None
        locked = _is_locked(lease.with_suffix(".lock")) if machine == _machine() else None
        if locked is not None:
            return locked
        before, since = self._seen.get(token, (None, 0.0))
        if before != stamp:
            self._seen[token] = (stamp, time.monotonic())
            return True
        return time.monotonic() - since < PATIENCE

    def _open_lease(self) -> None:
        self._lease.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(NotImplementedError):  # file systems without locks: sweeps are judged by the age of their files
            try:
                self._lock.acquire(timeout=10)
            except OSError as error:
                if error.errno not in WITHOUT_LOCKS:
                    raise
        self._write_lease()

    def _write_lease(self) -> None:
        facts: dict[str, Any] = {"machine": _machine(), "host": socket.gethostname(), "process": os.getpid()}
        atomic.replace(self._lease, json.dumps(facts).encode())

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT):
            with contextlib.suppress(OSError, atomic.StorageError):  # a deleted folder: the next result to be written reports it
                if self._lease.exists():
                    os.utime(self._lease)
                else:
                    self._write_lease()

    def _clear_away_the_dead(self) -> None:
        """Remove the scratch and unfinished files of killed sweeps of this machine."""
        for lease in self._others():
            if not self._is_alive(lease.stem):
                shutil.rmtree(self.folder / ".jobs" / lease.stem, ignore_errors=True)
                lease.unlink(missing_ok=True)
                lease.with_suffix(".lock").unlink(missing_ok=True)
                for state in self._lease.parent.glob(f"*{lease.stem}.now"):
                    state.unlink(missing_ok=True)
        for half in self._lease.parent.glob(".????????-*.json"):
            lock = half.with_name(half.stem.rpartition("-")[2]).with_suffix(".lock")
            if _is_locked(lock) is False:  # the writer holds the lock
                half.unlink(missing_ok=True)
                lock.unlink(missing_ok=True)


def number(name: str) -> int:
    """Return 2 of 'attempt-0002.json', 0 of any other file."""
    stem, _, _ = name.partition(".")
    prefix, _, digits = stem.rpartition("-")
    return int(digits) if prefix == "attempt" and digits.isdigit() else 0


def _claim(folder: Path, attempt: int) -> Path:
    return folder / f"attempt-{attempt:04d}.claim"


def _token(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _machine() -> str:
    """Return a name that all processes under one kernel share, containers included."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return socket.gethostname()


def _is_locked(path: Path) -> bool | None:
    """Return True if a living process holds the lock, None if this user or file system cannot tell."""
    lock = filelock.FileLock(str(path))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        return True
    except FileNotFoundError:  # removed together with its sweep
        return False
    except (OSError, NotImplementedError):  # another user's lock, no locks on this file system
        return None
    lock.release()
    return False


def _persist(make: Callable[[], object]) -> None:
    """Retry `make` in a folder that another, ending sweep may remove while it is empty."""
    for _ in range(100):
        try:
            make()
            return
        except FileNotFoundError:
            time.sleep(0.01)
    make()


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
