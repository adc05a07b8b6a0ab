"""ASTRA: the vectors of a cone_vec geometry in .npy or text, and the projections beside it.

Facts: a row per view of 12 numbers, x y z each: source, detector centre, step from column to column, step from row to row; no unit.
ASTRA's own stacks of projections have the axes row, view, column.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmark.api import InputError, ScanDraft, read_npy, read_text

from .folders import beginning, ending

OURS = "scan_vectors.txt"  # new-scan writes it


def recognises(folder: Path) -> list[Path]:
    """Return the tables of 12 columns in a folder."""
    return [path for path in ending(folder, ".npy", ".txt", ".csv") if path.name != OURS and _is_table(path)]


def _is_table(path: Path) -> bool:
    if path.suffix.lower() == ".npy":
        try:
            shape = read_npy(path).shape
        except InputError:
            return False
        return len(shape) == 2 and shape[1] == 12 or len(shape) == 3 and shape[1:] == (4, 3)
    lines = [_words(line) for line in beginning(path).split("\n")[:-1][:4]]
    rows = [words for words in lines if words]
    return len(rows) > 0 and len(rows[-1]) == 12 and _numeric(rows[-1])


def _words(line: str) -> list[str]:
    return line.partition("#")[0].replace(",", " ").replace(";", " ").split()


def _numeric(words: list[str]) -> bool:
    try:
        return bool(np.isfinite([float(word) for word in words]).all())
    except ValueError:
        return False


def read(path: Path) -> ScanDraft:
    """Read the scan of a table of vectors."""
    vectors, draft = _table(path).reshape(-1, 4, 3), ScanDraft()
    if not np.isfinite(vectors).all():
        raise InputError(str(path), expected="finite numbers", found="NaN or Inf")
    if np.abs(np.linalg.norm(vectors[:, 0], axis=1) - 1).max() < 1e-5:
        found = "directions of length 1, as in parallel3d_vec"
        raise InputError(str(path), expected="the source's positions (cone_vec) in the first three columns", found=found)
    draft.set("length_unit", "mm", "ASTRA's numbers have no unit: change it if they are not mm")
    draft.note(f"{path.name} states no unit: its numbers are taken as mm, projections as line integrals per mm.")
    shape = _projections(path, draft, len(vectors))
    if shape:
        draft.images = (len(vectors), *shape)
    draft.orbit(vectors, shape or (1000, 1000), f"{path.name}: cone_vec")
    return draft


def _table(path: Path) -> np.ndarray:
    if path.suffix.lower() == ".npy":
        return np.array(read_npy(path), dtype=np.float64)
    rows = [words for line in read_text(path, single_bytes=True).split("\n") if (words := _words(line))]
    rows = rows if not rows or _numeric(rows[0]) else rows[1:]  # a line of names
    wrong = next((number for number, words in enumerate(rows, 1) if len(words) != 12 or not _numeric(words)), None)
    if wrong is not None or not rows:
        raise InputError(
            str(path), expected="12 numbers per view", found=f"row {wrong}: {' '.join(rows[wrong - 1])[:60]}" if wrong else "none"
        )
    return np.array([[float(word) for word in words] for words in rows])


def _projections(path: Path, draft: ScanDraft, views: int) -> tuple[int, int] | None:
    """Set the file of projections and its axes; return rows and columns, None if new-scan is to look for another kind of file."""
    stacks = [(file, array) for file in ending(path.parent, ".npy") if file != path and (array := _stack(file)) is not None]
    if not stacks:
        return None
    file, array = max(stacks, key=lambda item: item[1].size)
    shape = array.shape
    orders = {"view, v, u": (0, 1, 2), "v, view, u": (1, 0, 2)}
    fitting = [order for order, (view, _, _) in orders.items() if shape[view] == views]
    if not fitting:
        raise InputError(str(file), expected=f"{views} views, as in {path.name}", found=f"shape {shape}")
    draft.set("projections.file", file.name, "the projections")
    view, v, u = orders[fitting[0]]
    if len(fitting) == 1:
        draft.set("projections.axes", fitting[0].split(", "), f"{views} views in a shape of {' x '.join(map(str, shape))}")
    else:
        draft.leave("projections.axes", f"[v, view, u] as ASTRA stacks, or [view, v, u]: the shape {' x '.join(map(str, shape))} fits both")
    if array.dtype.kind == "f":
        draft.set("projections.values", "line_integrals", f"{file.name}: {array.dtype}")
    else:
        draft.set("projections.values", "intensities", f"{file.name}: {array.dtype}")
        draft.leave("projections.flat", "intensity without object: ASTRA has none")
    return shape[v], shape[u]


def _stack(path: Path) -> np.ndarray | None:
    try:
        array = read_npy(path)
    except InputError:
        return None
    return array if array.ndim == 3 and array.shape[1:] != (4, 3) else None
