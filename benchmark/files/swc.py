"""Read SWC files: a neuron's shape as nodes with radii, each with its parent (Cannon et al. 1998, doi 10.1016/S0165-0270(98)00091-0)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from benchmark.errors import InputError
from benchmark.storage.text import read_text

COLUMNS = "7 columns: id, type, x, y, z, radius, parent"
MOST_BYTES = 64 << 20
ROOT = -1  # the parent of a node without one


@dataclasses.dataclass(frozen=True, eq=False)
class Morphology:
    """Trees of nodes, such as a neuron, as `read_swc` returns them.

    `positions` float64 [node, 3] x y z and `radii` [node] in the file's unit (micrometres by convention); `parents` int64 [node]:
    index of each node's parent, -1 for a root.
    """

    positions: np.ndarray
    radii: np.ndarray
    parents: np.ndarray

    @property
    def edges(self) -> np.ndarray:
        """Pairs [edge, 2] of a node and its parent; a lone root is paired with itself."""
        nodes = np.arange(len(self.parents))
        lone = (self.parents == ROOT) & ~np.isin(nodes, self.parents)
        return np.stack([nodes, np.where(lone, nodes, self.parents)], 1)[(self.parents != ROOT) | lone]


def read_swc(path: Path) -> Morphology:
    """Read the nodes of an SWC file in file order; parents may follow their children.

    Raise InputError, naming the line, for a column count other than seven, text in place of numbers, radii that are not positive, repeated
    node numbers, missing parents, and cycles.
    """
    if not path.is_file():
        raise InputError(str(path), expected="an SWC file", found="none")
    numbers, rows = _rows(path)
    table = np.array(rows)
    lines = {int(row[0]): line for line, row in zip(numbers, rows, strict=True)}
    if len(lines) < len(rows):
        twice = next(row[0] for line, row in zip(numbers, rows, strict=True) if lines[int(row[0])] != line)
        raise InputError(str(path), expected="one line for each id", found=f"id {twice:g} twice")
    index = {name: place for place, name in enumerate(int(row[0]) for row in rows)}
    parents = np.full(len(rows), ROOT, dtype=np.int64)
    for place, (line, row) in enumerate(zip(numbers, rows, strict=True)):
        if row[6] == ROOT:
            continue
        if int(row[6]) not in index:
            found = f"parent {row[6]:g}, which is not there"
            raise InputError(f"{path}: line {line}", expected=f"the id of a node, or {ROOT} for a root", found=found)
        parents[place] = index[int(row[6])]
    _check_trees(path, parents, table[:, 0])
    return Morphology(table[:, 2:5], table[:, 5], parents)


def _rows(path: Path) -> tuple[list[int], list[list[float]]]:
    """Return the line numbers of all nodes, and their seven values."""
    numbers, rows = [], []
    text = read_text(path, most_bytes=MOST_BYTES, single_bytes=True)
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split("#")[0].replace(",", " ").split()
        if not words:
            continue
        where = f"{path}: line {number}"
        if len(words) != 7:
            raise InputError(where, expected=COLUMNS, found=f"{len(words)}")
        try:
            row = [float(word) for word in words]
        except ValueError:
            raise InputError(where, expected=f"{COLUMNS}, all numbers", found=f"'{line.strip()[:80]}'") from None
        if not np.isfinite(row).all() or any(row[column] != int(row[column]) for column in (0, 6)):
            raise InputError(where, expected="finite numbers, whole ones for id and parent", found=f"'{line.strip()[:80]}'")
        if row[5] <= 0:
            raise InputError(where, expected="a radius of more than 0", found=f"{row[5]:g}")
        numbers.append(number)
        rows.append(row)
    if not rows:
        raise InputError(str(path), expected=f"nodes, each a line of {COLUMNS}", found="none")
    return numbers, rows


def _check_trees(path: Path, parents: np.ndarray, names: np.ndarray) -> None:
    """Raise InputError unless every node's ancestors end at a root."""
    checked = np.zeros(len(parents), dtype=bool)
    for start in range(len(parents)):
        walked: list[int] = []
        node = start
        while node != ROOT and not checked[node]:
            checked[node] = True
            walked.append(node)
            node = int(parents[node])
        if node in walked:
            cycle = [f"{names[k]:g}" for k in [*walked[walked.index(node) :], node]]
            shown = " -> ".join(cycle if len(cycle) <= 8 else [*cycle[:6], "...", cycle[-1]])
            raise InputError(str(path), expected="trees", found=f"a cycle: {shown}", fix=f"Give one of these nodes the parent {ROOT}.")
