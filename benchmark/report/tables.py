"""Write the summary as files: csv for programs, Markdown for reading, LaTeX (booktabs) for papers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from benchmark.report import board_tables
from benchmark.report.columns import COLUMNS
from benchmark.report.curves import curves, times_to_quality
from benchmark.report.leaderboard import COLUMNS as BOARD_COLUMNS
from benchmark.report.leaderboard import PAIR_COLUMNS, boards, joined
from benchmark.report.published import markdown as quoted
from benchmark.report.published import side_by_side
from benchmark.report.ranking import leads
from benchmark.report.summary import cell, counted, has_notes, has_pretrained, has_ranks, labelled, remark, sections, summarise
from benchmark.report.tex import escape
from benchmark.report.tex import numbers as tex_numbers
from benchmark.storage import atomic
from benchmark.storage.visible import csv_text, one_line_of

if TYPE_CHECKING:
    from benchmark.records.store import Results
NEEDS = "% needs \\usepackage{booktabs}; letters beyond Latin ones need XeLaTeX or LuaLaTeX"


def write_tables(results: Results) -> list[Path]:
    """Write runs.csv, summary.csv, .md and .tex, curves.csv, time_to_quality.csv; for several cases leaderboard.csv and pairs.csv, and
    published.csv if there are published numbers to compare, into tables/; return the files. Raise StorageError if one cannot be written.
    """
    summary, beside, found = summarise(labelled(results.records)), side_by_side(results), boards(results)
    folder = results.folder / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "runs.csv": csv_text(results.frame()),
        "summary.csv": csv_text(summary),
        "summary.md": "\n".join(filter(None, [board_tables.markdown(found), markdown(summary), quoted(beside)])),
        "summary.tex": "\n\n".join(filter(None, [NEEDS, board_tables.latex(found), latex(summary)])),
        "curves.csv": csv_text(curves(results)),
        "time_to_quality.csv": csv_text(times_to_quality(results)),
    }
    for name, table in (
        ("leaderboard.csv", joined([board.rows for board in found], BOARD_COLUMNS)),
        ("pairs.csv", joined([board.pairs for board in found], PAIR_COLUMNS)),
        ("published.csv", beside),
    ):
        if len(table):
            texts[name] = csv_text(table)
        else:
            (folder / name).unlink(missing_ok=True)  # of runs that are gone
    for name, text in texts.items():
        atomic.replace_text(folder / name, text)
    return [folder / name for name in texts]


def markdown(summary: pd.DataFrame) -> str:
    """Return one Markdown table per dataset, size and noise; the best of each number of views in bold."""
    if summary.empty:
        return "No runs yet.\n"
    blocks = []
    for title, part in sections(summary):
        notes, ranks, fitted = has_notes(part), has_ranks(part), has_pretrained(part)
        place = [*(["Pretrained"] if fitted else []), *(["Rank"] if ranks else [])]
        heads = ["Views", "Method", *place, *(column.heading for column in COLUMNS), "Runs", *(["Note"] if notes else [])]
        lines = [heads, ["---:", "---", *["---:"] * (len(heads) - 2 - notes), *(["---"] if notes else [])]]
        for _, row in part.iterrows():
            numbers = [f"**{cell(row, c)}**" if leads(row, c) else cell(row, c) for c in COLUMNS]
            place = [*([row["pretrained"]] if fitted else []), *([row["rank"]] if ranks else [])]
            lines.append([str(row["views"]), row["method"], *place, *numbers, counted(row), *([row["note"]] if notes else [])])
        table = "\n".join("| " + " | ".join(_markdown(text) for text in line) + " |" for line in lines)
        blocks.append(f"### {one_line_of(title)}\n\n{table}\n" + (f"\n{said}\n" if (said := remark(part)) else ""))
    return "\n".join(blocks)


def _markdown(text: str) -> str:
    return one_line_of(text).replace("|", "\\|").replace("<", "&lt;")


def latex(summary: pd.DataFrame) -> str:
    """Return one booktabs table per dataset, size and noise; the best of each number of views in bold. Needs \\usepackage{booktabs}."""
    blocks = []
    for title, part in sections(summary):
        ranks = has_ranks(part)
        heads = " & ".join(escape(heading) for heading in [*(["Rank"] if ranks else []), *(column.heading for column in COLUMNS)])
        lines = [
            r"\begin{table}",
            r"  \centering",
            f"  \\caption{{{tex_numbers(escape('. '.join(filter(None, [title, remark(part)]))))}}}",
            f"  \\begin{{tabular}}{{rl{'r' * (len(COLUMNS) + ranks)}}}",
            r"    \toprule",
            f"    Views & Method & {heads} \\\\",
        ]
        for views, rows in part.groupby("views", sort=False):
            lines.append(r"    \midrule")
            for _, row in rows.iterrows():
                lines.append(f"    {views} & {escape(row['method'])} & {_latex_cells(row, ranks)} \\\\")
        lines += [r"    \bottomrule", r"  \end{tabular}", r"\end{table}", ""]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _latex_cells(row: pd.Series, ranks: bool) -> str:
    if row["status"] != "ok":
        return f"\\multicolumn{{{len(COLUMNS) + ranks}}}{{l}}{{{escape(row['note'])}}}"
    texts = [tex_numbers(cell(row, column)) for column in COLUMNS]
    cells = [rf"\textbf{{{text}}}" if leads(row, column) else text for text, column in zip(texts, COLUMNS, strict=True)]
    return " & ".join([*([row["rank"].replace("-", "--")] if ranks else []), *cells])
