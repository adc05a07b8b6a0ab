"""The README's first run gives the README's numbers, so that neither the methods nor the README drift unseen."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from benchmark.cli.main import main
from benchmark.records.results import Results
from benchmark.storage import cache

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
FIRST_RUN = r"```sh\npython -m benchmark (run --datasets walnut_sample [^\n]*)\n```\n\n((?:\|[^\n]*\n)+)"
TOLERANCE = 0.02  # [dB]


def first_run() -> tuple[list[str], list[list[str]]]:
    """The arguments of the README's first run, and the rows of the table below it."""
    ((command, table),) = re.findall(FIRST_RUN, README)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert rows[0] == ["Method", "Volume PSNR [dB]", "Held-out PSNR [dB]"]
    return shlex.split(command), rows[2:]


def test_the_first_run_gives_the_numbers_of_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The truth is fitted anew, too."""
    arguments, rows = first_run()
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, "--device", "cpu", "--in-process", "--no-report"]) == 0
    found = {record.spec.method: record.metrics for record in Results.open(arguments[-1]).records}
    stated = {method: (float(volume), float(heldout)) for method, volume, heldout in rows}
    assert len(rows) == len(stated) == 3 and stated.keys() == found.keys()
    for method, scores in stated.items():
        measured = (found[method]["volume_psnr"], found[method]["projection_psnr"])
        assert measured == pytest.approx(scores, abs=TOLERANCE), method
    assert [row[0] for row in rows] == sorted(stated, key=lambda method: -stated[method][0])  # the best first
