"""The examples run as they are: each notebook in a kernel of its own, each script by itself, and draw what they promise."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
SCRIPTS = {"own_scan": "sart", "own_volume": "block", "own_method": "landweber", "noise_study": "fista_tv", "paper_plot": "mean"}
SLOW = {"own_scan", "own_volume", "noise_study", "paper_plot", "first_ten_minutes"}  # the rest is executed by the default tests


def maybe_slow(name: str, *values: Any) -> Any:
    return pytest.param(*values, id=name, marks=[pytest.mark.slow] if name in SLOW else [])


@pytest.mark.parametrize(("name", "word"), [maybe_slow(name, name, word) for name, word in SCRIPTS.items()])
def test_a_script_runs_by_itself_and_draws_a_picture(name: str, word: str, tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), "--output", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert word in done.stdout and "failed" not in done.stdout
    picture = np.asarray(Image.open(tmp_path / "out" / f"{name}.png").convert("L"))
    assert picture.shape[0] > 200 and picture.std() > 5  # not blank
    assert {path.name for path in tmp_path.iterdir()} == {"out"}  # nothing lies about


@pytest.mark.parametrize("path", [maybe_slow(path.stem, path) for path in NOTEBOOKS])
def test_a_notebook_runs_from_top_to_bottom(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.delenv("MPLBACKEND", raising=False)  # a command that ran in this process has set it
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = nbformat.read(shutil.copy(path, tmp_path), as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    shown = [output["data"] for output in outputs if "data" in output]
    assert sum("image/png" in data for data in shown) >= 1
    bars = [data["text/html"] for data in shown if "<progress" in data.get("text/html", "")]
    assert re.fullmatch(r'<div><progress max="(\d)" value="\1"></progress> sweep \1/\1</div><pre.*</pre>', bars[0], re.DOTALL)
    assert "volume" in bars[0] and not [output for output in outputs if output.output_type == "error"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs_and_paths(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    assert code and all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert not re.search(r"/(home|root|Users|tmp|work)/", path.read_text(encoding="utf-8"))


def test_the_list_of_examples_is_complete() -> None:
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\]\(([\w.]+)\)", text))
    files = {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb")}
    assert named == files and {path.stem for path in EXAMPLES.glob("*.py")} == {*SCRIPTS, "landweber"}
    for path in (*NOTEBOOKS, EXAMPLES / "README.md"):
        for target in re.findall(r"\]\(([^)#:\\]+)", path.read_text(encoding="utf-8")):
            assert (EXAMPLES / target).exists(), f"{path.name}: {target}"
