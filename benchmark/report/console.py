"""Summary for the terminal: summary.md as one compact table with a block per dataset, size, noise and number of views."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd
from rich.markup import escape
from rich.table import Table

from benchmark.records.record import RunRecord
from benchmark.records.titles import case_words
from benchmark.report.columns import NARROW, Column, filled
from benchmark.report.ranking import GROUP, leads
from benchmark.report.summary import cell, counted, has_notes, has_pretrained, has_ranks, labelled, remark, sections, summarise


def summary_table(records: Iterable[RunRecord], columns: Sequence[Column] = ()) -> Table:
    """Return methods in their order, the best numbers in bold; runs without a result with their reason, '-' for a missing number.

    Of `columns` (NARROW without any) those with a value are shown.
    """
    summary = summarise(labelled(records), columns)
    known = filled(columns or NARROW, summary)
    ranks, counts = has_ranks(summary), bool(summary["planned"].gt(1).any())
    notes = has_notes(summary) or has_pretrained(summary)
    remarks = dict.fromkeys(filter(None, (remark(part) for _, part in sections(summary))))
    table = Table(header_style="bold", caption=escape("\n".join(remarks)) or None, caption_justify="left")
    for heading in ("Method", *(["Rank"] if ranks else [])):
        table.add_column(heading, overflow="fold")
    for heading in (*(column.title for column in known), *(["Runs"] if counts else [])):
        table.add_column(escape(heading.replace(" ", "\n", 1)), justify="right")
    if notes:
        table.add_column("Note", overflow="fold")
    for (dataset, size, noise, views), rows in summary.groupby([*GROUP, "views"], sort=False, dropna=False):
        table.add_section()
        table.add_row(escape(case_words(dataset, "" if pd.isna(size) else int(size), views, noise)))
        for _, row in rows.iterrows():
            numbers = [_number(row, column) for column in known]
            ends = [*([counted(row)] if counts else []), *([_note(row)] if notes else [])]
            table.add_row(escape(f"  {row['method']}"), *([row["rank"]] if ranks else []), *numbers, *map(escape, ends))
    return table


def _number(row: pd.Series, column: Column) -> str:
    text = cell(row, column) or "-"
    return f"[bold]{text}[/bold]" if leads(row, column) else text


def _note(row: pd.Series) -> str:
    fitted = "" if row["pretrained"] == "yes" else f" on {row['pretrained']}"  # if the number of scans is unknown
    return "; ".join(filter(None, [f"pretrained{fitted}, not compared" if row["pretrained"] else "", row["note"]]))
