"""Write the summary as files: csv for programs, Markdown for reading, LaTeX (booktabs) for papers."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from benchmark.errors import note
from benchmark.report.columns import KINDS, PAPER, Column, chosen, filled
from benchmark.report.curves import curves, times_to_quality
from benchmark.report.published import markdown as quoted
from benchmark.report.published import side_by_side
from benchmark.report.ranking import GROUP, leads
from benchmark.report.summary import (
    cell,
    counted,
    has_notes,
    has_pretrained,
    has_ranks,
    labelled,
    metric_columns,
    remark,
    section_title,
    sections,
    slug,
    summarise,
)
from benchmark.storage import atomic

if TYPE_CHECKING:
    from benchmark.records.store import Results

MOST_NARROW = 4  # columns of numbers in a LaTeX table that is as wide as a column of text
_NAMED = {"\\": "textbackslash", "~": "textasciitilde", "^": "textasciicircum", "<": "textless", ">": "textgreater", "|": "textbar"}
_TEX = {**{sign: f"\\{name}{{}}" for sign, name in _NAMED.items()}, **{sign: f"\\{sign}" for sign in "&%$#_{}"}}


def write_tables(results: Results) -> list[Path]:
    """Write summary.csv, .md and .tex, curves.csv, time_to_quality.csv and, if there are published numbers to compare,
    published.csv into tables/; return the files. summary.md and .tex show `results.columns`, or PAPER without any. Raise StorageError
    if a file cannot be written, InputError for a column that neither a registered metric nor a record has.
    """
    from benchmark.plugins.registry import registry

    table, beside = labelled(results.records), side_by_side(results)
    columns = chosen(results.columns, registry().metrics.values(), metric_columns(table)) or PAPER
    summary = summarise(table, columns)
    for column in columns if results.columns else ():
        if not filled([column], summary):
            note(f"no run has a {column.name}: summary.md and summary.tex leave the column out")
    folder = results.folder / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "summary.csv": summary.to_csv(index=False),
        "summary.md": "\n".join(filter(None, [markdown(summary, columns), quoted(beside)])),
        "summary.tex": latex(summary, columns),
        "curves.csv": curves(results).to_csv(index=False),
        "time_to_quality.csv": times_to_quality(results).to_csv(index=False),
    }
    if len(beside):
        texts["published.csv"] = beside.to_csv(index=False)
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
        lines = [heads, ["---:", "---", *["---:"] * (len(heads) - 2 - notes), *(["---"] if notes else [])]]
        for _, row in part.iterrows():
            numbers = [f"**{cell(row, c)}**" if leads(row, c) else cell(row, c) for c in known]
            place = [*([row["pretrained"]] if fitted else []), *([row["rank"]] if ranks else [])]
            lines.append([str(row["views"]), row["method"], *place, *numbers, counted(row), *([row["note"]] if notes else [])])
        table = "\n".join("| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines)
        blocks.append(f"### {title}\n\n{table}\n" + (f"\n{said}\n" if (said := remark(part)) else ""))
    return "\n".join(blocks)


def latex(summary: pd.DataFrame, columns: Sequence[Column] = PAPER) -> str:
    """Return the tables of `markdown` for LaTeX, each with caption and label and notes; as wide as the page if it has many columns."""
    blocks = ["% needs \\usepackage{booktabs}; letters beyond Latin ones need XeLaTeX or LuaLaTeX"]
    for key, part in summary.groupby(GROUP, sort=False, dropna=False):
        blocks.append(_latex_table(section_title(*key), slug(*(value for value in key if value != "none")), part, columns))
    return "\n\n".join(blocks) + "\n"


def _latex_table(title: str, name: str, part: pd.DataFrame, columns: Sequence[Column]) -> str:
    ranks, known = has_ranks(part), filled(columns, part)
    kind = "table*" if len(known) > MOST_NARROW else "table"
    marks = {
        note: chr(ord("a") + place) if place < 26 else str(place) for place, note in enumerate(filter(None, dict.fromkeys(part["note"])))
    }
    lines = [
        f"\\begin{{{kind}}}",
        r"  \centering\small\setlength{\tabcolsep}{4pt}\setlength{\belowcaptionskip}{4pt}",
        f"  \\caption[{{{escape(title)}}}]{{{_tex_numbers(escape('. '.join(filter(None, [title, remark(part)]))))}}}",
        f"  \\label{{tab:{name}}}",
        f"  \\begin{{tabular}}{{rl{'c' * ranks}{'r' * len(known)}}}",
        r"    \toprule",
        *_latex_heads(["Views", "Method", *(["Rank"] if ranks else [])], known),
    ]
    for views, rows in part.groupby("views", sort=False):
        lines.append(r"    \midrule")
        for _, row in rows.iterrows():
            mark = f"\\textsuperscript{{{marks[row['note']]}}}" if row["note"] else ""
            cells = [str(views), escape(row["method"]) + mark, *_latex_cells(row, ranks, known)]
            lines.append(f"    {' & '.join(cells)} \\\\")
    lines += [r"    \bottomrule", r"  \end{tabular}"]
    notes = [f"\\textsuperscript{{{mark}}} {escape(note)}" for note, mark in marks.items()]
    lines += [f"  \\par\\smallskip\\parbox{{\\linewidth}}{{\\raggedright\\footnotesize {' '.join(notes)}}}"] if notes else []
    return "\n".join([*lines, f"\\end{{{kind}}}"])


def _latex_heads(first: list[str], known: Sequence[Column]) -> list[str]:
    """Return two rows: the scored quantities, each over its columns, and the scores."""
    groups = [(kind, len(list(members))) for kind, members in itertools.groupby(column.kind for column in known)]
    cells, rules, place = [""] * len(first), [], len(first) + 1
    for kind, count in groups:
        cells.append(f"\\multicolumn{{{count}}}{{c}}{{{KINDS.get(kind, '')}}}")
        rules += [f"\\cmidrule(lr){{{place}-{place + count - 1}}}"] if kind in KINDS else []
        place += count
    above = [f"    {' & '.join(cells)} \\\\", f"    {' '.join(rules)}"] if rules else []
    return [*above, f"    {' & '.join([*first, *(escape(column.short) for column in known)])} \\\\"]


def _latex_cells(row: pd.Series, ranks: bool, known: Sequence[Column]) -> list[str]:
    if row["status"] != "ok":
        return [f"\\multicolumn{{{len(known) + ranks}}}{{c}}{{{row['status']}}}"] if len(known) + ranks else []
    texts = [_tex_numbers(cell(row, column)) for column in known]
    cells = [rf"\textbf{{{text}}}" if leads(row, column) else text for text, column in zip(texts, known, strict=True)]
    return [*([row["rank"].replace("-", "--")] if ranks else []), *cells]


def _tex_numbers(text: str) -> str:
    """Return a text with the sign in front of intervals, and the intervals of numbers, as LaTeX."""
    return re.sub(r"(?<=\d) ± ([\d.]+)", r" {\\scriptsize $\\pm$ \1}", text).replace("±", r"$\pm$")


def escape(text: str) -> str:
    """Return plain text escaped for LaTeX."""
    return re.sub(f"[{re.escape(''.join(_TEX))}]", lambda match: _TEX[match.group()], text)
