"""Static site of results: an index with the leaderboard, a page for each method and for each case. Pages need no server and no network.

Everything comes from records and arrays that agree with their digests. Words of records are escaped and cut, pictures are made from
arrays, and a content security policy lets nothing run but this program's own scripts.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from benchmark.errors import one_line
from benchmark.machine.environment import DISTRIBUTION, project_version
from benchmark.plugins.registry import Registry
from benchmark.records.record import RunRecord
from benchmark.records.results import Results
from benchmark.report import board_tables
from benchmark.report.cases import cased
from benchmark.report.columns import COSTS, RANKED, Column, scores
from benchmark.report.images import window
from benchmark.report.leaderboard import boards
from benchmark.report.page import SCRIPTS, STYLES, WEB, script_text, section_charts, shown_runs
from benchmark.report.provenance import cases as case_facts
from benchmark.report.provenance import environment
from benchmark.report.sheet import head, linked, number, summary_sheet, word
from benchmark.report.summary import labelled, remark, sections, summarise
from benchmark.report.viewers import Viewers
from benchmark.sharing.tame import TEXT, clean, cleaned, file_names, tamed
from benchmark.storage.json_values import plain
from benchmark.storage.visible import csv_text

if TYPE_CHECKING:
    from jinja2 import Environment

OWN = Path(__file__).parent / "web"
LOOKS = ["of_case", "views", "size", "noise", "settings"]  # a case, and how it was looked at


class Site:
    """The pages of a folder of checked results, by file name."""

    def __init__(self, results: Results, registry: Registry, title: str, notes: Sequence[str] = ()) -> None:
        self.results, self.registry, self.title, self.notes = results, registry, clean(title, 200), list(notes)
        results.records = [tamed(record) for record in results.records]
        self.table = cased(results.records)
        self.method_pages = file_names("method", sorted(set(self.table["label"])))
        self.case_pages = file_names("case", sorted(set(self.table["of_case"])))
        self.tags = {label: list(self._part(self.table[self.table["label"] == label]).records[0].tags) for label in self.method_pages}
        self._templates = _templates()

    def files(self) -> dict[str, str]:
        """Return the text of every file of the site. What cannot be made is left out and said in `notes`, which the index shows."""
        found = {"runs.csv": csv_text(self.results.frame())}
        for name, page in self.case_pages.items():
            self._try(found, page, lambda name=name: self._case(name))  # type: ignore[misc]
        for name, page in self.method_pages.items():
            self._try(found, page, lambda name=name: self._method(name))  # type: ignore[misc]
        found["index.html"] = self._index()
        return found

    def _try(self, found: dict[str, str], page: str, make: Callable[[], str]) -> None:
        try:
            found[page] = make()
        except Exception as error:  # records of strangers hold any numbers
            self._note(f"{page}: could not be made", error)
            found[page] = self._render("missing.html.j2", name=page)

    def _note(self, text: str, error: Exception) -> None:
        self.notes.append(_without_folder(f"{text} ({type(error).__name__}: {one_line(error)})", self.results.folder))

    def _render(
        self, template: str, scripts: Sequence[str] = ("memory.js", "tables.js"), *, facts: Any = None, stacks: Any = None, **values: Any
    ) -> str:
        style = "\n".join([*((WEB / name).read_text(encoding="utf-8") for name in STYLES), (OWN / "site.css").read_text(encoding="utf-8")])
        script = "\n".join((WEB / name).read_text(encoding="utf-8") for name in scripts)
        return self._templates.get_template(template).render(
            title=self.title,
            style=style,
            script=script,
            style_hash=_hash(style),
            script_hash=_hash(script),
            data=script_text(cleaned(plain({"tags": self.tags, **(facts or {})}))),
            stacks=stacks or {},
            program=f"{DISTRIBUTION} {project_version()}",
            **values,
        )

    def _part(self, runs: pd.DataFrame) -> Results:
        """Return the results of some runs only."""
        wanted = set(runs["run_id"])
        part = copy.copy(self.results)
        part.records = [record for record in self.results.records if record.run_id in wanted]
        part.problems = []
        return part

    # -- index ------------------------------------------------------------------------------------------------------

    def _index(self) -> str:
        good = self.table[self.table["status"] == "ok"]
        counts = [
            ("runs finished", f"{len(good)} of {len(self.table)}"),
            ("cases", str(len(self.case_pages))),
            ("methods", str(len(self.method_pages))),
        ]
        return self._render(
            "index.html.j2",
            counts=counts,
            boards=self._boards(),
            methods=self._methods(),
            cases=[self._cover(name) for name in self.case_pages],
            notes=self.notes,
        )

    def _boards(self) -> list[dict[str, Any]]:
        """Return the leaderboard; of a single case its summary."""
        try:
            found = [
                {
                    "title": board.title,
                    "table": linked(board_tables.sheet(board), self.method_pages) if len(board.rows) else None,
                    "remark": board.caption,
                }
                for board in boards(self.results)
            ]
        except Exception as error:  # likewise
            self._note("leaderboard: could not be made", error)
            found = []
        if found or self.table.empty:
            return found
        summary = summarise(labelled(self.results.records))
        known = [score for score in scores(summary.columns) if score.protocol == "strict" and summary[score.name].notna().any()]
        return [
            {"title": title, "table": linked(summary_sheet(part, known), self.method_pages), "remark": remark(part)}
            for title, part in sections(summary)
        ]

    def _methods(self) -> dict[str, Any]:
        columns = [head("Runs"), head("Method", word=True), head("Cases"), head("Tags", word=True), head("Code", word=True)]
        rows = []
        for label in self.method_pages:
            runs = self.table[self.table["label"] == label]
            record = self._part(runs).records[0]
            code = " ".join(filter(None, map(str, (record.plugin.get("distribution", ""), record.plugin.get("version", "")))))
            counts = (float(len(runs)), float(runs["of_case"].nunique()))
            cells = [number(counts[0], 0), word(label), number(counts[1], 0), word(", ".join(record.tags)), word(code)]
            rows.append({"cells": cells, "failed": False, "views": ""})
        return linked({"columns": columns, "rows": rows}, self.method_pages)

    def _cover(self, name: str) -> dict[str, Any]:
        """Return the link to a case, with a slice of it."""
        part = self._part(self.table[self.table["of_case"] == name])
        try:
            picture = _picture(part)
        except Exception as error:  # volumes of strangers hold any numbers
            self._note(f"{name}: no picture", error)
            picture = None
        words = self._licence(part.records[0])
        return {"name": name, "page": self.case_pages[name], "words": words, **(picture or {"picture": ""})}

    # -- methods ----------------------------------------------------------------------------------------------------

    def _method(self, label: str) -> str:
        runs = self.table[self.table["label"] == label]
        part = self._part(runs)
        record = part.records[0]
        spec = self.registry.methods.get(record.spec.method)
        about = [("Summary", spec.summary if spec else ""), ("Cite", spec.cite if spec else ""), ("Tags", ", ".join(record.tags))]
        about += [("Random", "no: equal for every seed")] if record.deterministic else []
        about += [("Pretrained on", json.dumps(plain(record.pretrained)))] if record.pretrained else []
        about += [("Revision", ", ".join(sorted({str(other.spec.method_revision) for other in part.records})))]
        return self._render(
            "method.html.j2",
            name=label,
            about=[(name, text) for name, text in about if text],
            numbers=self._numbers(runs),
            failures=_failures(part.records),
            codes=_codes(part.records),
            environment=[*environment(part), *_devices(part.records)],
            parameters=_parameters(part.records, dict(zip(runs["run_id"], runs["of_case"], strict=True))),
        )

    def _numbers(self, runs: pd.DataFrame) -> dict[str, Any]:
        """Return a method's means over seeds, a row for each case and look at it."""
        known: list[Column] = [*(score for score in scores(RANKED) if runs[score.name].notna().any()), *COSTS]
        columns = [head("Views"), head("Case", word=True), head("Size"), head("Noise", word=True), head("Settings", word=True)]
        columns += [*(head(column.heading) for column in known), head("Runs"), head("Note", word=True, width="wide")]
        rows = []
        for (case, views, size, noise, settings), part in runs.groupby(LOOKS, sort=True, dropna=False):
            good = part[part["status"] == "ok"]
            cells = [number(views, 0), word(case) | {"link": self.case_pages[case]}, number(size, 0), word(noise), word(settings)]
            cells += [number(good[column.name].mean() if len(good) else None, column.decimals) for column in known]
            bad = part[part["status"] != "ok"]
            note = "; ".join(dict.fromkeys(f"{run.status}: {run.reason.splitlines()[0] if run.reason else ''}" for run in bad.itertuples()))
            cells += [number(float(len(good)), 0, text=f"{len(good)}/{len(part)}" if len(bad) else None), word(note)]
            rows.append({"cells": cells, "failed": not len(good), "views": views})
        return {"columns": columns, "rows": rows}

    # -- cases ------------------------------------------------------------------------------------------------------

    def _case(self, name: str) -> str:
        part = self._part(self.table[self.table["of_case"] == name])
        table = labelled(part.records).assign(
            label=self.table.set_index("run_id")["label"].reindex([r.run_id for r in part.records]).to_numpy()
        )
        summary = summarise(table)
        known = [score for score in scores(summary.columns) if score.protocol == "strict" and summary[score.name].notna().any()]
        names = dict(zip(table["run_id"], table["label"], strict=True))
        viewers = Viewers(part, names, shown_runs(part, table, summary, names))
        charts = section_charts(part, table, summary, names, known)
        blocks = [
            {
                "title": title,
                "table": linked(summary_sheet(rows, known), self.method_pages),
                "remark": remark(rows),
                "chart": charts[title],
                "viewers": viewers.by_section.get(title, []),
            }
            for title, rows in sections(summary)
        ]
        facts = {
            "charts": [block["chart"] for block in blocks],
            "viewers": [viewer for block in blocks for viewer in block["viewers"]],
            "stacks": {name: stack.facts() for name, stack in viewers.stacks.items()},
        }
        spec = self.registry.datasets.get(part.records[0].spec.dataset)
        about = [("Dataset", part.records[0].spec.dataset), ("About", spec.summary if spec else "")]
        about += [("Licence", self._licence(part.records[0])), ("Cite", spec.cite if spec else "")]
        return self._render(
            "case.html.j2",
            SCRIPTS,
            name=name,
            about=[(key, text) for key, text in about if text],
            blocks=blocks,
            facts=facts,
            stacks=viewers.stacks,
            data_facts=case_facts(part),
            problems=[_without_folder(problem, self.results.folder) for problem in part.problems],
        )

    def _licence(self, record: RunRecord) -> str:
        """Return the licence of the data, as their dataset states it here."""
        spec = self.registry.datasets.get(record.spec.dataset)
        return spec.licence if spec else ""


def _templates() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    def finalize(value: Any) -> Any:
        return clean(value, TEXT) if isinstance(value, str) and not isinstance(value, Markup) else value

    return Environment(
        loader=FileSystemLoader([OWN, WEB]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=finalize,
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _picture(part: Results) -> dict[str, Any] | None:
    """Return the middle slice of the truth, else of the first volume, as a small grey picture; None without one."""
    from PIL import Image

    for record in part.records:
        case = part.tried(part.case, record)
        volume = None if case is None else case.truth
        if volume is None:
            volume = part.tried(part.volume, record)
        if volume is None or volume.size == 0:
            continue
        low, high = window(volume)
        plane = np.asarray(volume[len(volume) // 2][::-1], dtype=np.float64)  # +y is up
        step = -(-max(plane.shape) // 160)
        grey = np.clip((plane[::step, ::step] - low) / (high - low) * 255, 0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(grey).save(buffer, "PNG", optimize=True)
        data = base64.b64encode(buffer.getvalue()).decode()
        return {"picture": f"data:image/png;base64,{data}", "width": grey.shape[1], "height": grey.shape[0]}
    return None


def _failures(records: Sequence[RunRecord]) -> list[dict[str, str]]:
    bad = [record for record in records if record.status != "ok"]
    return [
        {
            "run": f"{record.case or record.spec.dataset}, {record.views} views, seed {record.spec.seed}",
            "status": record.status,
            "reason": record.reason or "no reason recorded",
        }
        for record in bad
    ]


def _codes(records: Sequence[RunRecord]) -> list[list[tuple[str, str]]]:
    """Return every state of a method's code, with the number of runs that it made."""
    counts: dict[str, int] = {}
    for record in records:
        if record.plugin:
            text = json.dumps(plain(record.plugin), sort_keys=True)
            counts[text] = counts.get(text, 0) + 1
    return [[*((name, str(value)) for name, value in json.loads(text).items()), ("runs", str(count))] for text, count in counts.items()]


def _devices(records: Sequence[RunRecord]) -> list[tuple[str, str]]:
    found = [(name, dict.fromkeys(getattr(record, name) for record in records)) for name in ("engine", "device")]
    return [(name, "; ".join(filter(None, values))) for name, values in found if any(values)]


def _parameters(records: Sequence[RunRecord], cases: dict[str, str]) -> list[dict[str, str]]:
    """Return every set of parameters, and the cases that it was used on."""
    places: dict[str, dict[str, None]] = {}
    for record in records:
        text = json.dumps(plain(record.spec.method_params), indent=1)
        places.setdefault(text, {})[cases[record.run_id]] = None
    return [{"where": ", ".join(names), "text": text} for text, names in places.items()]


def _without_folder(text: str, folder: Path) -> str:
    """Return a message without the place of a folder on this machine."""
    return text.replace(f"{folder}/", "").replace(str(folder), folder.name)
