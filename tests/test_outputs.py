"""Names and reasons of strangers in outputs, outputs that nobody reads, and errors of the system."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from synthetic_results import case, fill, record, spec

from benchmark.cli.main import main
from benchmark.machine.console import SafeConsole
from benchmark.records.titles import labels
from benchmark.report.board_tables import markdown
from benchmark.report.leaderboard import boards
from benchmark.report.tex import escape
from benchmark.storage.visible import csv_text, markdown_text, visible

ROOT = Path(__file__).resolve().parent.parent
BENCHMARK = f"{sys.executable} -m benchmark"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ä µ ±", "plain ä µ ±"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        (os.fsdecode(b"scan\xff.tif"), r"scan\xff.tif"),
        ("\ud800", r"\ud800"),
        ("abc\u202egpj.exe", r"abc\u202egpj.exe"),
        ("two\nlines", "two\nlines"),
    ],
)
def test_control_characters_are_shown(text, shown):
    assert visible(text) == shown
    shown.encode()


def test_a_console_sends_no_escape_sequence_of_a_name():
    output = io.StringIO()
    SafeConsole(file=output, force_terminal=True, width=80, highlight=False).print("\x1b]0;title", style="bold")
    assert r"\x1b]0;title" in output.getvalue() and "\x1b[1m" in output.getvalue()


def test_no_cell_of_a_csv_file_is_a_formula_or_two_lines():
    names = ['=HYPERLINK("http://x")', "@x", "+1+cmd|x", "-5.5", "-", "two\nlines", "a" * 100_000]
    table = pd.DataFrame({"name": names, "value": range(7)})
    found = pd.read_csv(io.StringIO(csv_text(table)), dtype=str)
    assert list(found["name"][:6]) == ['\'=HYPERLINK("http://x")', "'@x", "'+1+cmd|x", "-5.5", "-", "two lines"]
    assert len(found["name"][6]) < 3000 and list(found["value"]) == [str(row) for row in range(7)]


def test_tables_in_markdown_and_latex_keep_their_rows():
    assert markdown_text("a|b\n<script>") == r"a\|b &lt;script>"
    assert escape("a\nb \x1b") == r"a b \textbackslash{}x1b"


def test_titles_that_are_cut_stay_distinct():
    values = [[1.5] * 20, [1.5] * 10 + [2.5] + [1.5] * 9, [3.5] * 20]
    runs = [spec(digest="a", **{f"weight_{i}": value for i, value in enumerate(mine)}) for mine in values]
    long = [spec("x" * 300 + letter + "y" * 300) for letter in "ab"]
    problem = case(shape=(8, 9, 10))
    records = [record(run, problem) for run in (*runs, *long)]
    found = labels(records)
    assert len({found[run.id] for run in (*runs, *long)}) == 5 and max(map(len, found.values())) < 250


def test_a_board_in_markdown_keeps_its_rows_whatever_its_methods_are_called(tmp_path):
    names = ("fdk", "a|b\n<img src=x>", "=HYPERLINK(0)\x1b[31m", "m" * 60)
    results = fill(tmp_path, ("chest", "walnut"), (10,), names, shape=(8, 9, 10))
    text = markdown(boards(results))
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + len(names) and len({line.replace("\\|", "").count("|") for line in rows}) == 1
    assert "<img" not in text and "\x1b" not in text and len(text) < 20_000


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (f"{BENCHMARK} list --json > /dev/full", 1, "error: the standard output could not be written (No space left on device)"),
        (f"{BENCHMARK} list --json >&-", 0, ""),
        (f"{BENCHMARK} list --json 2>&- > /dev/null", 0, ""),
        (f"{BENCHMARK} list --json | true; exit ${{PIPESTATUS[0]}}", 1, ""),
    ],
    ids=["full", "closed", "no errors", "reader gone"],
)
def test_an_output_that_nobody_takes_is_no_fault(command, code, said):
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == code and done.stderr.startswith(said) and "Traceback" not in done.stderr and done.stderr.count("\n") <= 1


def test_every_command_says_that_it_was_stopped(monkeypatch, capsys):
    def stop(*arguments, **keys):
        raise KeyboardInterrupt

    monkeypatch.setattr("benchmark.records.results.Results.open", stop)
    assert main(["report", str(ROOT / "tests" / "stored_results" / "ball")]) == 130
    assert capsys.readouterr() == ("", "Stopped.\n")


def test_an_error_of_the_system_is_no_fault_of_the_program(monkeypatch, capsys):
    def refuse(*arguments, **keys):
        raise OSError(30, "Read-only file system", "/somewhere/cases")

    monkeypatch.setattr("benchmark.records.results.Results.open", refuse)
    assert main(["report", str(ROOT / "tests" / "stored_results" / "ball")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: /somewhere/cases: Read-only file system. Files stored earlier are unharmed") and "fault" not in said
