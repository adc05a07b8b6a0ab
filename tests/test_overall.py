"""Figures over all cases: means by hand, gaps where a case is missing, nothing of tuning cases, and the Pareto front."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest
import synthetic_results as synthetic
from test_columns import compiled

from benchmark.records.store import Results, Store
from benchmark.records.suite import Suite, write_suite
from benchmark.report import canvas, figures, tables, trends
from benchmark.report.leaderboard import boards
from benchmark.report.overall import Overall, overall
from benchmark.report.page import page

SCORES = {"chest": 30.0, "head": 32.0, "walnut": 40.0, "thorax": 99.0}  # volume PSNR of "a" at 10 views without noise


def sweep(folder: Path, views: tuple[int, ...] = (10, 50), photons: tuple[float | None, ...] = (None,)) -> Results:
    """Method a, and b, which is 2 dB worse and faster and fails for the head at 50 views. Thorax is a tuning case."""
    store = Store(folder)
    store.prepare()
    write_suite(folder, Suite(tuning=("thorax",)))
    for name, score in SCORES.items():
        for count in views:
            problem = synthetic.case(name, count, shape=(4, 5, 6))
            for level in photons:
                for method, less, seconds in (("a", 0.0, 8.0), ("b", 2.0, 2.0)):
                    run = synthetic.spec(method, name, count, 6, digest=problem.digest, photons=level)
                    value = score - less + (count > 10) - (0 if level is None else 1)
                    failed = method == "b" and name == "head" and count == 50
                    facts = (
                        {"status": "failed", "reason": "it broke"} if failed else {"seconds": seconds, "metrics": {"volume_psnr": value}}
                    )
                    store.write_record(synthetic.record(run, problem, **facts))
    return Results.open(folder)


def drawn(results: Results) -> dict[str, Overall]:
    with canvas.styled():
        return {figure.name: figure for figure in overall(boards(results), canvas.Palette(["a", "b"]))}


def test_means_over_cases_have_a_band_and_a_gap_where_a_case_is_missing(tmp_path):
    found = drawn(sweep(tmp_path))
    assert list(found) == ["views-overall-6", "costs-overall-6"]
    figure = found["views-overall-6"]
    (axis,) = [axis for axis in figure.figure.axes if axis.get_visible()]  # no panel for scores that nobody has
    lines = {label: list(line.get_ydata()) for label, line in zip("ab", axis.get_lines(), strict=True)}
    assert lines["a"] == [34.0, 35.0]  # (30 + 32 + 40) / 3, without the thorax
    assert lines["b"][0] == 32.0 and math.isnan(lines["b"][1])
    band = axis.collections[0].get_paths()[0].vertices
    half = 4.3027 * pd.Series([30.0, 32.0, 40.0]).std() / 3**0.5  # Student's t with two degrees of freedom; here it is the wider one
    assert band[:, 1].min() == pytest.approx(34 - half, abs=1e-3) and band[:, 1].max() == pytest.approx(35 + half, abs=1e-3)
    assert "Means over 3 cases (chest, head, walnut)" in figure.caption and "Methods were set on thorax: not counted." in figure.caption
    assert "left out: b (2/3 cases, 50 views)" in figure.caption


def test_score_against_photons_with_no_noise_at_the_end(tmp_path):
    found = drawn(sweep(tmp_path, views=(10,), photons=(None, 1e5, 1e4)))
    figure = found["noise-overall-10-views-6"]
    (axis,) = [axis for axis in figure.figure.axes if axis.get_visible()]
    line = axis.get_lines()[0]
    assert list(line.get_xdata()) == pytest.approx([1e4, 1e5, 1e5 * 10**0.5]) and list(line.get_ydata()) == [33.0, 33.0, 34.0]
    assert axis.get_xscale() == "log"
    assert [text.get_text() for text in axis.get_xticklabels()] == ["1e4", "1e5", "no photon\nnoise"]
    assert figure.title == "Score against noise: 3 cases, 10 views, 6 voxels"
    assert {name for name in found if name.startswith("costs")} == {
        f"costs-overall-6{end}" for end in ("", "-poisson-1e+04", "-poisson-1e+05")
    }


def test_one_case_has_no_figure_over_cases(tmp_path):
    assert drawn(synthetic.fill(tmp_path, views=(10,), methods=("fdk", "sart"), shape=(4, 5, 6))) == {}


def test_the_pareto_front_by_hand():
    points = pd.DataFrame({"method": list("abcdef"), "seconds": [1, 2, 2, 5, 9, 9], "score": [20.0, 25.0, 24.0, 25.0, 30.0, 30.0]})
    front = trends.pareto_front(points, "seconds", "score")
    assert front["method"].tolist() == ["a", "b", "e", "f"]  # c: the same time, worse; d: the same score, slower; e and f are equal


def test_rings_mark_the_front_of_each_number_of_views(tmp_path):
    figure = drawn(sweep(tmp_path))["costs-overall-6"].figure
    rings = [tuple(map(tuple, ring.get_offsets().tolist())) for ring in figure.axes[0].collections]
    assert rings == [((2.0, 32.0), (8.0, 34.0))]  # at 50 views a is alone


def test_the_page_shows_them(tmp_path, monkeypatch):
    monkeypatch.setattr(canvas, "UNDATED", {"png": {}})  # quicker
    monkeypatch.setattr(canvas, "DPI", 40)
    results = sweep(tmp_path, views=(10,))
    text = page(results, figures.write_figures(results))
    assert "<h3>Score against views: 3 cases, 6 voxels, no added noise</h3>" in text and 'href="figures/costs-overall-6.png"' in text
    assert (tmp_path / "figures" / "costs-overall-6.png").stat().st_size > 0
    section = text[text.index('id="leaderboard"') : text.index('id="part-1"')]
    assert "Figures for papers (3," in section  # two over all cases, and the critical differences
    assert section.count('<a href="figures/critical-difference-10-views-6.png">') == 2  # the picture, and in the list


def test_tables_with_a_leaderboard_compile(tmp_path):
    tables.write_tables(sweep(tmp_path))
    compiled(tmp_path, (tmp_path / "tables" / "summary.tex").read_text(), "leaderboard-10-views-6", width="16cm")
