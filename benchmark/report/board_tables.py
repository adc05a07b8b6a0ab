"""Boards of the leaderboard as Markdown, LaTeX (booktabs), a table for the terminal, and a sheet for the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import rich.markup
from rich.box import SIMPLE_HEAD
from rich.table import Table

from benchmark.report import markdown as md
from benchmark.report.board import Board, Cell, Head, note
from benchmark.report.columns import COSTS
from benchmark.report.sheet import head, number, word
from benchmark.report.summary import slug
from benchmark.report.tex import escape, numbers
from benchmark.report.tex import table as tex_table
from benchmark.storage.visible import markdown_text

WIDE = ("Pretrained", "Tags")  # left out where room is short
NOTE = "Note"
MEMORY = next(column for column in COSTS if column.name == "peak_memory_mb")


def markdown(boards: Sequence[Board]) -> str:
    """Return one Markdown table per board, each with its caption; '' without boards."""
    blocks = []
    for board in boards:
        heads, words = [heading.text for heading in board.heads], [heading.word for heading in board.heads]
        table = md.table(heads, words, ([md.bold(cell.text, cell.bold) for cell in board.cells(row)] for _, row in board.rows.iterrows()))
        parts = [f"### {markdown_text(board.title)}", *([table] if len(board.rows) else []), markdown_text(board.caption)]
        blocks.append("\n\n".join(parts) + "\n")
    return "\n".join(blocks)


def latex(boards: Sequence[Board]) -> str:
    """Return one table per board, as wide as the page, with caption and label; '' without boards. Needs \\usepackage{booktabs}."""
    return "\n\n".join(_latex_table(board) for board in boards if len(board.rows))


def _latex_table(board: Board) -> str:
    heads = [head for head in board.heads if head.text not in (*WIDE, NOTE)]
    lines = [f"    {' & '.join(_latex_head(head) for head in heads)} \\\\", r"    \midrule"]
    for _, row in board.rows.iterrows():
        cells = [cell for head, cell in zip(board.heads, board.cells(row), strict=True) if head in heads]
        texts = [f"\\textbf{{{numbers(escape(cell.text))}}}" if cell.bold else numbers(escape(cell.text)) for cell in cells]
        if row["missing"]:
            texts = [texts[0], f"\\multicolumn{{{len(heads) - 1}}}{{l}}{{{escape(note(row))}}}"]
        lines.append(f"    {' & '.join(texts)} \\\\")
    caption, columns = f"{board.title}. {board.caption}", "".join("l" if head.word else "r" for head in heads)
    return tex_table("table*", r"\footnotesize\setlength{\tabcolsep}{3pt}", board.title, caption, name(board), columns, lines)


def _latex_head(head: Head) -> str:
    """Return a heading in two lines, if it has two words or more; {} keeps LaTeX from reading [s] as a length."""
    first, _, rest = head.text.partition(" ")
    return f"\\shortstack[{'l' if head.word else 'r'}]{{{escape(first)}\\\\{{}}{escape(rest)}}}" if rest else escape(first)


def name(board: Board) -> str:
    """Return a name for labels and files: 'leaderboard-10-views-64'."""
    noise = "" if board.noise == "none" else board.noise
    front = "tuning" if board.block == "tuning" else "leaderboard"
    return slug(*filter(None, (front, f"{board.views}-views", board.size, noise, board.settings)))


def terminal(boards: Sequence[Board]) -> list[Table | str]:
    """Return one table per board, without tags and memory, notes below.

    Captions of boards that say the same stand below the last of them.
    """
    found: list[Table | str] = []
    for place, board in enumerate(boards):
        title = rich.markup.escape(board.title)
        if board.rows.empty:
            found.append(f"{title}. {rich.markup.escape(board.caption)}")
            continue
        said = [f"{row['method']}: {note(row)}." for _, row in board.rows.iterrows() if row["missing"]]
        said += [board.caption] if place + 1 == len(boards) or boards[place + 1].caption != board.caption else []
        table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        table.caption, table.caption_justify = rich.markup.escape("\n".join(said)) or None, "left"
        shown = [heading for heading in board.heads if heading.text not in (*WIDE, NOTE) and heading.column != MEMORY]
        for heading in shown:
            text = rich.markup.escape(heading.text.replace(" ", "\n"))
            table.add_column(text, justify="left" if heading.word else "right", overflow="fold")
        for _, row in board.rows.iterrows():
            cells = [cell for heading, cell in zip(board.heads, board.cells(row), strict=True) if heading in shown]
            texts = [rich.markup.escape(cell.text.replace(" ±", "\n±") or "-") for cell in cells]
            table.add_row(*(f"[bold]{text}[/bold]" if cell.bold else text for text, cell in zip(texts, cells, strict=True)))
        found.append(table)
    return found


def sheet(board: Board) -> dict[str, Any]:
    """Return a board for the page. The switches of scores and views act on it; those of protocols do not: it is by the strict one."""
    columns = [head("Views")]
    for heading in board.heads:
        column = heading.column
        narrow = "narrow" if heading.text == "Letters" else "wide" if heading.text == NOTE else ""
        scored = {"kind": column.kind, "metric": column.metric} if column is not None else {}
        columns.append(head(heading.text, word=heading.word, width=narrow, **scored))
    rows = []
    for _, row in board.rows.iterrows():
        cells = [_sheet_cell(heading, cell) for heading, cell in zip(board.heads, board.cells(row), strict=True)]
        views = number(float(board.views), 0) if board.views.isdigit() else word(board.views)
        rows.append({"cells": [views, *cells], "failed": bool(row["missing"]), "views": board.views})
    return {"columns": columns, "rows": rows}


def _sheet_cell(heading: Head, cell: Cell) -> dict[str, Any]:
    return word(cell.text) if heading.word else number(cell.number, 0, text=cell.text, bold=cell.bold)
