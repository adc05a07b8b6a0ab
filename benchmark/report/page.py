"""Write one self-contained HTML page: tables, charts, slices, failures and provenance.

The page's parts lie in web/ (template, style sheet, scripts) and are put into the one file when it is written; the scripts
read a JSON object of facts and, once scrolled into view, the packed stacks of images.
"""

from __future__ import annotations

import base64
import itertools
import json
import urllib.parse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from benchmark.report import board_tables
from benchmark.report.canvas import Palette
from benchmark.report.charts import chart
from benchmark.report.clouds import Clouds
from benchmark.report.columns import PROTOCOLS, Column, scores, words
from benchmark.report.curves import mean_times
from benchmark.report.figures import one_per_label
from benchmark.report.overall import SECTION
from benchmark.report.overview import Overview
from benchmark.report.provenance import cases, environment, methods
from benchmark.report.ranking import GROUP
from benchmark.report.sheet import linked, published_sheet, runs_sheet, summary_sheet, times_sheet
from benchmark.report.summary import remark, section_title, sections
from benchmark.report.viewers import Shown, Viewers
from benchmark.storage import atomic
from benchmark.storage.json_values import plain

if TYPE_CHECKING:
    from benchmark.records.store import Results
    from benchmark.report.canvas import Picture

WEB = Path(__file__).parent / "web"
STYLES, SCRIPTS = (
    ("page.css",),
    ("controls.js", "memory.js", "tables.js", "charts.js", "inflate.js", "stacks.js", "viewers.js", "clouds.js"),
)
LIVE = ("live.js",)  # only in the page of a sweep under way


def write_page(results: Results, figures: Iterable[Picture], overview: Overview | None = None) -> Path:
    """Write report.html; `figures` are listed on it, as files for papers. Return its path. Raise StorageError if writing fails."""
    path = results.folder / "report.html"
    atomic.replace_text(path, page(results, figures, overview=overview))
    return path


def page(results: Results, figures: Iterable[Picture], live: str = "", overview: Overview | None = None) -> str:
    """Return the page as text; it needs neither the network nor any other file.

    `live` names the state of the records, in a page for a sweep under way: it loads the script now.js beside it every second
    (see benchmark.live), and holds no images, since making them would slow the runs.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(loader=FileSystemLoader(WEB), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    pictures = list(figures)
    overview = overview or Overview(results)
    table, summary, names = overview.table, overview.summary, overview.names
    known = [score for score in scores(summary.columns) if summary[score.name].notna().any()]
    runs = [] if live else shown_runs(results, table, summary, names)
    viewers = Viewers(results, names, runs)
    clouds = Clouds(results, names, runs)
    charts = section_charts(results, table, summary, names, known)
    times = {section_title(*key): part for key, part in overview.times.groupby(GROUP, sort=False, dropna=False)}
    beside = overview.published
    parameters = methods(results, table)
    anchors = {entry["label"]: f"#{entry['anchor']}" for entry in reversed(parameters)}  # the first of several
    tags = _tags(results, names)
    leaderboard = [
        {
            "title": board.title,
            "table": linked(board_tables.sheet(board), anchors) if len(board.rows) else None,
            "remark": board.caption,
            "views": board.views,
            "shown": [_embedded(picture, results.folder) for picture in pictures if picture.section == board.title and picture.shown],
        }
        for board in overview.boards
    ]
    blocks: list[dict[str, Any]] = [
        {
            "title": title,
            "table": linked(summary_sheet(part, known), anchors),
            "remark": remark(part),
            "times": linked(times_sheet(mean_times(times[title], part)), anchors) if title in times else None,
            "chart": charts[title],
            "viewers": viewers.by_section.get(title, []),
            "clouds": clouds.by_section.get(title, []),
            "figures": [_named(picture, results.folder) for picture in pictures if picture.section == title],
            "shown": [_embedded(picture, results.folder) for picture in pictures if picture.section == title and picture.shown],
        }
        for title, part in sections(summary)
    ]
    facts = {
        "charts": [block["chart"] for block in blocks],
        "viewers": [viewer for block in blocks for viewer in block["viewers"]],
        "clouds": [block["clouds"] for block in blocks],
        "stacks": {name: stack.facts() for name, stack in viewers.stacks.items()},
        "tags": tags,
    }
    return templates.get_template("page.html.j2").render(
        title=results.folder.resolve().name,
        style="\n".join((WEB / name).read_text(encoding="utf-8") for name in STYLES),
        script="\n".join((WEB / name).read_text(encoding="utf-8") for name in (*SCRIPTS, *(LIVE if live else ()))),
        live=live,
        data=script_text(facts),
        stacks=viewers.stacks,
        clouds=clouds.texts,
        facts=_facts(table),
        switches=_switches(known, table, tags),
        leaderboard=leaderboard,
        over_cases=[_named(p, results.folder) for p in pictures if p.section in {SECTION, *(board["title"] for board in leaderboard)}],
        overall=[_embedded(picture, results.folder) for picture in pictures if picture.section == SECTION],
        blocks=blocks,
        published=linked(published_sheet(beside), anchors, where="ours") if len(beside) else None,
        failures=_failures(results, names),
        problems=results.problems,
        cases=cases(results),
        methods=parameters,
        environment=environment(results),
        runs=linked(runs_sheet(table), anchors),
    )


def shown_runs(results: Results, table: pd.DataFrame, summary: pd.DataFrame, names: dict[str, str]) -> list[Shown]:
    """Return the runs side by side in each viewer: one of each method, the best first."""
    means = dict(sections(summary))
    found = []
    for key, part in table.groupby(GROUP, sort=True, dropna=False):
        section = section_title(*key)
        for case, runs in part.groupby("case", sort=True):
            identities = set(runs["run_id"])
            records = [record for record in results.records if record.run_id in identities]
            counts = sorted({record.views for record in records})
            groups = {views: one_per_label([r for r in records if r.views == views], names, means[section]) for views in counts}
            found.append(Shown(section, str(case), groups))
    return found


def section_charts(
    results: Results, table: pd.DataFrame, summary: pd.DataFrame, names: dict[str, str], known: list[Column]
) -> dict[str, dict[str, Any]]:
    palette = Palette(table.loc[table["status"] == "ok", "label"])
    members = {section_title(*key): set(part["run_id"]) for key, part in table.groupby(GROUP, sort=False, dropna=False)}
    return {
        title: chart(part, [record for record in results.records if record.run_id in members[title]], names, palette, known)
        for title, part in sections(summary)
    }


def script_text(facts: dict[str, Any]) -> str:
    """Return JSON that is safe between script tags: no text in it can end the element."""
    return json.dumps(plain(facts), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _facts(table: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the numbers at the top of the page."""
    good = table[table["status"] == "ok"]
    datasets = ", ".join(sorted(set(table["dataset"])))
    views = ", ".join(str(count) for count in sorted(set(table["views"])))
    finished = f"{len(good)} of {len(table)}"
    minutes = f"{good['seconds'].sum() / 60:.1f} min"
    names = (("runs finished", finished), ("datasets", datasets), ("views", views), ("methods", str(table["label"].nunique())))
    return [*names, ("method time", minutes)] if len(table) else [("runs", "none yet")]


def _tags(results: Results, names: dict[str, str]) -> dict[str, list[str]]:
    """Return the tags of every label; those of its runs together, if they differ."""
    found: dict[str, dict[str, None]] = {}
    for record in results.records:
        found.setdefault(names[record.run_id], {}).update(dict.fromkeys(record.tags))
    return {label: list(tags) for label, tags in found.items()}


def _switches(known: list[Column], table: pd.DataFrame, tags: dict[str, list[str]]) -> dict[str, list[tuple[str, str]]]:
    """Return the options of the tables' switches: (value, text) of every protocol, metric, number of views, and tag of methods."""
    protocols = {score.protocol for score in known}
    metrics = dict.fromkeys(score.metric for score in known)
    return {
        "protocols": [(name, name) for name in PROTOCOLS if name in protocols],
        "metrics": [(name, words(name).partition(" [")[0]) for name in metrics],
        "views": [(str(count), str(count)) for count in sorted(set(table["views"]))],
        "tags": [(tag, tag) for tag in dict.fromkeys(sorted(itertools.chain.from_iterable(tags.values())))],
    }


def _failures(results: Results, names: dict[str, str]) -> list[dict[str, str]]:
    """Return every run without a result, failures before skips."""
    bad = sorted((record for record in results.records if record.status != "ok"), key=lambda record: record.status)
    return [
        {
            "run": f"{record.case or record.spec.dataset}, {record.views} views, {names[record.run_id]}, seed {record.spec.seed}",
            "status": record.status,
            "reason": record.reason or "no reason recorded",
            "log": record.log_tail,
            "run_id": record.run_id,
        }
        for record in bad
    ]


def _embedded(picture: Picture, folder: Path) -> dict[str, str]:
    """Return a picture embedded in the page, and the link to its file."""
    png = next(path for path in picture.files if path.suffix == ".png")
    data = base64.b64encode(png.read_bytes()).decode()
    return {"title": picture.title, "caption": picture.caption, "source": f"data:image/png;base64,{data}", "link": _link(png, folder)}


def _named(picture: Picture, folder: Path) -> dict[str, Any]:
    """Return a picture's title and its files: links relative to the page, and their texts."""
    files = [(_link(path, folder), path.name) for path in picture.files]
    return {"title": picture.title, "caption": picture.caption, "files": files}


def _link(path: Path, folder: Path) -> str:
    return urllib.parse.quote(path.relative_to(folder).as_posix())
