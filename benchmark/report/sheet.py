"""The page's tables as plain values: columns that can be switched and sorted, and cells with what they show and sort by."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from benchmark.records.frame import COST, METRICS
from benchmark.report.quantity import STRICT, Quantity
from benchmark.report.summary import COLUMNS, best, shown
from benchmark.report.tables import cell, counted, has_notes, has_pretrained

STRICT_COLUMNS = {column.name: column for column in COLUMNS}
HEADS = {"label": "method"}  # of columns whose name says too little
WIDTHS = {"noise": "narrow", "status": "narrow", "engine": "narrow", "device": "narrow", "reason": "wide", "run_id": "whole"}
RUN_COLUMNS = ("case", "label", "size", "noise", "views", "seed", "status", *METRICS, *COST, "engine", "device", "reason", "run_id")


def summary_sheet(part: pd.DataFrame, scores: Iterable[Quantity]) -> dict[str, Any]:
    """One section of a summary, with a column for every score of every protocol; the strict one is what shows at first."""
    marks = best(part)
    known = [score for score in scores if score.name in part and part[score.name].notna().any()]
    costs = [column for column in COLUMNS if column.name in ("seconds", "peak_memory_mb")]
    ranks, fitted = "rank" in part and bool((part["rank"] != "").any()), has_pretrained(part)
    columns = [column("Views"), column("Method", word=True), *([column("Pretrained", word=True)] if fitted else [])]
    columns += [column("Rank", word=True, width="narrow")] if ranks else []
    columns += [column(_heading(score), kind=score.kind, metric=score.metric, protocol=score.protocol) for score in known]
    columns += [column(cost.heading, kind="cost") for cost in costs]
    columns += [column("Runs"), *([column("Note", word=True, width="wide")] if has_notes(part) else [])]
    rows = []
    for index, row in part.iterrows():
        cells = [number(row["views"], 0), word(row["method"]), *([word(row["pretrained"])] if fitted else [])]
        cells += [word(str(row["rank"]))] if ranks else []
        for score in known:
            strict = STRICT_COLUMNS.get(score.name)
            text = cell(row, strict) if strict else None
            cells.append(number(row[score.name], score.decimals, text=text, bold=marks.get((index, score.name), False)))
        cells += [number(row[cost.name], cost.decimals) for cost in costs]
        cells += [number(row["runs"], 0, text=counted(row)), *([word(row["note"])] if has_notes(part) else [])]
        rows.append({"cells": cells, "failed": row["status"] != "ok", "views": int(row["views"])})
    return {"columns": columns, "rows": rows}


def times_sheet(times: pd.DataFrame) -> dict[str, Any]:
    """Mean seconds to each quality, from `curves.mean_times`."""
    levels = [name for name in times.columns if name.startswith("seconds_to_")]
    heads = [f"To {_level(name)} [s]" for name in levels]
    columns = [column("Views"), column("Method", word=True), column("Best volume PSNR [dB]"), *map(column, heads), column("Runs")]
    rows = []
    for _, row in times.iterrows():
        cells = [number(row["views"], 0), word(row["label"]), number(row["best_psnr"], 2)]
        cells += [*(number(row[name], 1) for name in levels), number(row["runs"], 0)]
        rows.append({"cells": cells, "failed": False, "views": int(row["views"])})
    return {"columns": columns, "rows": rows}


def _level(name: str) -> str:
    """'seconds_to_30' is '30 dB', 'seconds_to_best_minus_0.5' is 'best − 0.5 dB'."""
    return name.removeprefix("seconds_to_").replace("_minus_", " − ") + " dB"


def published_sheet(table: pd.DataFrame) -> dict[str, Any]:
    """Our rows among those of papers, from `published.side_by_side`."""
    heads = ("Data", "Scene", "Method", "Source")
    columns = [column("Views"), *(column(head, word=True) for head in heads)]
    columns += [column("Protocol", word=True), column("PSNR [dB]"), column("SSIM"), column("Time [s]", word=True)]
    rows = []
    for _, row in table.iterrows():
        source = "ours" if row["whose"] == "ours" else "; ".join(filter(None, [row["source"], row["note"]]))
        cells = [number(row["views"], 0), *map(word, (row["data"], row["scene"], row["method"], source, row["protocol"]))]
        cells += [number(row["psnr"], 2), number(row["ssim"], 3), word(row["seconds"])]
        rows.append({"cells": cells, "failed": False, "views": int(row["views"])})
    return {"columns": columns, "rows": rows}


def runs_sheet(table: pd.DataFrame) -> dict[str, Any]:
    """Every run with its strict scores, its cost and its outcome; numbers that no run has are left out."""
    words = {"case", "noise", "label", "engine", "device", "status", "reason", "run_id"}
    names = [name for name in RUN_COLUMNS if name in words or table[name].notna().any()]
    rows = []
    for _, row in table.iterrows():
        cells = [word(str(row[n])) if n in words else number(row[n], _decimals(n)) for n in names]
        rows.append({"cells": cells, "failed": row["status"] != "ok", "views": int(row["views"])})
    columns = [column(HEADS.get(n, n.replace("_", " ")), word=n in words, width=WIDTHS.get(n, "")) for n in names]
    return {"columns": columns, "rows": rows}


def column(heading: str, *, word: bool = False, width: str = "", kind: str = "", metric: str = "", protocol: str = "") -> dict[str, Any]:
    """A heading; `kind`, `metric` and `protocol` are what the page's switches go by, and only the strict protocol shows at first.

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
    }


def number(value: float | None, decimals: int, *, text: str | None = None, bold: bool = False) -> dict[str, Any]:
    """A cell: what it shows and what it sorts by."""
    return {
        "text": text if text is not None else shown(value, decimals),
        "sort": None if value is None or pd.isna(value) else float(value),
        "bold": bold,
    }


def word(text: str) -> dict[str, Any]:
    """A cell that sorts by what it shows."""
    return {"text": text, "sort": None, "bold": False}


def _heading(score: Quantity) -> str:
    return score.heading if score.protocol == STRICT else f"{score.heading}, {score.protocol}"


def _decimals(name: str) -> int:
    return 2 if name.endswith("psnr") else 3 if name.endswith("ssim") else 1 if name.endswith("seconds") else 0
