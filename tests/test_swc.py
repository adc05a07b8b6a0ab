"""SWC files: trees as they are in the file, and one clear error for everything that is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import InputError
from benchmark.files.swc import read_swc

TREE = """# a comment
1 1 0 0 0 5 -1
 3 3 10.5 0 -2 1.5 2  # a parent that follows
2 3 5,0,-1,2,1
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "neuron.swc"
    path.write_text(text)
    return path


def test_nodes_keep_their_order_and_parents_become_indices(tmp_path: Path) -> None:
    tree = read_swc(written(tmp_path, TREE))
    np.testing.assert_array_equal(tree.positions, [[0, 0, 0], [10.5, 0, -2], [5, 0, -1]])
    np.testing.assert_array_equal(tree.radii, [5, 1.5, 2])
    np.testing.assert_array_equal(tree.parents, [-1, 2, 0])
    np.testing.assert_array_equal(tree.edges, [[1, 2], [2, 0]])


def test_a_lone_root_is_an_edge_to_itself(tmp_path: Path) -> None:
    tree = read_swc(written(tmp_path, "7 1 1 2 3 4 -1\n1 1 0 0 0 5 -1\n2 1 1 0 0 5 1\n"))
    np.testing.assert_array_equal(tree.edges, [[0, 0], [2, 1]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 1 0 0 0 5 2\n2 1 0 0 0 5 3\n3 1 0 0 0 5 1\n", r"neuron.swc: expected trees, found a cycle: 1 -> 2 -> 3 -> 1\. Give one"),
        ("1 1 0 0 0 5 -1\n2 1 0 0 0 5 2\n", "found a cycle: 2 -> 2"),
        ("".join(f"{n} 1 0 0 0 5 {n % 20 + 1}\n" for n in range(1, 21)), r"a cycle: 1 -> 2 -> 3 -> 4 -> 5 -> 6 -> \.\.\. -> 1"),
        ("1 1 0 0 0 5 -1\n2 1 0 0 0 5 9\n", "line 2: expected the id of a node, or -1 for a root, found parent 9, which is not there"),
        ("1 1 0 0 0 5 -1\n\n2 1 0 0 0 0 1\n", "line 3: expected a radius of more than 0, found 0"),
        ("1 1 0 0 0 -2 -1\n", "line 1: expected a radius of more than 0, found -2"),
        ("1 1 0 0 0 -1\n", "line 1: expected 7 columns: id, type, x, y, z, radius, parent, found 6"),
        ("1 1 0 0 0 5 -1 8\n", "expected 7 columns.*found 8"),
        ("1 soma 0 0 0 5 -1\n", "all numbers, found '1 soma 0 0 0 5 -1'"),
        ("1 1 0 nan 0 5 -1\n", "expected finite numbers"),
        ("1.5 1 0 0 0 5 -1\n", "whole ones for id and parent"),
        ("1 1 0 0 0 5 -1\n1 1 0 0 0 5 -1\n", "expected one line for each id, found id 1 twice"),
        ("# nothing\n", "expected nodes.*found none"),
    ],
)
def test_what_is_no_tree_is_one_clear_error(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read_swc(written(tmp_path, text))


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"nowhere\.swc: expected an SWC file, found none"):
        read_swc(Path("nowhere.swc"))


def test_a_long_chain_is_checked_in_no_time(tmp_path: Path) -> None:
    nodes = 30_000
    tree = read_swc(written(tmp_path, "".join(f"{n} 3 {n} 0 0 1 {n + 1 if n < nodes else -1}\n" for n in range(1, nodes + 1))))
    assert len(tree.edges) == nodes - 1
