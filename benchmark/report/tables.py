"""The summary as files: csv for programs, Markdown for reading, LaTeX (booktabs) for papers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from benchmark import atomic
from benchmark.report.summary import COLUMNS, Column, best, labelled, sections, shown, summarise

if TYPE_CHECKING:
    from benchmark.store import Results

_TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", **{c: f"\\{c}" for c in "&%$#_{}"}}


def write_tables(results: Results) -> list[Path]:
    """Write tables/summary.csv, .md and .tex; returns the files. Raises StorageError if one cannot be written."""
    summary = summarise(labelled(results))
    folder = results.folder / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"summary.csv": summary.to_csv(index=False), "summary.md": markdown(summary), "summary.tex": latex(summary)}
    for name, text in texts.items():
        atomic.replace(folder / name, text.encode())
    return [folder / name for name in texts]


def cell(row: pd.Series, column: Column) -> str:
    """One number of a table, with its standard deviation where there are several runs."""
    text = shown(row[column.name], column.decimals)
    spread = row.get(f"{column.name}_sd") if column.name.endswith("psnr") else None
    return f"{text} ± {spread:.2f}" if text and spread is not None and pd.notna(spread) else text


def counted(row: pd.Series) -> str:
    """How many runs stand behind a row: '3', or '2/3' if some did not finish."""
    return str(row["runs"]) if row["runs"] == row["planned"] else f"{row['runs']}/{row['planned']}"


def has_notes(part: pd.DataFrame) -> bool:
    """Whether a table needs a column for what went wrong."""
    return bool((part["note"] != "").any())


def markdown(summary: pd.DataFrame) -> str:
    """One Markdown table per dataset, size and noise; the best of each number of views in bold."""
    if summary.empty:
        return "No runs yet.\n"
    blocks = []
    for title, part in sections(summary):
        notes = has_notes(part)
        heads = ["Views", "Method", *(column.heading for column in COLUMNS), "Runs", *(["Note"] if notes else [])]
        marks = best(part)
        lines = [heads, ["---:", "---", *["---:"] * (len(COLUMNS) + 1), *(["---"] if notes else [])]]
        for index, row in part.iterrows():
            numbers = [f"**{cell(row, c)}**" if marks.get((index, c.name)) else cell(row, c) for c in COLUMNS]
            lines.append([str(row["views"]), row["method"], *numbers, counted(row), *([row["note"]] if notes else [])])
        table = "\n".join("| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines)
        blocks.append(f"### {title}\n\n{table}\n")
    return "\n".join(blocks)


def latex(summary: pd.DataFrame) -> str:
    """One booktabs table per dataset, size and noise; the best of each number of views in bold. Needs \\usepackage{booktabs}."""
    blocks = ["% needs \\usepackage{booktabs}"]
    for title, part in sections(summary):
        marks = best(part)
        heads = " & ".join(escape(column.heading) for column in COLUMNS)
        lines = [
            r"\begin{table}",
            r"  \centering",
            f"  \\caption{{{escape(title)}}}",
            f"  \\begin{{tabular}}{{rl{'r' * len(COLUMNS)}}}",
            r"    \toprule",
            f"    Views & Method & {heads} \\\\",
        ]
        for views, rows in part.groupby("views", sort=False):
            lines.append(r"    \midrule")
            lines += [f"    {views} & {escape(row['method'])} & {_latex_cells(index, row, marks)} \\\\" for index, row in rows.iterrows()]
        lines += [r"    \bottomrule", r"  \end{tabular}", r"\end{table}", ""]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _latex_cells(index: int, row: pd.Series, marks: dict[tuple[int, str], bool]) -> str:
    if row["status"] != "ok":
        return f"\\multicolumn{{{len(COLUMNS)}}}{{l}}{{{escape(row['note'])}}}"
    texts = [cell(row, column).replace("±", r"$\pm$") for column in COLUMNS]
    return " & ".join(
        rf"\textbf{{{text}}}" if marks.get((index, column.name)) else text for text, column in zip(texts, COLUMNS, strict=True)
    )


def escape(text: str) -> str:
    """Plain text for LaTeX."""
    return re.sub(r"[\\~^&%$#_{}]", lambda match: _TEX[match.group()], text)
