"""Tables of the page as plain values: switchable, sortable columns, and cells with text and sort key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from benchmark.records.frame import COST, METRICS
from benchmark.report.columns import COSTS, STRICT, Column, filled, shown
from benchmark.report.ranking import leads
from benchmark.report.summary import cell, counted, has_notes, has_pretrained, has_ranks
from benchmark.storage.visible import one_line_of

HEADS = {"label": "method"}  # for columns with unclear names
SMALLER = re.compile(r"\[s\]|seconds|memory|rank|rmse|width|\bl1\b|views", re.IGNORECASE)  # headings of columns whose smallest is the best
WIDTHS = {"noise": "narrow", "status": "narrow", "engine": "narrow", "device": "narrow", "reason": "wide", "run_id": "whole"}
RUN_COLUMNS = ("case", "label", "size", "noise", "views", "seed", "status", *METRICS, *COST, "engine", "device", "reason", "run_id")


def summary_sheet(part: pd.DataFrame, scores: Iterable[Column]) -> dict[str, Any]:
    """Return one section of a summary, with a column for every score of every protocol; at first only the strict one shows."""
    known = filled((*scores, *COSTS), part)
    ranks, fitted, notes = has_ranks(part), has_pretrained(part), has_notes(part)
    heads = [head("Views"), head("Method", word=True), *([head("Pretrained", word=True)] if fitted else [])]
    heads += [head("Rank", word=True, width="narrow")] if ranks else []
    heads += [head(column.title, kind=column.kind, metric=column.metric, protocol=column.protocol) for column in known]
    heads += [head("Runs"), *([head("Note", word=True, width="wide")] if notes else [])]
    rows = []
    for _, row in part.iterrows():
        cells = [number(row["views"], 0), word(row["method"]), *([word(row["pretrained"])] if fitted else [])]
        cells += [word(row["rank"])] if ranks else []
        cells += [number(row[column.name], column.decimals, text=cell(row, column), bold=leads(row, column)) for column in known]
        cells += [number(row["runs"], 0, text=counted(row)), *([word(row["note"])] if notes else [])]
        rows.append({"cells": cells, "failed": row["status"] != "ok", "views": int(row["views"])})
    return {"columns": heads, "rows": rows}


def times_sheet(times: pd.DataFrame) -> dict[str, Any]:
    """Return the mean seconds to each quality, from `curves.mean_times`."""
    levels = [name for name in times.columns if name.startswith("seconds_to_")]
    heads = [f"To {_level(name)} [s]" for name in levels]
    columns = [head("Views"), head("Method", word=True), head("Best volume PSNR [dB]"), *map(head, heads), head("Runs")]
    rows = []
    for _, row in times.iterrows():
        cells = [number(row["views"], 0), word(row["label"]), number(row["best_psnr"], 2)]
        cells += [*(number(row[name], 1) for name in levels), number(row["runs"], 0)]
        rows.append({"cells": cells, "failed": False, "views": int(row["views"])})
    return {"columns": columns, "rows": rows}


def _level(name: str) -> str:
    """Return '30 dB' for 'seconds_to_30', 'best − 0.5 dB' for 'seconds_to_best_minus_0.5'."""
    return name.removeprefix("seconds_to_").replace("_minus_", " − ") + " dB"


def published_sheet(table: pd.DataFrame) -> dict[str, Any]:
    """Return our rows among the published ones, from `published.side_by_side`."""
    heads = ("Data", "Scene", "Method", "Source")
    columns = [head("Views"), *(head(name, word=True) for name in heads)]
    columns += [head("Protocol", word=True), head("PSNR [dB]"), head("SSIM"), head("Time [s]", word=True)]
    rows = []
    for _, row in table.iterrows():
        source = "ours" if row["whose"] == "ours" else "; ".join(filter(None, [row["source"], row["note"]]))
        cells = [number(row["views"], 0), *map(word, (row["data"], row["scene"], row["method"], source, row["protocol"]))]
        cells += [number(row["psnr"], 2), number(row["ssim"], 3), word(row["seconds"])]
        rows.append({"cells": cells, "failed": False, "views": int(row["views"])})
    return {"columns": columns, "rows": rows}


def runs_sheet(table: pd.DataFrame) -> dict[str, Any]:
    """Return every run with its strict scores, its cost and its outcome, without columns that no run has."""
    words = {"case", "noise", "label", "engine", "device", "status", "reason", "run_id"}
    names = [name for name in RUN_COLUMNS if name in words or table[name].notna().any()]
    rows = []
    for _, row in table.iterrows():
        cells = [word(str(row[n])) if n in words else number(row[n], _decimals(n)) for n in names]
        rows.append({"cells": cells, "failed": row["status"] != "ok", "views": int(row["views"])})
    columns = [head(HEADS.get(n, n.replace("_", " ")), word=n in words, width=WIDTHS.get(n, "")) for n in names]
    return {"columns": columns, "rows": rows}


def head(heading: str, *, word: bool = False, width: str = "", kind: str = "", metric: str = "", protocol: str = "") -> dict[str, Any]:
    """Return a heading; the page's switches select by `kind`, `metric` and `protocol`, and at first only the strict protocol shows.

    A click sorts the best first: by text, or by number with the largest first unless the smallest is the best.

    The width of words is 'narrow' (a word or two), 'wide' (sentences), 'whole' (never broken) or '' (a name).
    """
    return {
        "heading": heading,
        "word": word,
        "style": f"word {width}".strip() if word else "",
        "kind": kind,
        "metric": metric,
        "protocol": protocol,
        "hidden": protocol not in ("", STRICT),
        "up": word or SMALLER.search(heading) is not None,
    }


def linked(sheet: dict[str, Any], anchors: Mapping[str, str], *, where: str = "") -> dict[str, Any]:
    """Return a sheet whose methods link to their parameters or pages, and whose rows name their method, for the page's filter.

    `anchors` are addresses by label of a method. Only rows with a cell `where` count, if given.
    """
    place = next((index for index, column in enumerate(sheet["columns"]) if column["heading"].lower() == "method"), None)
    if place is None:
        return sheet
    for row in sheet["rows"]:
        label = row["cells"][place]["text"]
        if label in anchors and (not where or any(cell["text"] == where for cell in row["cells"])):
            row["method"] = label
            row["cells"][place]["link"] = anchors[label]
    return sheet


def number(value: float | None, decimals: int, *, text: str | None = None, bold: bool = False) -> dict[str, Any]:
    """Return a cell: its text and its sort key."""
    return {
        "text": text if text is not None else shown(value, decimals),
        "sort": None if value is None or pd.isna(value) else float(value),
        "bold": bold,
    }


def word(text: str) -> dict[str, Any]:
    """Return a cell that sorts by its text, in one line."""
    return {"text": one_line_of(text), "sort": None, "bold": False}


def _decimals(name: str) -> int:
    return 2 if name.endswith("psnr") else 3 if name.endswith("ssim") else 1 if name.endswith("seconds") else 0
