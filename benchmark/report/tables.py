"""The summary as files: csv for programs, Markdown for reading, LaTeX (booktabs) for papers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from benchmark.report.curves import curves, times_to_quality
from benchmark.report.published import markdown as quoted
from benchmark.report.published import side_by_side
from benchmark.report.summary import COLUMNS, RANKED, Column, best, labelled, sections, shown, summarise
from benchmark.storage import atomic

if TYPE_CHECKING:
    from benchmark.records.store import Results

_TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", **{c: f"\\{c}" for c in "&%$#_{}"}}


def write_tables(results: Results) -> list[Path]:
    """Write summary.csv, .md and .tex, curves.csv, time_to_quality.csv and, where there is something to set beside ours,
    published.csv into tables/; returns the files. Raises StorageError if one cannot be written.
    """
    summary, beside = summarise(labelled(results)), side_by_side(results)
    folder = results.folder / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "summary.csv": summary.to_csv(index=False),
        "summary.md": "\n".join(filter(None, [markdown(summary), quoted(beside)])),
        "summary.tex": latex(summary),
        "curves.csv": curves(results).to_csv(index=False),
        "time_to_quality.csv": times_to_quality(results).to_csv(index=False),
    }
    if len(beside):
        texts["published.csv"] = beside.to_csv(index=False)
    for name, text in texts.items():
        atomic.replace(folder / name, text.encode())
    return [folder / name for name in texts]


def cell(row: pd.Series, column: Column) -> str:
    """One number of a table, with half its 95% interval where there are several seeds."""
    text = shown(row[column.name], column.decimals)
    half = row.get(f"{column.name}_half")
    return f"{text} ± {half:.{column.decimals}f}" if text and half is not None and pd.notna(half) else text


def counted(row: pd.Series) -> str:
    """How many runs stand behind a row: '3', or '2/3' if some did not finish."""
    return str(row["runs"]) if row["runs"] == row["planned"] else f"{row['runs']}/{row['planned']}"


def has_notes(part: pd.DataFrame) -> bool:
    """Whether a table needs a column for what went wrong."""
    return bool((part["note"] != "").any())


def has_ranks(part: pd.DataFrame) -> bool:
    """Whether a table needs a column for ranks: not if every method ran with one seed."""
    return bool(part["seeds"].gt(1).any())


def has_pretrained(part: pd.DataFrame) -> bool:
    """Whether a table needs a column for what methods were fitted to beforehand."""
    return bool((part["pretrained"] != "").any())


def remark(part: pd.DataFrame) -> str:
    """What the numbers of a table are: one seed, or means with intervals over several; what each run could use; who does not compete."""
    apart = "Pretrained: fitted to other scans beforehand, so neither ranked nor set in bold among methods that know nothing but the scan."
    return " ".join(filter(None, [_repetitions(part), apart if has_pretrained(part) else ""]))


def _repetitions(part: pd.DataFrame) -> str:
    seeds = sorted({int(count) for count in part.loc[part["status"] == "ok", "seeds"]})
    if not seeds:
        return ""
    budgets = list(dict.fromkeys(part["budget"]))
    allowed = "" if budgets == [""] else f" Each run could use {budgets[0]}." if len(budgets) == 1 else " The budgets differ: see runs.csv."
    if seeds == [1]:
        unlike = part[[f"{name}_leads" for name in RANKED]].eq(False).any(axis=None)
        among = " of methods with the same cases and seeds" if unlike else ""
        return f"One seed: no intervals and no ranks. Bold: the highest number{among}." + allowed
    count = str(seeds[-1]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return (
        f"Mean ± half of its 95% interval (Student's t over n = {count} seeds). Rank: by volume PSNR (held-out PSNR without a truth), only "
        "as far as paired differences over cases and seeds tell methods apart. Bold: what no other is better than, by the same differences."
        + allowed
    )


def markdown(summary: pd.DataFrame) -> str:
    """One Markdown table per dataset, size and noise; the best of each number of views in bold."""
    if summary.empty:
        return "No runs yet.\n"
    blocks = []
    for title, part in sections(summary):
        notes, ranks, fitted = has_notes(part), has_ranks(part), has_pretrained(part)
        place = [*(["Pretrained"] if fitted else []), *(["Rank"] if ranks else [])]
        heads = ["Views", "Method", *place, *(column.heading for column in COLUMNS), "Runs", *(["Note"] if notes else [])]
        marks = best(part)
        lines = [heads, ["---:", "---", *["---:"] * (len(heads) - 2 - notes), *(["---"] if notes else [])]]
        for index, row in part.iterrows():
            numbers = [f"**{cell(row, c)}**" if marks.get((index, c.name)) else cell(row, c) for c in COLUMNS]
            place = [*([row["pretrained"]] if fitted else []), *([row["rank"]] if ranks else [])]
            lines.append([str(row["views"]), row["method"], *place, *numbers, counted(row), *([row["note"]] if notes else [])])
        table = "\n".join("| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines)
        blocks.append(f"### {title}\n\n{table}\n" + (f"\n{said}\n" if (said := remark(part)) else ""))
    return "\n".join(blocks)


def latex(summary: pd.DataFrame) -> str:
    """One booktabs table per dataset, size and noise; the best of each number of views in bold. Needs \\usepackage{booktabs}."""
    blocks = ["% needs \\usepackage{booktabs}"]
    for title, part in sections(summary):
        marks, ranks = best(part), has_ranks(part)
        heads = " & ".join(escape(heading) for heading in [*(["Rank"] if ranks else []), *(column.heading for column in COLUMNS)])
        lines = [
            r"\begin{table}",
            r"  \centering",
            f"  \\caption{{{_tex_numbers(escape('. '.join(filter(None, [title, remark(part)]))))}}}",
            f"  \\begin{{tabular}}{{rl{'r' * (len(COLUMNS) + ranks)}}}",
            r"    \toprule",
            f"    Views & Method & {heads} \\\\",
        ]
        for views, rows in part.groupby("views", sort=False):
            lines.append(r"    \midrule")
            for index, row in rows.iterrows():
                lines.append(f"    {views} & {escape(row['method'])} & {_latex_cells(index, row, marks, ranks)} \\\\")
        lines += [r"    \bottomrule", r"  \end{tabular}", r"\end{table}", ""]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _latex_cells(index: int, row: pd.Series, marks: dict[tuple[int, str], bool], ranks: bool) -> str:
    if row["status"] != "ok":
        return f"\\multicolumn{{{len(COLUMNS) + ranks}}}{{l}}{{{escape(row['note'])}}}"
    texts = [_tex_numbers(cell(row, column)) for column in COLUMNS]
    cells = [rf"\textbf{{{text}}}" if marks.get((index, column.name)) else text for text, column in zip(texts, COLUMNS, strict=True)]
    return " & ".join([*([row["rank"].replace("-", "--")] if ranks else []), *cells])


def _tex_numbers(text: str) -> str:
    return text.replace("±", r"$\pm$")


def escape(text: str) -> str:
    """Plain text for LaTeX."""
    return re.sub(r"[\\~^&%$#_{}]", lambda match: _TEX[match.group()], text)
