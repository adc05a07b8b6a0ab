"""One ranking rule: console, Markdown, LaTeX, csv and page show the same order, the same bold numbers and the same ranks."""

from __future__ import annotations

import html.parser
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import synthetic_results as synthetic

from benchmark.records.store import Results, Store
from benchmark.report.columns import COLUMNS, RANKED
from benchmark.report.console import summary_table
from benchmark.report.page import page
from benchmark.report.ranking import method_order
from benchmark.report.summary import labelled, summarise
from benchmark.report.tables import write_tables

NAMES = {column.heading: column.name for column in COLUMNS if column.ranked}
SEEDS = (0, 1, 2, 3)

Row = tuple[str, str, dict[str, tuple[str, bool]]]  # method, rank, and of each score its text and whether it is bold
Rows = dict[tuple[str, str], list[Row]]  # by section and number of views


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Results:
    """Several seeds with a tie, a pretrained method, one that failed, one with a single seed, a lone one; and a case without truth."""
    folder = tmp_path_factory.mktemp("results") / "mixed"
    store = Store(folder)
    store.prepare()
    chest, alone, walnut = synthetic.case("chest", 10), synthetic.case("chest", 50), synthetic.case("walnut", 10, with_truth=False)
    drift = [0.1 * seed for seed in SEEDS]  # a seed that is hard for one is hard for all
    _add(store, chest, "naf", [(30.02 - x, 39 + x) for x in drift])
    _add(store, chest, "fista_tv", [(30 + x, 40 + x) for x in drift])
    _add(store, chest, "sart", [(27 + x, 38 + x) for x in drift])
    _add(store, chest, "learned", [(35.0, 45.0)] * 4, pretrained=True)
    _add(store, chest, "imported", [(33.0, 41.0)])
    _add(store, chest, "broken", [None] * 4)
    _add(store, alone, "fdk", [(27 + x, 30 + x) for x in drift])
    _add(store, walnut, "fdk", [(None, 28.0)])
    _add(store, walnut, "sart", [(None, 31.001)])
    _add(store, walnut, "naf", [(None, 31.004)])
    _add(store, walnut, "learned", [(None, 40.0)], pretrained=True)
    return Results.open(folder)


def _add(store: Store, problem, method: str, scores: list, pretrained: bool = False) -> None:
    """A run for each seed, with these PSNR of (volume, held-out views); None is a failure."""
    views = problem.scan.geometry.views
    for seed, score in enumerate(scores):
        run = synthetic.spec(method, problem.name, views, 28, seed, problem.digest, **({"weights": "w.pt"} if pretrained else {}))
        run = run.model_copy(update={"weights_digest": "abc" if pretrained else ""})
        facts: dict[str, Any] = {"pretrained": {"digest": "abc", "scans": [{}, {}]}} if pretrained else {}
        if score is None:
            facts |= {"status": "failed", "reason": "it broke | badly\nat step 3"}
        else:
            volume, heldout = score
            known = {} if volume is None else {"volume_psnr": volume, "volume_ssim": volume / 40}
            facts["metrics"] = {**known, "projection_psnr": heldout, "projection_ssim": heldout / 50, "fit_psnr": 50.0 - heldout}
        store.write_record(synthetic.record(run, problem, **facts))


def test_the_rule(results):
    """What the five outputs below are compared with, by hand."""
    summary = summarise(labelled(results.records))
    rows = [
        (row.dataset, row.views, row.method, row.rank, row.volume_psnr_leads, row.projection_psnr_leads) for row in summary.itertuples()
    ]
    assert rows == [
        ("chest", 10, "imported", "", False, False),  # one seed: beside others with several it is not compared
        ("chest", 10, "fista_tv", "1-2", True, True),
        ("chest", 10, "naf", "1-2", True, False),
        ("chest", 10, "sart", "3", False, False),
        ("chest", 10, "broken", "", False, False),
        ("chest", 10, "learned [pretrained]", "", False, False),
        ("chest", 50, "fdk", "", False, False),  # nobody to be better than
        ("walnut", 10, "naf", "", False, True),
        ("walnut", 10, "sart", "", False, True),  # 31.00, as the other
        ("walnut", 10, "fdk", "", False, False),
        ("walnut", 10, "learned [pretrained]", "", False, False),
    ]
    assert set(summary.loc[~summary["competes"], "method"]) == {"imported", "broken", "learned [pretrained]"}


@pytest.mark.parametrize("output", ["console", "markdown", "latex", "page"])
def test_every_output_shows_the_same(results, output):
    found = {"console": console, "markdown": markdown, "latex": latex, "page": web_page}[output](results)
    summary = csv(results)
    assert list(found) == list(summary)
    for key, rows in found.items():
        assert [(method, rank) for method, rank, _ in rows] == [(method, rank) for method, rank, _ in summary[key]]
        for (method, _, cells), (_, _, expected) in zip(rows, summary[key], strict=True):
            assert {name for name, (_, bold) in cells.items() if bold} == {name for name, (_, bold) in expected.items() if bold}, method
            for name, (text, _) in cells.items():
                assert text.partition(" ")[0] == expected[name][0], (method, name)
    several = [rows for (section, _), rows in found.items() if section.startswith("chest")]
    assert all("±" in cells["volume_psnr"][0] for rows in several for method, _, cells in rows if method not in ("imported", "broken"))


def test_methods_over_several_numbers_of_views_stand_in_the_same_order():
    part = pd.DataFrame(
        {
            "method": ["a", "b", "known", "a", "b", "none"],
            "views": [10, 10, 10, 50, 50, 50],
            "pretrained": ["", "", "2 scans", "", "", ""],
            "volume_psnr": [30.0, 31.0, 99.0, 36.0, 34.0, None],
            "projection_psnr": 1.0,
        }
    )
    assert method_order(part) == ["a", "b", "none", "known"]
    assert method_order(part[part["views"] == 10]) == ["b", "a", "known"]
    assert method_order(part.assign(volume_psnr=None, projection_psnr=[1.0, 5.0, 9.0, 1.0, 5.0, 9.0])) == ["none", "b", "a", "known"]


def test_the_words_of_every_output(results):
    """The same remarks, in all that have room for them."""
    several = (
        "methods are ranked only where the paired difference over cases and seeds is statistically significant; blank: not distinguishable"
    )
    folder = _written(results)
    texts = [(folder / name).read_text() for name in ("summary.md", "summary.tex")]
    texts += [page(results, []), str(summary_table(results.records).caption)]
    for text in texts:
        assert several in text and "One seed: no intervals and no ranks. Bold: the highest number." in text
        assert "neither ranked nor set in bold" in text


# -- what the outputs show, read back -----------------------------------------------------------------------------------


def _written(results: Results) -> Path:
    folder = results.folder / "tables"
    if not (folder / "summary.md").exists():
        write_tables(results)
    return folder


def csv(results: Results) -> Rows:
    """Bold is what leads; the numbers as the others round them."""
    found: Rows = {}
    table = pd.read_csv(_written(results) / "summary.csv", dtype=str, keep_default_na=False)
    decimals = {column.name: column.decimals for column in COLUMNS}
    for _, row in table.iterrows():
        texts = {name: row[name] and f"{float(row[name]):.{decimals[name]}f}" for name in RANKED}
        cells = {name: (text, row[f"{name}_leads"] == "True") for name, text in texts.items()}
        found.setdefault((f"{row['dataset']}, {row['size']} voxels, no added noise", row["views"]), []).append(
            (row["method"], row["rank"], cells)
        )
    return found


def matched(pattern: str, text: str) -> re.Match[str]:
    """The match that must be there."""
    found = re.search(pattern, text)
    assert found is not None, text
    return found


def console(results: Results) -> Rows:
    table = summary_table(results.records)
    heads = [str(column.header).replace("\n", " ").replace("\\[", "[") for column in table.columns]
    found: Rows = {}
    for cells in zip(*([str(cell) for cell in column.cells] for column in table.columns), strict=True):
        row = dict(zip(heads, cells, strict=True))
        if not row["Method"].startswith("  "):
            dataset, size, views = matched(r"^(\w+) (\d+), (\d+) views$", row["Method"]).groups()
            rows = found.setdefault((f"{dataset}, {size} voxels, no added noise", views), [])
            continue
        numbers = {name: matched(r"^(\[bold\])?(.*?)(\[/bold\])?$", row[heading]) for heading, name in NAMES.items()}
        shown = {name: (match[2].replace("-", ""), match[1] is not None) for name, match in numbers.items()}
        rows.append((row["Method"].strip().replace("\\[", "["), row["Rank"], shown))
    return found


def markdown(results: Results) -> Rows:
    found: Rows = {}
    for block in (_written(results) / "summary.md").read_text().split("### ")[1:]:
        title, *lines = block.splitlines()
        if title.startswith("Leaderboard"):
            continue
        heads, _, *rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines if line.startswith("|")]
        for cells in rows:
            row = dict(zip(heads, cells, strict=True))
            texts = {name: row.get(heading, "") for heading, name in NAMES.items()}
            shown = {name: (text.strip("*"), text.startswith("**")) for name, text in texts.items()}
            found.setdefault((title, row["Views"]), []).append((row["Method"], row.get("Rank", ""), shown))
    return found


def latex(results: Results) -> Rows:
    found: Rows = {}
    for block in re.split(r"\\begin\{table\*?\}", (_written(results) / "summary.tex").read_text())[1:]:
        title = matched(r"\\caption\[\{(.*?)\}\]", block)[1]
        if title.startswith("Leaderboard"):
            continue
        above, below, *rows = [line.strip().removesuffix(r" \\").split(" & ") for line in block.splitlines() if " & " in line]
        kinds = [kind for count, kind in re.findall(r"\\multicolumn\{(\d)\}\{c\}\{(.*?)\}", " ".join(above)) for _ in range(int(count))]
        first = len(below) - len(kinds)
        heads = below[:first] + [f"{kind} {head}".strip() for kind, head in zip(kinds, below[first:], strict=True)]
        for cells in rows:
            failed = cells[2].startswith(r"\multicolumn")
            row = dict(zip(heads, cells[:2] + [""] * (len(heads) - 2) if failed else cells, strict=True))
            numbers = {name: row.get(heading, "").replace(r"$\pm$", "±") for heading, name in NAMES.items()}
            shown = {name: (re.sub(r"\\textbf\{(.*)\}", r"\1", text), "textbf" in text) for name, text in numbers.items()}
            method = re.sub(r"\\textsuperscript\{.\}$", "", row["Method"]).replace("\\_", "_")
            found.setdefault((title, row["Views"]), []).append((method, row.get("Rank", "").replace("--", "-"), shown))
    return found


class Tables(html.parser.HTMLParser):
    """Every table of a page: its caption, and its rows of (text, bold)."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[tuple[str, list[list[tuple[str, bool]]]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        if tag == "table":
            self.tables.append(("", []))
        if tag == "tr":
            self.tables[-1][1].append([])
        if tag in ("td", "th"):
            self.tables[-1][1][-1].append(("", False))

    def handle_endtag(self, tag):
        while self.open.pop() != tag:  # elements without an end
            pass

    def handle_data(self, data):
        if "caption" in self.open:
            self.tables[-1] = (data, self.tables[-1][1])
        elif "td" in self.open or "th" in self.open:
            self.tables[-1][1][-1][-1] = (data, "b" in self.open)


def web_page(results: Results) -> Rows:
    reader = Tables()
    reader.feed(page(results, []))
    found: Rows = {}
    for caption, (heads, *rows) in reader.tables:
        title, _, what = caption.partition(": ")
        if what != "summary":
            continue
        for cells in rows:
            row = dict(zip([text for text, _ in heads], cells, strict=True))
            shown = {name: row[heading] for heading, name in NAMES.items() if heading in row}
            found.setdefault((title, row["Views"][0]), []).append((row["Method"][0], row.get("Rank", ("", False))[0], shown))
    return found
