"""One self-contained HTML page: the tables, the figures, what failed, and where every number comes from."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from benchmark import atomic
from benchmark.frame import COST, METRICS
from benchmark.report.provenance import cases, environment, methods
from benchmark.report.summary import COLUMNS, best, labelled, sections, shown, summarise
from benchmark.report.tables import cell, counted, has_notes

if TYPE_CHECKING:
    from benchmark.report.canvas import Picture
    from benchmark.store import Results

_TYPES = {".png": "image/png", ".svg": "image/svg+xml"}


def write_page(results: Results, figures: Iterable[Picture]) -> Path:
    """Write report.html with these figures embedded; returns its path. Raises StorageError."""
    path = results.folder / "report.html"
    atomic.replace(path, page(results, figures).encode())
    return path


def page(results: Results, figures: Iterable[Picture]) -> str:
    """The page as text; needs nothing from the network and no other file."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    table = labelled(results)
    summary = summarise(table)
    pictures = list(figures)
    titles = list(dict.fromkeys([*(title for title, _ in sections(summary)), *(picture.section for picture in pictures)]))
    parts = dict(sections(summary))
    blocks = [
        {
            "title": title,
            "table": _summary_table(parts[title]) if title in parts else None,
            "protocols": _protocol_table(parts[title]) if title in parts else None,
            "figures": [_embedded(picture) for picture in pictures if picture.section == title],
        }
        for title in titles
    ]
    return templates.get_template("page.html.j2").render(
        title=results.folder.resolve().name,
        facts=_facts(table),
        blocks=blocks,
        failures=_failures(table),
        problems=results.problems,
        cases=cases(results),
        methods=methods(results, table),
        environment=environment(results),
        runs=_runs_table(table),
    )


def _facts(table: pd.DataFrame) -> list[tuple[str, str]]:
    """The numbers at the top of the page."""
    good = table[table["status"] == "ok"]
    datasets = ", ".join(sorted(set(table["dataset"])))
    views = ", ".join(str(count) for count in sorted(set(table["views"])))
    finished = f"{len(good)} of {len(table)}"
    hours = f"{good['seconds'].sum() / 60:.1f} min"
    names = (("runs finished", finished), ("datasets", datasets), ("views", views), ("methods", str(table["label"].nunique())))
    return [*names, ("method time", hours)] if len(table) else [("runs", "none yet")]


def _number(value: float | None, decimals: int, *, text: str | None = None, bold: bool = False) -> dict[str, Any]:
    """A cell: what it shows and what it sorts by."""
    return {
        "text": text if text is not None else shown(value, decimals),
        "sort": None if value is None or pd.isna(value) else float(value),
        "bold": bold,
    }


def _word(text: str) -> dict[str, Any]:
    return {"text": text, "sort": None, "bold": False}


def _summary_table(part: pd.DataFrame) -> dict[str, Any]:
    marks, notes = best(part), has_notes(part)
    heads = ["Views", "Method", *(column.heading for column in COLUMNS), "Runs", *(["Note"] if notes else [])]
    rows = []
    for index, row in part.iterrows():
        numbers = [_number(row[c.name], c.decimals, text=cell(row, c), bold=marks.get((index, c.name), False)) for c in COLUMNS]
        first = [_number(row["views"], 0), _word(row["method"])]
        last = [_number(row["runs"], 0, text=counted(row)), *([_word(row["note"])] if notes else [])]
        rows.append({"cells": [*first, *numbers, *last], "failed": row["status"] != "ok"})
    return {"heads": heads, "rows": rows, "words": {"Method", "Note"}}


def _protocol_table(part: pd.DataFrame) -> dict[str, Any] | None:
    """Means of the metrics of the other protocols; None if there are none."""
    known = {column.name for column in COLUMNS}
    names = [name for name in part.columns if name.startswith(("volume_", "projection_", "fit_")) and name not in known]
    names = [name for name in names if not name.endswith("_sd") and part[name].notna().any()]
    good = part[part["status"] == "ok"]
    if not names or good.empty:
        return None
    rows = [
        {
            "cells": [_number(row["views"], 0), _word(row["method"]), *(_number(row[n], 2 if "psnr" in n else 3) for n in names)],
            "failed": False,
        }
        for _, row in good.iterrows()
    ]
    return {"heads": ["Views", "Method", *names], "rows": rows, "words": {"Method"}}


def _runs_table(table: pd.DataFrame) -> dict[str, Any]:
    words = ["case", "noise", "label", "engine", "device", "status", "reason", "run_id"]
    names = ["case", "label", "size", "noise", "views", "seed", "status", *METRICS, *COST, "engine", "device", "reason", "run_id"]
    rows = []
    for _, row in table.iterrows():
        cells = [_word(str(row[n])) if n in words else _number(row[n], _decimals(n)) for n in names]
        rows.append({"cells": cells, "failed": row["status"] != "ok"})
    return {"heads": [name.replace("_", " ") for name in names], "rows": rows, "words": {name.replace("_", " ") for name in words}}


def _decimals(name: str) -> int:
    return 2 if name.endswith("psnr") else 3 if name.endswith("ssim") else 1 if name.endswith("seconds") else 0


def _failures(table: pd.DataFrame) -> list[dict[str, str]]:
    bad = table[table["status"] != "ok"]
    return [
        {
            "run": f"{row.case}, {row.views} views, {row.label}, seed {row.seed}",
            "status": row.status,
            "reason": row.reason or "no reason recorded",
        }
        for row in bad.itertuples()
    ]


def _embedded(picture: Picture) -> dict[str, str]:
    path = next((file for file in picture.files if file.suffix == (".svg" if picture.vector else ".png")), picture.files[0])
    data = base64.b64encode(path.read_bytes()).decode()
    source = f"data:{_TYPES[path.suffix]};base64,{data}"
    return {"title": picture.title, "caption": picture.caption, "source": source, "name": path.stem}
