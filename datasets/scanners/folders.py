"""Look for files in a scanner's folder, and into them."""

from __future__ import annotations

from pathlib import Path


def ending(folder: Path, *endings: str) -> list[Path]:
    """Return the files whose names end like this (whatever the case), in order; hidden files are left out."""
    try:
        files = sorted(folder.iterdir())
    except OSError:
        return []
    return [path for path in files if path.name.lower().endswith(endings) and not path.name.startswith(".") and path.is_file()]


def beginning(path: Path, count: int = 1 << 14) -> str:
    """Return the beginning of a file as text, in any encoding whose letters are ASCII; '' if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(count).replace(b"\0", b"").decode("latin-1")
    except OSError:
        return ""
