"""Names and reasons of strangers in outputs, outputs that nobody reads, and errors of the system."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from benchmark.cli.main import main
from benchmark.machine.console import SafeConsole
from benchmark.report.tables import _markdown, escape
from benchmark.storage.visible import csv_text, visible

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
    assert _markdown("a|b\n<script>") == r"a\|b &lt;script>"
    assert escape("a\nb \x1b") == r"a b \textbackslash{}x1b"


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


def test_an_error_of_the_system_is_no_fault_of_the_program(monkeypatch, capsys):
    def refuse(*arguments, **keys):
        raise OSError(30, "Read-only file system", "/somewhere/cases")

    monkeypatch.setattr("benchmark.records.results.Results.open", refuse)
    assert main(["report", str(ROOT / "tests" / "stored_results" / "ball")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: /somewhere/cases: Read-only file system. Files stored earlier are unharmed") and "fault" not in said
