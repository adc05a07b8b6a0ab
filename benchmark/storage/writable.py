"""Check that an output can be written before the work begins, not after it."""

from __future__ import annotations

from pathlib import Path

from benchmark.errors import InputError
from benchmark.storage import atomic, litter


def prove_folder(folder: Path, where: str, fix: str, *inside: str) -> None:
    """Create a folder, these subfolders and, briefly, a file. Raise InputError on failure."""
    probe = litter.temporary(folder / "probe")
    try:
        for name in ("", *inside):
            (folder / name).mkdir(parents=True, exist_ok=True)
        atomic.create(probe, b"x")
        probe.unlink()
    except (OSError, atomic.StorageError) as error:
        cause = error.__cause__ if isinstance(error, atomic.StorageError) else error
        reason = getattr(cause, "strerror", None) or str(error)
        raise InputError(where, expected="a folder that can be written", found=reason, fix=fix) from error


def prove_file(path: Path, *, new: bool = False) -> None:
    """Raise InputError unless --output can be written; with `new`, also if the file exists."""
    if path.is_dir():
        raise InputError(str(path), expected="a new file" if new else "a file", found="a folder", fix="Choose another --output.")
    if new and path.exists():
        raise InputError(str(path), expected="a new file", found="one that exists", fix="Remove it or choose another --output.")
    if not path.parent.is_dir():
        raise InputError(str(path.parent), expected="a folder", found="none", fix="Create it or choose another --output.")
    prove_folder(path.parent, str(path.parent), "Choose another --output.")
