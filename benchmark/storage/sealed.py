"""Files with a digest beside them: what was cut off, damaged, or put there by another user is not used."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from benchmark.storage import atomic


def seal(path: Path) -> None:
    """Write the digest of a complete file beside it. Raise StorageError."""
    atomic.replace(_seal_of(path), _digest(path).encode())


def is_intact(path: Path) -> bool:
    """Return True if the file is ours (`is_ours`) and is what was sealed."""
    try:
        return is_ours(path) and _seal_of(path).read_bytes() == _digest(path).encode()
    except OSError:
        return False


def is_ours(path: Path) -> bool:
    """Return True if a file or folder belongs to this user or root and not everybody may write to it; True if it does not exist."""
    if not hasattr(os, "getuid"):  # Windows has no owners of this kind
        return True
    try:
        facts = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    open_to_all = facts.st_mode & stat.S_IWOTH and not facts.st_mode & stat.S_ISVTX
    return facts.st_uid in (0, os.getuid()) and not open_to_all


def _seal_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _digest(path: Path) -> str:
    content = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            content.update(block)
    return content.hexdigest()
