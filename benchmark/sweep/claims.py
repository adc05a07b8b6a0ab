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
import fcntl
import json
import os
import re
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import filelock

from benchmark.records.results import attempt_number
from benchmark.storage import atomic, litter
from benchmark.storage.checked_json import read_checked

HEARTBEAT = 15.0  # [s]
WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
TOKEN, MOST_CLAIM = r"[0-9a-f]{12}", 100
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
            raise atomic.StorageError(Path(error.filename or self._lease.parent), error) from error
        self._tidy()
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        shutil.rmtree(self.scratch, ignore_errors=True)
        litter.remove(self._lease)
        with contextlib.suppress(OSError):
            self._lock.release()
        litter.remove(self._lease.with_suffix(".lock"))
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
        recorded = max((attempt_number(name) for name in names if name.endswith(".json")), default=0)
        claimed = max((attempt_number(name) for name in names if name.endswith(".claim")), default=0)
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
                if attempt_number(path.name) < attempt:
                    litter.remove(path)
        litter.remove(_claim(folder, attempt))

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
        if not re.fullmatch(TOKEN, token):
            return False
        lease = self.folder / ".sweeps" / f"{token}.json"
        try:
            stamp = lease.stat().st_mtime_ns
            machine = read_checked(lease).get("machine")
        except (FileNotFoundError, NotADirectoryError):
            return False
        except PermissionError:  # of a folder that this user may not read
            return True
        except (OSError, ValueError):  # still being written, damaged, or a folder of that name: judged by its age
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
                while not Path(self._lock.lock_file).exists():  # removed as litter before it was locked
                    self._lock.release()
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

    def _tidy(self) -> None:
        """Remove everything that killed sweeps and writers have left: scratch, claims, signs of life, temporary files.

        One process at a time: a claim is judged and removed before another one can take its name.
        """
        leases = self._lease.parent
        litter.clear(self.folder)
        with _only_one(self.folder) as alone:
            if not alone:
                return
            dead = {lease.stem for lease in self._others() if not self._is_alive(lease.stem) or self._was_left(lease)}
            known = {lease.stem for lease in leases.glob("*.json")}
            for claim in self.folder.glob("runs/*/attempt-*.claim"):
                token = _token(claim)
                if token in dead or (token not in known and litter.is_old(claim, PATIENCE)):
                    litter.remove(claim)
            for scratch in self.folder.glob(".jobs/*"):
                if scratch.name in dead or (scratch.name not in known and litter.is_old(scratch)):
                    litter.remove(scratch)
            for token in dead:
                litter.remove(leases / f"{token}.json")
            for path in leases.glob("[0-9a-f]*.*"):  # a lock, and what the sweep said about its runs
                if not path.with_suffix(".json").exists() and _is_locked(path.with_suffix(".lock")) is False:
                    litter.remove(path)
                    litter.remove(path.with_suffix(".lock"))
            litter.clear(leases, 0)

    def _was_left(self, lease: Path) -> bool:
        """Return True for the sign of life of a sweep elsewhere that has given none for long."""
        try:
            elsewhere = read_checked(lease).get("machine") != _machine()
        except (OSError, ValueError):
            elsewhere = True
        return elsewhere and litter.is_old(lease)


def tidy(folder: Path) -> None:
    """Remove what killed commands have left in a results folder, and nothing of living ones. What cannot be removed stays."""
    with contextlib.suppress(OSError):
        Claims(folder)._tidy()
        _remove_if_empty(folder / ".jobs")
        _remove_if_empty(folder / ".sweeps")


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[bool]:
    """Hold a folder's own lock inside the block, if no other process does and the file system has locks for folders: then yield True."""
    descriptor = -1
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        alone = True
    except OSError:
        alone = False
    try:
        yield alone
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _claim(folder: Path, attempt: int) -> Path:
    return folder / f"attempt-{attempt:04d}.claim"


def _token(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(MOST_CLAIM)
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
