"""Published numbers beside ours, only if data, number of views and protocol are identical.

published.csv is the table: method, data (a collection), scene (empty: the mean over all `cases` scenes of the collection; 0: unknown
number, so never compared), views, protocol (that of the collection), PSNR [dB], SSIM, seconds (a range), source, note.
A dataset identifies its data by the case's fact `published = {"data": "sax", "scene": "chest"}`, and only if they are exactly as
published: the same projections, grid and units.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from benchmark.report import markdown as md
from benchmark.report.summary import labelled
from benchmark.storage.visible import markdown_text

if TYPE_CHECKING:
    from benchmark.records.store import Results

TABLE = Path(__file__).with_name("published.csv")
HEADS = ("Method", "PSNR [dB]", "SSIM", "Time [s]", "Source")
METRICS = {"naf": "naf", "sax": "naf", "r2": "r2"}  # protocol of a paper -> suffix of our volume metrics that repeat it
COLUMNS = ["data", "scene", "views", "protocol", "method", "whose", "psnr", "ssim", "seconds", "runs", "source", "note"]


@functools.cache
def published() -> pd.DataFrame:
    """Return the table of published numbers."""
    return pd.read_csv(TABLE, keep_default_na=False, na_values={name: [""] for name in ("psnr", "ssim", "seconds_low", "seconds_high")})


def side_by_side(results: Results) -> pd.DataFrame:
    """Return published rows and ours for every data, scene, number of views and protocol in both; empty if there are none.

    Ours are means over seeds, of the metrics that repeat the paper's protocol. A published mean over a collection stands
    beside ours only where a method has finished runs of all its scenes.
    """
    ours = _ours(results)
    rows: list[dict[str, object]] = []
    for (data, scene, views, protocol, cases), papers in published().groupby(["data", "scene", "views", "protocol", "cases"], sort=False):
        suffix = METRICS.get(protocol)
        if suffix is None or ours.empty:
            continue
        part = ours[(ours["data"] == data) & (ours["views"] == views)]
        part = part[part["scene"] == scene] if scene else part
        found = [row for label, runs in part.groupby("label") if (row := _mean(label, runs, suffix, cases)) is not None]
        if found:
            head = {"data": data, "scene": scene or f"all {cases}", "views": views, "protocol": protocol}
            rows += [{**head, **row} for row in [*found, *(_quoted(paper) for _, paper in papers.iterrows())]]
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.sort_values(["data", "scene", "views", "protocol", "psnr"], ascending=[True] * 4 + [False], kind="stable")


def _ours(results: Results) -> pd.DataFrame:
    """Return finished runs without added noise of data that identify themselves as published."""
    table = labelled(results.records)
    table = table[(table["status"] == "ok") & (table["noise"] == "none")]
    facts = {}
    for record in results.records:
        case = results.tried(results.case, record)
        if case is not None and "published" in case.facts:
            facts[record.run_id] = case.facts["published"]
    table = table[table["run_id"].isin(facts)]
    named = {key: [facts[run_id].get(key, "") for run_id in table["run_id"]] for key in ("data", "scene")}
    return table.assign(**named)


def _mean(label: str, runs: pd.DataFrame, suffix: str, cases: int) -> dict[str, object] | None:
    """Return our row: the mean over scenes of the mean over seeds; None unless all scenes are present and scored."""
    names = {"psnr": f"volume_psnr_{suffix}", "ssim": f"volume_ssim_{suffix}"}
    if names["psnr"] not in runs or runs[names["psnr"]].isna().any() or runs["scene"].nunique() != cases:
        return None
    scenes = runs.groupby("scene")[[name for name in (*names.values(), "seconds") if name in runs]].mean().mean()
    values = {key: scenes.get(name) for key, name in names.items()}
    return {"method": label, "whose": "ours", **values, "seconds": f"{scenes['seconds']:.1f}", "runs": len(runs), "source": "", "note": ""}


def _quoted(paper: pd.Series) -> dict[str, object]:
    low, high = paper["seconds_low"], paper["seconds_high"]
    seconds = "" if pd.isna(low) else f"{low:.0f} to {high:.0f}"
    facts = {key: paper[key] for key in ("method", "psnr", "ssim", "source", "note")}
    return {**facts, "whose": "published", "seconds": seconds, "runs": ""}


def markdown(table: pd.DataFrame) -> str:
    """Return the side-by-side table as Markdown; '' if it is empty."""
    if table.empty:
        return ""
    blocks = ["## Beside published numbers\n"]
    for (data, scene, views, protocol), part in table.groupby(["data", "scene", "views", "protocol"], sort=False):
        lines = []
        for _, row in part.iterrows():
            ssim = "" if pd.isna(row["ssim"]) else f"{row['ssim']:.3f}"
            source = "**ours**" if row["whose"] == "ours" else "; ".join(filter(None, [row["source"], row["note"]]))
            lines.append([row["method"], f"{row['psnr']:.2f}", ssim, row["seconds"], source])
        shown = md.table(HEADS, [True, False, False, False, True], lines)
        title = markdown_text(f"{data}: {scene}, {views} views, protocol {protocol}")
        blocks.append(f"### {title}\n\n{shown}\n")
    blocks.append("Published times were measured on other machines.\n")
    return "\n".join(blocks)
