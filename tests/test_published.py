"""Published numbers stand beside ours only where they are numbers of the same thing; curves as tables."""

from __future__ import annotations

import dataclasses

import pandas as pd
import pytest
import synthetic_results as synthetic

from benchmark.records.record import CurvePoint
from benchmark.records.results import Results
from benchmark.records.store import Store
from benchmark.report.curves import curves, mean_times, seconds_to, times_to_quality
from benchmark.report.page import page
from benchmark.report.published import markdown, published, side_by_side
from benchmark.report.summary import labelled, summarise
from benchmark.report.tables import write_tables


def fill(folder, scenes, views=50, data="sax", photons=None, metric="volume_psnr_naf", seeds=(0,)):
    store = Store(folder)
    store.prepare()
    for number, scene in enumerate(scenes):
        problem = dataclasses.replace(synthetic.case("scene", views, seed=number), facts={"published": {"data": data, "scene": scene}})
        store.write_case(problem, "scene", {})
        for seed in seeds:
            run = synthetic.spec("sart", "scene", views, 28, seed, problem.digest, photons)
            values = {metric: 30.0 + number + seed, metric.replace("psnr", "ssim"): 0.9}
            record = synthetic.record(run, problem, case=scene).model_copy(update={"metrics": values})
            store.write_record(record)
    return Results.open(folder)


def test_the_table_has_a_source_and_a_protocol_for_every_number():
    table = published()
    assert len(table) == 72 and table["psnr"].between(15, 45).all() and table["ssim"].dropna().between(0.2, 1).all()
    assert (table["source"] != "").all() and set(table["protocol"]) <= {"naf", "sax", "r2", "unknown"}
    chest = table[(table["data"] == "sax") & (table["scene"] == "chest")]
    assert chest.set_index("method")["psnr"].to_dict()["NAF"] == 33.05
    assert not table.duplicated(["method", "data", "scene", "views"]).any()


def test_ours_stand_beside_theirs_where_data_views_and_protocol_match(tmp_path):
    table = side_by_side(fill(tmp_path, ["chest"], seeds=(0, 1)))
    assert set(table["scene"]) == {"chest"} and len(table) == 7
    ours = table[table["whose"] == "ours"].iloc[0]
    assert (ours["method"], ours["psnr"], ours["ssim"], ours["runs"]) == ("sart", 30.5, 0.9, 2)
    assert table["psnr"].is_monotonic_decreasing
    text = markdown(table)
    assert "### sax: chest, 50 views, protocol sax" in text and "| sart | 30.50 | 0.900 | 6.0 | **ours** |" in text
    assert "| NAF | 33.05 |" in text and "table on the SAX-NeRF data" in text


@pytest.mark.parametrize(
    "change",
    [{"views": 49}, {"data": "elsewhere"}, {"photons": 1e5}, {"metric": "volume_psnr_r2"}, {"scenes": ["my chest"]}],
    ids=lambda change: next(iter(change)),
)
def test_anything_else_has_nothing_beside_it(tmp_path, change):
    table = side_by_side(fill(tmp_path, **{"scenes": ["chest"], **change}))
    assert table.empty and markdown(table) == ""


def test_a_mean_over_a_collection_needs_all_of_it(tmp_path):
    assert "all 15" not in set(side_by_side(fill(tmp_path / "some", [f"scene {i}" for i in range(14)]))["scene"])
    table = side_by_side(fill(tmp_path / "all", [f"scene {i}" for i in range(15)]))
    assert set(table["scene"]) == {"all 15"}
    assert table[table["whose"] == "ours"]["psnr"].item() == 37.0  # 30 + mean of 0 .. 14


def test_data_that_do_not_say_what_they_are_are_never_compared(tmp_path):
    results = synthetic.fill(tmp_path, views=(50,))
    assert side_by_side(results).empty
    write_tables(results)
    assert not (tmp_path / "tables" / "published.csv").exists()


def test_tables_hold_what_stands_side_by_side(tmp_path):
    paths = write_tables(fill(tmp_path, ["chest"]))
    assert tmp_path / "tables" / "published.csv" in paths
    assert "## Beside published numbers" in (tmp_path / "tables" / "summary.md").read_text()


def test_the_page_shows_what_stands_side_by_side(tmp_path):
    text = page(fill(tmp_path / "chest", ["chest"]), [])
    assert 'href="#published"' in text and '<td class="word">SAX-NeRF</td>' in text and '<td data-sort="33.05">33.05</td>' in text
    assert "Beside published numbers" not in page(fill(tmp_path / "mine", ["my chest"]), [])


# -- curves -------------------------------------------------------------------------------------------------------------


def curve(*points):
    return [CurvePoint(step=i, seconds=seconds, volume_psnr=psnr) for i, (seconds, psnr) in enumerate(points)]


def test_seconds_to_a_level_by_hand():
    points = curve((1, 20.0), (3, 24.0), (5, None), (7, 23.0), (9, 30.0))
    assert seconds_to(points, 22.0) == 2.0
    assert seconds_to(points, 10.0) == 1  # there when it was first looked at
    assert seconds_to(points, 26.5) == 8.0 and seconds_to(points, 24.0) == 3.0
    assert seconds_to(points, 31.0) is None and seconds_to([], 1.0) is None
    assert seconds_to(list(reversed(points)), 22.0) == 2.0


def test_curves_and_times_are_tables(tmp_path):
    results = synthetic.fill(tmp_path, views=(10,), methods=("fdk", "sart"), seeds=(0, 1))
    table = curves(results)
    assert len(table) == 2 * 12 and set(table["label"]) == {"sart"}
    assert table.groupby("seed")["seconds"].max().tolist() == pytest.approx([6.0, 6.0])
    times = times_to_quality(results)
    assert len(times) == 2 and times["seconds_to_20"].notna().all() and times["seconds_to_40"].isna().all()
    near = times["seconds_to_best_minus_0.5"]
    assert ((near > 0) & (near < 6.0)).all()
    means = mean_times(times, summarise(labelled(results.records)))
    assert means["runs"].tolist() == [2] and means["seconds_to_20"].item() == pytest.approx(times["seconds_to_20"].mean())
    assert "seconds_to_40" not in means  # nobody came that far
    text = page(results, [])
    assert "To 20 dB [s]" in text and "To best − 0.5 dB [s]" in text and "To 40 dB" not in text
    assert "half of its 95% interval (Student&#39;s t over n = 2 seeds)" in text and "Rank" in text
    write_tables(results)
    assert len(pd.read_csv(tmp_path / "tables" / "curves.csv")) == 24
    assert len(pd.read_csv(tmp_path / "tables" / "time_to_quality.csv")) == 2
