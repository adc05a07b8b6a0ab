"""Look for files in a scanner's folder."""

from __future__ import annotations

from pathlib import Path


def ending(folder: Path, *endings: str) -> list[Path]:
    """Return the files whose names end like this (whatever the case), in order; hidden files are left out."""
    try:
        files = sorted(folder.iterdir())
    except OSError:
        return []
    return [path for path in files if path.name.lower().endswith(endings) and not path.name.startswith(".") and path.is_file()]
