"""Write the summary as files: csv for programs, Markdown for reading, LaTeX (booktabs) for papers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from benchmark.errors import note
from benchmark.report import board_tables, tex
from benchmark.report import markdown as md
from benchmark.report.columns import KINDS, PAPER, Column, chosen, filled
from benchmark.report.curves import curves
from benchmark.report.leaderboard import COLUMNS as BOARD_COLUMNS
from benchmark.report.leaderboard import PAIR_COLUMNS, joined
from benchmark.report.overview import Overview
from benchmark.report.published import markdown as quoted
from benchmark.report.ranking import GROUP, leads
from benchmark.report.summary import (
    cell,
    counted,
    has_notes,
    has_pretrained,
    has_ranks,
    metric_columns,
    remark,
    section_title,
    sections,
    slug,
    summarise,
)
from benchmark.storage import atomic
from benchmark.storage.visible import csv_text, markdown_text

if TYPE_CHECKING:
    from benchmark.records.store import Results

MOST_NARROW = 4  # columns of numbers in a LaTeX table that is as wide as a column of text
NEEDS = "% needs \\usepackage{booktabs}; letters beyond Latin ones need XeLaTeX or LuaLaTeX"


def write_tables(results: Results, overview: Overview | None = None) -> list[Path]:
    """Write runs.csv, summary.csv, .md and .tex, curves.csv, time_to_quality.csv; for several cases leaderboard.csv and pairs.csv, and
    published.csv if there are published numbers to compare, into tables/; return the files. Of each data summary.md and .tex show
    `results.columns`, or PAPER without any. Raise StorageError if a file cannot be written, InputError for a column that neither a
    registered metric nor a record has.
    """
    from benchmark.plugins.registry import registry

    overview = overview or Overview(results)
    beside, found = overview.published, overview.boards
    columns = chosen(results.columns, registry().metrics.values(), metric_columns(overview.table)) or PAPER
    summary = summarise(overview.table, columns) if results.columns else overview.summary
    for column in columns if results.columns else ():
        if not filled([column], summary):
            note(f"no run has a {column.name}: summary.md and summary.tex leave the column out")
    folder = results.folder / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "runs.csv": csv_text(results.frame()),
        "summary.csv": csv_text(summary),
        "summary.md": "\n".join(filter(None, [board_tables.markdown(found), markdown(summary, columns), quoted(beside)])),
        "summary.tex": "\n\n".join(filter(None, [NEEDS, board_tables.latex(found), latex(summary, columns)])) + "\n",
        "curves.csv": csv_text(curves(results)),
        "time_to_quality.csv": csv_text(overview.times),
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


def markdown(summary: pd.DataFrame, columns: Sequence[Column] = PAPER) -> str:
    """Return one Markdown table per dataset, size and noise, with those of `columns` that have a value; the best numbers in bold."""
    if summary.empty:
        return "No runs yet.\n"
    blocks = []
    for title, part in sections(summary):
        notes, ranks, fitted, known = has_notes(part), has_ranks(part), has_pretrained(part), filled(columns, part)
        place = [*(["Pretrained"] if fitted else []), *(["Rank"] if ranks else [])]
        heads = ["Views", "Method", *place, *(column.title for column in known), "Runs", *(["Note"] if notes else [])]
        words = [head in ("Method", "Note") for head in heads]
        lines = []
        for _, row in part.iterrows():
            numbers = [md.bold(cell(row, c), leads(row, c)) for c in known]
            place = [*([row["pretrained"]] if fitted else []), *([row["rank"]] if ranks else [])]
            lines.append([str(row["views"]), row["method"], *place, *numbers, counted(row), *([row["note"]] if notes else [])])
        blocks.append(
            f"### {markdown_text(title)}\n\n{md.table(heads, words, lines)}\n" + (f"\n{said}\n" if (said := remark(part)) else "")
        )
    return "\n".join(blocks)


def latex(summary: pd.DataFrame, columns: Sequence[Column] = PAPER) -> str:
    """Return the tables of `markdown` for LaTeX, each with caption and label and notes; as wide as the page if it has many columns."""
    return "\n\n".join(
        _latex_table(section_title(*key), slug(*(value for value in key if value != "none")), part, columns)
        for key, part in summary.groupby(GROUP, sort=False, dropna=False)
    )


def _latex_table(title: str, name: str, part: pd.DataFrame, columns: Sequence[Column]) -> str:
    ranks, known = has_ranks(part), filled(columns, part)
    kind = "table*" if len(known) > MOST_NARROW else "table"
    marks = {
        note: chr(ord("a") + place) if place < 26 else str(place) for place, note in enumerate(filter(None, dict.fromkeys(part["note"])))
    }
    lines = _latex_heads(["Views", "Method", *(["Rank"] if ranks else [])], known)
    for views, rows in part.groupby("views", sort=False):
        lines.append(r"    \midrule")
        for _, row in rows.iterrows():
            mark = f"\\textsuperscript{{{marks[row['note']]}}}" if row["note"] else ""
            cells = [str(views), tex.escape(row["method"]) + mark, *_latex_cells(row, ranks, known)]
            lines.append(f"    {' & '.join(cells)} \\\\")
    notes = [f"\\textsuperscript{{{mark}}} {tex.escape(note)}" for note, mark in marks.items()]
    below = [f"  \\par\\smallskip\\parbox{{\\linewidth}}{{\\raggedright\\footnotesize {' '.join(notes)}}}"] if notes else []
    caption = ". ".join(filter(None, [title, remark(part)]))
    columns_of = f"rl{'c' * ranks}{'r' * len(known)}"
    return tex.table(kind, r"\small\setlength{\tabcolsep}{4pt}", title, caption, name, columns_of, lines, below)


def _latex_heads(first: list[str], known: Sequence[Column]) -> list[str]:
    """Return two rows: the scored quantities, each over its columns, and the scores."""
    groups = [(kind, len(list(members))) for kind, members in itertools.groupby(column.kind for column in known)]
    cells, rules, place = [""] * len(first), [], len(first) + 1
    for kind, count in groups:
        cells.append(f"\\multicolumn{{{count}}}{{c}}{{{KINDS.get(kind, '')}}}")
        rules += [f"\\cmidrule(lr){{{place}-{place + count - 1}}}"] if kind in KINDS else []
        place += count
    above = [f"    {' & '.join(cells)} \\\\", f"    {' '.join(rules)}"] if rules else []
    return [*above, f"    {' & '.join([*first, *(tex.escape(column.short) for column in known)])} \\\\"]


def _latex_cells(row: pd.Series, ranks: bool, known: Sequence[Column]) -> list[str]:
    if row["status"] != "ok":
        return [f"\\multicolumn{{{len(known) + ranks}}}{{c}}{{{row['status']}}}"] if len(known) + ranks else []
    texts = [tex.numbers(cell(row, column)) for column in known]
    cells = [rf"\textbf{{{text}}}" if leads(row, column) else text for text, column in zip(texts, known, strict=True)]
    return [*([row["rank"].replace("-", "--")] if ranks else []), *cells]
