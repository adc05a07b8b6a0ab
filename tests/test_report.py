"""Tables, figures and the page, from made-up runs in a real results folder."""

import json
import re
import subprocess
import sys

import matplotlib
import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic

from benchmark.cli.main import main
from benchmark.plugins.specs import resolve
from benchmark.records.frame import frame
from benchmark.records.store import Results, Store
from benchmark.records.titles import dataset_names
from benchmark.report import (
    canvas,
    convergence,
    figures,
    images,
    mosaics,
    ranking,
    register_reporters,
    summary,
    trends,
    write_report,
)
from benchmark.report.columns import COLUMNS
from benchmark.report.console import summary_table

KINDS = ("png", "svg", "pdf")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A small sweep with one failure and one skip, and the files of its report."""
    folder = tmp_path_factory.mktemp("results") / "a_sweep"
    synthetic.fill(folder, views=(10, 50), methods=("fdk", "sart", "naf"))
    synthetic.add_failure(folder)
    results = synthetic.add_failure(folder, "tigre_fdk", "needs tigre_<x> & more", "skipped", views=50)
    return results, write_report(results)


def numbers(*columns, **values):
    """A frame of runs with defaults for everything that is not given."""
    count = max(len(value) for value in values.values())
    blank = {"dataset": "d", "case": "d", "size": 8, "views": 10, "noise": "none", "label": "m", "seed": 0, "status": "ok", "reason": ""}
    blank["pretrained"] = ""
    scores = dict.fromkeys([*summary.METRICS, "seconds", "cpu_seconds", "peak_memory_mb"], 1.0)
    budgets = dict.fromkeys(summary.BUDGETS, np.nan)
    return pd.DataFrame({**blank, **scores, **budgets, "run_id": "r", "deterministic": False, **values}, index=range(count))


# -- registration -------------------------------------------------------------------------------------------------------


def test_the_report_is_a_reporter_and_costs_nothing_to_list(report):
    (spec,) = register_reporters()
    assert resolve(spec.target) is write_report
    code = "import sys, benchmark.report as r; r.register_reporters(); print([x for x in ('pandas', 'matplotlib') if x in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_every_promised_file_is_there(report):
    results, files = report
    assert all(path.stat().st_size > 0 for path in files)
    names = {str(path.relative_to(results.folder)) for path in files}
    expected = {"tables/runs.csv", "tables/summary.csv", "tables/summary.md", "tables/summary.tex", "report.html"}
    expected |= {"tables/curves.csv", "tables/time_to_quality.csv"}
    expected |= {
        f"figures/{stem}-28{end}.{kind}" for stem in ("views-chest", "costs-chest", "convergence-chest") for end in ("",) for kind in KINDS
    }
    expected |= {f"figures/{stem}-chest-28-{v}-views.{kind}" for stem in ("slices", "projections") for v in (10, 50) for kind in KINDS}
    assert names == expected
    assert files[-1].name == "report.html"
    assert not [path for path in results.folder.rglob(".*") if path.is_file() and path.suffix in (".png", ".svg", ".pdf", ".html", ".csv")]


def test_the_same_results_give_the_same_files(report):
    results, files = report
    before = {path: path.read_bytes() for path in files}
    assert write_report(Results.open(results.folder)) == files
    assert [path.name for path in files if path.read_bytes() != before[path]] == []


def test_a_folder_without_runs_has_a_report_that_says_so(tmp_path):
    Store(tmp_path).prepare()
    files = write_report(Results.open(tmp_path))
    names = ["runs.csv", "summary.csv", "summary.md", "summary.tex", "curves.csv", "time_to_quality.csv", "report.html"]
    assert [path.name for path in files] == names
    assert (tmp_path / "tables/summary.md").read_text() == "No runs yet.\n"
    assert "none yet" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("name", ["runs/*/volume.nii.gz", "cases/*/truth.nii.gz", "cases/*/heldout.npy", "cases/*/case.json"])
def test_a_damaged_file_is_left_out_and_said_and_all_else_is_written(tmp_path, monkeypatch, capsys, name):
    monkeypatch.setattr(canvas, "UNDATED", {"png": {}})  # quicker
    synthetic.fill(tmp_path, views=(10, 50), methods=("fdk", "sart"))
    damaged = sorted(tmp_path.glob(name))[0]
    damaged.write_bytes(damaged.read_bytes()[:100])
    assert main(["report", str(tmp_path)]) == 1
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning")]
    assert len(said) == 1 and said[0].startswith(f"warning: {damaged}: expected a complete file, found one that cannot be read (")
    page = (tmp_path / "report.html").read_text()
    assert str(damaged) in page and (tmp_path / "tables/summary.md").exists()
    slices = {path.name for path in (tmp_path / "figures").glob("slices-*")}
    assert len(slices) == (2 if "volume" in name else 1)


def test_only_failures_make_tables_but_no_figures(tmp_path):
    Store(tmp_path).prepare()
    files = write_report(synthetic.add_failure(tmp_path))
    assert not [path for path in files if path.suffix == ".png"]
    assert "diverged" in (tmp_path / "tables/summary.md").read_text()


# -- summary ------------------------------------------------------------------------------------------------------------


def test_means_are_over_cases_and_seeds_of_finished_runs():
    table = numbers(
        case=["a", "b", "a", "b"], seed=[0, 0, 1, 1], status=["ok", "ok", "ok", "failed"], reason=["", "", "", "it broke\nbadly"],
        volume_psnr=[30.0, 32.0, 34.0, np.nan], seconds=[1.0, 2.0, 6.0, np.nan],
    )  # fmt: skip
    row = summary.summarise(table).iloc[0]
    assert (row["volume_psnr"], row["seconds"], row["volume_psnr_sd"]) == (32.0, 3.0, 2.0)
    assert (row["runs"], row["planned"], row["cases"], row["seeds"]) == (3, 4, 2, 2)
    assert row["note"] == "1 of 4 failed: it broke"
    assert summary.counted(row) == "3/4"


def test_rows_are_sorted_by_volume_psnr_within_a_number_of_views_and_failures_come_last():
    table = numbers(
        label=["worst", "best", "broken", "middle", "other"], views=[10, 10, 10, 10, 5], status=["ok", "ok", "failed", "ok", "ok"],
        volume_psnr=[20.0, 30.0, np.nan, 25.0, 1.0], projection_psnr=[1.0, 2.0, np.nan, 3.0, 1.0],
    )  # fmt: skip
    assert list(summary.summarise(table)["method"]) == ["other", "best", "middle", "worst", "broken"]


def test_without_a_truth_the_held_out_views_rank():
    table = numbers(label=["a", "b"], volume_psnr=[np.nan, np.nan], projection_psnr=[30.0, 40.0])
    assert list(summary.summarise(table)["method"]) == ["b", "a"]


def test_different_noise_sizes_and_datasets_are_never_averaged():
    table = numbers(dataset=["a", "a", "a", "b"], noise=["none", "poisson 1e+05", "none", "none"], size=[8, 8, 16, 8])
    assert len(summary.summarise(table)) == 4
    titles = [title for title, _ in summary.sections(summary.summarise(table))]
    assert titles == [
        "a, 8 voxels, no added noise",
        "a, 8 voxels, poisson 1e+05",
        "a, 16 voxels, no added noise",
        "b, 8 voxels, no added noise",
    ]


def test_the_best_is_per_number_of_views_with_ties_as_shown_and_never_the_fit():
    table = numbers(
        label=["a", "b", "c", "a"], views=[10, 10, 10, 50], volume_psnr=[30.001, 30.004, 29.0, 31.0], fit_psnr=[50.0, 40.0, 30.0, 20.0]
    )
    rows = summary.summarise(table)
    marks = {(row["views"], row["method"], column.name) for _, row in rows.iterrows() for column in COLUMNS if ranking.leads(row, column)}
    assert {mark for mark in marks if mark[2] == "volume_psnr"} == {(10, "a", "volume_psnr"), (10, "b", "volume_psnr")}
    assert not [mark for mark in marks if mark[2] in ("fit_psnr", "seconds") or mark[0] == 50]  # nobody to be better than


def test_with_one_seed_a_method_without_all_cases_is_not_the_best():
    table = numbers(label=["a", "b", "b", "c", "c"], case=["x", "x", "y", "x", "y"], volume_psnr=[30.0, 31.0, 20.0, 31.0, 19.0])
    rows = summary.summarise(table)
    assert rows.loc[rows["volume_psnr_leads"], "method"].tolist() == ["b"] and rows.loc[~rows["competes"], "method"].tolist() == ["a"]
    assert "Bold: the highest number of methods with the same cases and seeds." in summary.remark(rows)
    alike = summary.summarise(table[table["case"] == "x"])
    assert alike["competes"].all() and "Bold: the highest number." in summary.remark(alike)


def test_an_interval_stands_only_beside_the_mean_of_the_same_runs():
    table = numbers(label=["a"] * 5, case=["x", "y", "x", "y", "x"], seed=[0, 0, 1, 1, 2], volume_psnr=[30.0, 20.0, 32.0, 22.0, 99.0])
    assert summary.summarise(table)["volume_psnr_half"].isna().all()
    whole = summary.summarise(table[table["seed"] < 2]).iloc[0]
    assert whole["volume_psnr"] == 26.0 and whole["volume_psnr_half"] == pytest.approx(12.706, abs=1e-3)
    one_scored = table.assign(projection_psnr=[30.0, np.nan, 32.0, np.nan, 34.0])  # the other case has no such score
    assert summary.summarise(one_scored)["projection_psnr_half"].item() == pytest.approx(4.303 * 2 / 3**0.5, abs=1e-3)


def _sweep(folder, *runs):
    """Runs of (method, case name, digest, dataset parameters)."""
    store = Store(folder)
    store.prepare()
    for method, name, digest, params in runs:
        run = synthetic.spec(method, digest=digest)
        run = run.model_copy(update={"dataset": "d", "dataset_params": {**run.dataset_params, **params}})
        problem = synthetic.case(name, 10)
        volume = synthetic.reconstruction(problem, method) if digest else None
        found = {} if digest else {"status": "failed", "reason": "no file", "case": ""}
        store.write_record(synthetic.record(run, problem, volume, **found), volume, problem)
    return Results.open(folder)


@pytest.mark.parametrize(
    ("runs", "names"),
    [
        ([("d", "1", {"arc": 120.0}), ("d", "2", {"arc": 360.5})], ["d (arc=120)", "d (arc=360.5)"]),
        ([("d", "1", {"data_seed": 0, "heldout": 6}), ("d", "2", {"data_seed": 1, "heldout": 7})],
         ["d (heldout=6, data_seed=0)", "d (heldout=7, data_seed=1)"]),
        ([("a", "1", {"path": "there/a"}), ("b", "2", {"path": "there/b"})], ["a", "b"]),
        ([("a", "1", {"path": "one/a"}), ("a", "2", {"path": "two/a"})], ["a (path=one/a)", "a (path=two/a)"]),
        ([("a", "1", {"path": "a"}), ("a", "1", {"path": "/there/a"})], ["a", "a"]),  # the same data
        ([("a", "1", {"arc": 120}), ("a", "2", {"arc": 360}), ("b", "3", {"arc": 90})], ["d (a, arc=120)", "d (a, arc=360)", "d (b)"]),
        ([("d", "1", {"views": 10}), ("d", "2", {"views": list(range(10))})], ["d", "d (views=[0, 1, 2, 3, 4, 5, 6, 7, 8, 9])"]),
        ([("d", "1234567890", {}), ("d", "abcdef0123", {"later": 1})], ["d (data=12345678)", "d (data=abcdef01)"]),
        ([("a", "1", {"path": "a"}), ("a", "", {"path": "a"})], ["a", "a"]),  # one that could not be loaded
        ([("a", "1", {}), ("a", "1", {})], ["d", "d"]),
    ],
)  # fmt: skip
def test_data_that_differ_have_rows_of_their_own_and_say_how(tmp_path, runs, names):
    results = _sweep(tmp_path, *((f"m{number}", *run) for number, run in enumerate(runs)))
    assert list(dataset_names(results.records).values()) == names
    titles = [title for title, _ in summary.sections(summary.summarise(summary.labelled(results.records)))]
    assert sorted(titles) == sorted(f"{name}, 28 voxels, no added noise" for name in set(names))
    assert frame(results.records)["dataset"].tolist() == ["d"] * len(runs)  # runs.csv has it in a column of its own
    assert [json.loads(text)["size"] for text in frame(results.records)["dataset_params"]] == [28] * len(runs)


def test_scans_that_differ_share_no_row_table_curve_or_figure(tmp_path, monkeypatch):
    monkeypatch.setattr(canvas, "UNDATED", {"png": {}})  # quicker
    results = _sweep(tmp_path, *(("sart", "d", str(arc), {"arc": arc}) for arc in (120, 360)))
    write_report(results)
    table = pd.read_csv(tmp_path / "tables/summary.csv")
    assert table["runs"].tolist() == [1, 1] and table["dataset"].tolist() == ["d (arc=120)", "d (arc=360)"]
    assert set(pd.read_csv(tmp_path / "tables/time_to_quality.csv")["dataset"]) == {"d (arc=120)", "d (arc=360)"}
    assert {"views-d-arc-120-28.png", "views-d-arc-360-28.png"} <= {path.name for path in (tmp_path / "figures").iterdir()}
    assert "<h3>d (arc=120), 28 voxels, no added noise" in re.sub(r"<h\d[^>]*>", "<h3>", (tmp_path / "report.html").read_text())
    assert list(summary_table(results.records).columns[0].cells)[::2] == ["d (arc=120) 28, 10 views", "d (arc=360) 28, 10 views"]


def test_what_each_run_could_use_stands_below_the_table():
    same = numbers(label=["a", "b"], volume_psnr=[30.0, 31.0], budget_samples=[2e9, 2e9])
    assert summary.remark(summary.summarise(same)).endswith(" Each run could use 2e+09 ray samples.")
    other = numbers(label=["a", "b"], volume_psnr=[30.0, 31.0], budget_seconds=[300.0, np.nan])
    assert summary.remark(summary.summarise(other)).endswith(" The budgets differ: see runs.csv.")
    assert "could use" not in summary.remark(summary.summarise(numbers(label=["a"], volume_psnr=[30.0])))


def test_file_names_tell_noise_levels_apart():
    assert summary.slug("chest", 64, "poisson 1e+05 + gaussian 10") == "chest-64-poisson-1e+05-gaussian-10"
    assert summary.slug("a/../b c", 64) == "a-..-b-c-64" and "/" not in summary.slug("a/b")


def test_file_names_tell_foreign_letters_and_signs_apart():
    assert summary.slug("sart (iterations=20, weight=1e-05)", "10-views") == "sart-iterations-20-weight-1e-05-10-views"
    assert summary.slug("chest-2", "my_scan") == "chest-2-my-scan" and summary.slug("d", 64, 2) == "d-64-2"
    for first, second in (("扫描一", "扫描二"), ("x=-1", "x=1"), ("x=-.5", "x=.5"), ("naïve", "na-ve")):
        names = [summary.slug("d", text, 64) for text in (first, second)]
        assert names[0] != names[1] and all(re.fullmatch("[a-z0-9.-]+", name) for name in names)


# -- tables -------------------------------------------------------------------------------------------------------------


def test_csv_holds_every_metric_and_every_failure(report):
    results, _ = report
    table = pd.read_csv(results.folder / "tables/summary.csv")
    assert len(table) == 8
    records = [record for record in results.records if record.spec.method == "sart" and record.views == 50]
    row = table[(table["method"] == "sart") & (table["views"] == 50)].iloc[0]
    assert row["volume_psnr"] == pytest.approx(records[0].metrics["volume_psnr"])
    assert row["volume_psnr_r2"] == pytest.approx(records[0].metrics["volume_psnr_r2"])
    assert set(table.loc[table["status"] != "ok", "note"]) == {"failed: ValueError: diverged", "skipped: needs tigre_<x> & more"}


def test_markdown_table_has_the_best_in_bold_and_as_many_cells_as_headings(report):
    results, _ = report
    lines = (results.folder / "tables/summary.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len({line.count("|") for line in rows}) == 1 and len(rows) == 10
    naf = next(line for line in rows if "| naf |" in line)
    assert re.search(r"\*\*24\.4\d\*\*", naf)
    assert "**" not in next(line for line in rows if "| fdk |" in line).split("|")[3]
    assert any("failed: ValueError: diverged" in line for line in rows)


# -- figures ------------------------------------------------------------------------------------------------------------


def test_colours_stay_when_a_method_is_left_out_of_a_figure_and_differ():
    palette = canvas.Palette([f"m{i}" for i in range(14)])
    assert len(set(palette.colours.values())) == 14
    assert canvas.Palette(["b", "a"]).colours == canvas.Palette(["a", "b"]).colours


def test_the_window_comes_from_the_truth_alone():
    truth = synthetic.truth()
    low, high = images.window(truth)
    assert low == pytest.approx(0.0) and high == pytest.approx(0.05)
    assert images.window(np.zeros((4, 4, 4))) == (-0.5, 0.5)


def test_a_mosaic_shows_the_right_slices_with_one_window_and_one_error_window():
    truth = synthetic.truth((6, 8, 10))
    guess = truth + np.float32(0.001)
    columns = [mosaics.Strip(name, images.central_slices(guess), 25.0) for name in ("a", "b")]
    with canvas.styled():
        figure = mosaics.slice_mosaic(truth, (2.0, 1.0, 1.0), columns, "title")
    panels = figure.axes[0].get_images()
    assert len(panels) == 3 * (1 + 2 + 2)
    np.testing.assert_array_equal(panels[0].get_array(), truth[3])  # axial [y, x]
    np.testing.assert_array_equal(panels[5].get_array(), truth[:, 4])  # coronal [z, x]
    np.testing.assert_array_equal(panels[10].get_array(), truth[:, :, 5])  # sagittal [z, y]
    np.testing.assert_allclose(panels[3].get_array(), 0.001, atol=1e-6)  # reconstruction - truth
    assert sorted({tuple(np.round(image.get_clim(), 6)) for image in panels}) == [(-0.01, 0.01), (0.0, 0.05)]
    left, right, bottom, top = panels[5].get_extent()
    assert (top - bottom) / (right - left) == pytest.approx(6 * 2.0 / 10)  # millimetres, not voxels
    assert [text.get_text() for text in figure.axes[0].texts[:4]] == ["title", "truth", "a\n25.00 dB", "b\n25.00 dB"]


@pytest.mark.parametrize("shape", [(1, 40, 40), (40, 1, 40), (40, 40, 1), (1, 1, 60), (60, 1, 1), (1, 1, 1)])
def test_volumes_of_one_slice_and_detectors_of_one_row_are_drawn(shape):
    truth = np.random.default_rng(0).random(shape, dtype=np.float32)
    with canvas.styled():
        columns = [mosaics.Strip("a", images.central_slices(truth), 25.0)]
        view = [mosaics.Strip("a", [truth[:, 0]], 25.0)]
        for figure in (
            mosaics.slice_mosaic(truth, (1.0, 1.0, 1.0), columns, "title"),
            mosaics.slice_mosaic(truth, (1.0, 1.0, 1.0), columns, "title", known=False),
            mosaics.projection_mosaic(truth[:, 0], 3, 1.0, view, "title", "line integral"),
        ):
            figure.canvas.draw()
            assert all(inches < 40 for inches in figure.get_size_inches())
            assert all(axes.get_position().height > 0 for axes in figure.axes)


@pytest.mark.parametrize("known", [True, False])
def test_panels_and_texts_of_a_mosaic_do_not_overlap(known):
    truth = synthetic.truth((6, 8, 10))
    names = ["a_method_with_a_very_long_name", "sart (iterations=20, weight=0.5)", "c"]
    columns = [mosaics.Strip(name, images.central_slices(truth), 25.0) for name in names]
    with canvas.styled():
        figure = mosaics.slice_mosaic(truth, (1.0, 1.0, 1.0), columns, "title", known=known)
        figure.canvas.draw()
    sheet = figure.axes[0]
    boxes = [box.get_window_extent() for box in [*sheet.get_images(), *sheet.texts]] + [axes.get_tightbbox() for axes in figure.axes[1:]]
    assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[i + 1 :] if _overlap(a, b)]
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1 for box in boxes)


def _overlap(a, b):
    return min(a.x1, b.x1) - max(a.x0, b.x0) > 0.5 and min(a.y1, b.y1) - max(a.y0, b.y0) > 0.5


def test_lines_hold_the_means_and_one_number_of_views_becomes_a_ranking():
    table = numbers(label=["a", "a", "b", "b"], views=[10, 50, 10, 50], volume_psnr=[20.0, 30.0, 25.0, 28.0])
    palette = canvas.Palette(["a", "b"])
    with canvas.styled():
        figure = trends.trends(summary.summarise(table), palette, ["b", "a"], "title")
        lines = figure.axes[0].get_lines()
        assert [list(line.get_ydata()) for line in lines if len(line.get_xdata())] == [[25.0, 28.0], [20.0, 30.0]]
        assert matplotlib.colors.to_hex(lines[0].get_color()) == palette.colours["b"]
        single = trends.trends(summary.summarise(table[table["views"] == 10]), palette, ["b", "a"], "title")
        single.canvas.draw()
    assert [text.get_text() for text in single.axes[0].get_yticklabels()] == ["b", "a"]
    assert [text.get_text() for text in single.axes[0].texts] == ["25.00", "20.00"]
    nothing = numbers(label=["a"], status=["failed"])
    assert trends.trends(summary.summarise(nothing), palette, ["a"], "title") is None


@pytest.mark.parametrize("views", [(10, 50), (10,)])
def test_bars_are_the_intervals_of_the_table(views):
    table = numbers(label=["a"] * 4, views=[10, 10, 50, 50], seed=[0, 1, 0, 1], volume_psnr=[20.0, 22.0, 30.0, 31.0])
    means = summary.summarise(table[table["views"].isin(views)])
    with canvas.styled():
        figure = trends.trends(means, canvas.Palette(["a"]), ["a"], "title")
    (bars,) = figure.axes[0].containers[0].lines[2]
    ends = [(segment[1] - segment[0]).max() / 2 for segment in bars.get_segments()]
    assert ends == pytest.approx(list(means["volume_psnr_half"]), rel=1e-6)
    assert means["volume_psnr_half"].iloc[0] == pytest.approx(12.706, abs=1e-3)  # Student's t with one degree of freedom


def test_costs_are_the_means_with_their_numbers_of_views():
    table = numbers(label=["a", "a", "b"], views=[10, 50, 10], volume_psnr=[20.0, 30.0, 25.0], seconds=[2.0, 4.0, 1.0])
    means = summary.summarise(table)
    with canvas.styled():
        figure = trends.costs(means, canvas.Palette(["a", "b"]), ["b", "a"], "title")
    assert len(figure.axes) == 4  # volume and held-out PSNR against time and memory
    lines = {tuple(line.get_xdata()): tuple(line.get_ydata()) for line in figure.axes[0].get_lines()}
    assert lines == {(1.0,): (25.0,), (2.0, 4.0): (20.0, 30.0)}
    assert sorted(text.get_text() for text in figure.axes[0].texts) == ["10", "10", "50"]
    assert trends.costs(summary.summarise(numbers(label=["a"], status=["failed"])), canvas.Palette(["a"]), ["a"], "title") is None


def test_a_curve_ends_where_the_run_ended():
    problem = synthetic.case("chest", 10)
    run = synthetic.spec("sart", digest=problem.digest)
    record = synthetic.record(run, problem, synthetic.reconstruction(problem, "sart"))
    with canvas.styled():
        figure = convergence.convergence([record], {record.run_id: "sart"}, canvas.Palette(["sart"]), ["sart"], "title")
    marker, curve = figure.axes[0].get_lines()
    assert (marker.get_xdata()[0], marker.get_ydata()[0]) == (record.seconds, record.metrics["volume_psnr"])
    assert len(curve.get_xdata()) == len(record.curve) + 1
    bare = record.model_copy(update={"curve": [], "losses": []})
    assert convergence.convergence([bare], {record.run_id: "sart"}, canvas.Palette(["sart"]), ["sart"], "title") is None


def test_long_losses_are_thinned_without_moving_them():
    seconds = np.linspace(0.01, 10, 20_000)
    thin_seconds, thin_loss = convergence.smoothed(seconds, np.full(20_000, 0.25))
    assert 50 < len(thin_seconds) <= convergence.POINTS and (np.diff(thin_seconds) > 0).all()
    np.testing.assert_allclose(thin_loss, 0.25)


def test_the_held_out_picture_is_the_projection_of_the_volume():
    from benchmark.projection.rendering import rendered

    geometry = synthetic.case("chest", 10).heldout.geometry
    (image,) = rendered(np.full(geometry.volume_shape, 0.02, dtype=np.float32), geometry, views=[3])
    assert image.shape == geometry.detector_shape
    height, width = image.shape
    assert image[height // 2, width // 2] == pytest.approx(0.02 * 36, rel=0.2)  # through 24 voxels of 1.5 mm, nearly along y


def test_many_methods_are_continued_in_a_second_mosaic(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "WIDEST", 2)
    monkeypatch.setattr(canvas, "UNDATED", {"png": {}})  # quicker
    results = synthetic.fill(tmp_path, views=(10,), methods=("fdk", "sart", "naf"))
    names = {path.name for picture in figures.write_figures(results) for path in picture.files if path.suffix == ".png"}
    assert {"slices-chest-28-10-views-1.png", "slices-chest-28-10-views-2.png"} <= names


def test_a_case_without_truth_has_slices_without_errors(tmp_path, monkeypatch):
    monkeypatch.setattr(canvas, "UNDATED", {"svg": {}})  # quicker
    results = synthetic.fill(tmp_path, views=(10,), methods=("fdk", "sart"), with_truth=False)
    pictures = figures.write_figures(results)
    slices = next(picture for picture in pictures if picture.title.startswith("Slices"))
    assert "no truth" in slices.caption
    assert "Volume PSNR" not in (tmp_path / "figures/views-chest-28.svg").read_text()


def test_a_report_without_a_compiler_leaves_the_held_out_picture_out(tmp_path, monkeypatch):
    from benchmark.errors import MissingDependency
    from benchmark.projection import rendering

    def missing(*_):
        raise MissingDependency("no compiler")

    monkeypatch.setattr(rendering, "rendered", missing)
    monkeypatch.setattr(canvas, "UNDATED", {"png": {}})  # quicker
    results = synthetic.fill(tmp_path, views=(10,), methods=("fdk",))
    assert not [picture for picture in figures.write_figures(results) if picture.title.startswith("Held-out")]


def test_no_figure_touches_the_global_state_of_matplotlib(report):
    import matplotlib.pyplot as plt

    assert plt.get_fignums() == []
    assert matplotlib.rcParams["svg.hashsalt"] is None
