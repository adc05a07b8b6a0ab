"""Cache for results that are expensive to compute: arrays on disk under a key, written completely or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from benchmark.storage import litter
from benchmark.storage.archive import Arrays, read_archive
from benchmark.storage.atomic import replacing
from benchmark.storage.cache_folder import MOVE_CACHE, cache_folder
from benchmark.storage.writable import prove_folder


def cached_arrays(kind: str, key: Sequence[Any], compute: Callable[[], Arrays], *, compress: bool = False) -> Arrays:
    """Return the arrays kept under `key` (JSON values) in the folder `kind` of the cache; compute and store them if absent.

    `compute()` returns a dict of arrays. Safe for concurrent processes (one computes, the others wait) and against kills: files
    appear only when complete. Damaged files are computed again. Raise InputError if the folder cannot be written.
    """
    name = hashlib.sha256(json.dumps(list(key), sort_keys=True).encode()).hexdigest()[:24]
    folder = cache_folder() / kind
    path = folder / f"{name}.npz"
    litter.clear_once(folder)
    found = read_arrays(path)
    if found is not None:
        return found
    prove_folder(folder, f"cache {folder}", MOVE_CACHE)
    with FileLock(f"{path}.lock"):
        found = read_arrays(path)  # another process may have computed it in the meantime
        if found is None:
            found = compute()
            write_arrays(path, found, compress=compress)
    return found


def read_arrays(path: Path) -> Arrays | None:
    """Return the arrays in the file; None if it is missing or damaged."""
    try:
        return read_archive(path) or None
    except (OSError, ValueError):
        return None


def write_arrays(path: Path, arrays: Arrays, *, compress: bool = False) -> None:
    """Write an .npz in one step, so that no process reads half a file. Raise StorageError (a full disk, no permission)."""
    with replacing(path) as temporary:
        if compress:
            np.savez_compressed(temporary, allow_pickle=False, **arrays)
        else:
            np.savez(temporary, allow_pickle=False, **arrays)
