"""The folder for built kernels, downloads and converted data."""

from __future__ import annotations

import os
from pathlib import Path

MOVE_CACHE = "Set SEED_CACHE to a folder that can be written."


def cache_folder() -> Path:
    """Return the folder for kernels, downloads and converted data: $SEED_CACHE, else $XDG_CACHE_HOME/seed-ct, else ~/.cache/seed-ct."""
    return Path(os.environ.get("SEED_CACHE") or own_cache_folder())


def own_cache_folder() -> Path:
    """Return the user's own cache folder: $XDG_CACHE_HOME/seed-ct, else ~/.cache/seed-ct."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seed-ct"
