"""The leaderboard over cases: what counts as a case, who is ranked, what is compared with what; and every output shows it the same."""

from __future__ import annotations

import html
import re

import numpy as np
import pandas as pd
import pytest
import synthetic_results as synthetic
from rich.console import Console
from scipy import stats

from benchmark.cli.main import main
from benchmark.records.record import RunSpec
from benchmark.records.store import Results, Store
from benchmark.records.suite import Suite, write_suite
from benchmark.report import board_tables
from benchmark.report.board import Board
from benchmark.report.canvas import Palette
from benchmark.report.critical_difference import bars, critical_difference
from benchmark.report.figures import write_figures
from benchmark.report.leaderboard import COLUMNS, boards, leaderboard, pairs
from benchmark.report.page import page
from benchmark.report.ranking import Ranking
from benchmark.report.statistics import mean_over_cases
from benchmark.report.summary import labelled, remark, summarise
from benchmark.report.tables import write_tables

BODIES = ("abdomen", "chest", "head", "walnut")


class Folder:
    """A results folder that is filled run by run; no arrays are stored."""

    def __init__(self, path) -> None:
        self.path, self.store = path, Store(path)
        self.store.prepare()

    def add(self, method: str, case: str, score: float | None, seed: int = 0, views=10, size: int = 28, *, name: str = "", **facts) -> None:
        """A run with this volume PSNR (None: it failed) in a dataset `case`; `data` are further parameters of the dataset."""
        count = views if isinstance(views, int) else len(views)
        run = synthetic.spec(method, case, count, size, seed, re.sub(r"\W", "_", f"{case}{views}{size}{facts.get('data', '')}"))
        run = run.model_copy(update={"dataset_params": {**run.dataset_params, "views": views, **facts.pop("data", {})}})
        if facts.get("pretrained"):
            run = run.model_copy(update={"weights_digest": "abc", "method_params": {"weights": "w.pt"}})
        values = {} if score is None else {"volume_psnr": score, "projection_psnr": score + 9, "projection_ssim": score / 50}
        failed = {"status": "failed", "reason": "it broke"} if score is None else {}
        known = {"case": name or case, "views": count, "volume_shape": [8, 8, size], "heldout_views": [], "metrics": values}
        self.store.write_record(synthetic.record(run, _PROBLEM, **{**known, **failed, **facts}))

    def fill(self, scores: dict[str, list[float | None]], cases=BODIES, **facts) -> None:
        """One run of each method and case."""
        for method, values in scores.items():
            for case, value in zip(cases, values, strict=False):
                self.add(method, case, value, **facts)

    def results(self, **suite) -> Results:
        if suite:
            write_suite(self.path, Suite(**suite))
        return Results.open(self.path)

    def boards(self, **suite) -> list[Board]:
        return boards(self.results(**suite))


_PROBLEM = synthetic.case()


@pytest.fixture
def folder(tmp_path) -> Folder:
    return Folder(tmp_path / "suite")


def titles(found: list[Board]) -> list[str]:
    return [board.title for board in found]


def column(board: Board, name: str) -> dict[str, object]:
    return dict(zip(board.rows["method"], board.rows[name], strict=True))


# -- numbers -------------------------------------------------------------------------------------------------------------


def test_numbers_by_hand(folder):
    scores = {"a": [30.0, 32.0, 34.0, 36.0], "b": [29.0, 31.5, 32.5, 35.0], "c": [20.0, 31.5, 21.0, 24.0]}
    folder.fill(scores)
    (board,) = folder.boards(baseline="b")
    assert board.title == "Leaderboard: 10 views, 28 voxels, no added noise, 4 cases" and board.cases == BODIES
    assert column(board, "volume_psnr") == {"a": 33.0, "b": 32.0, "c": 24.125}
    half = 3.182446 * np.std(scores["a"], ddof=1) / 2  # t(3) at 97.5%, four cases
    assert board.rows["volume_psnr_high"][0] == pytest.approx(33 + half) and board.rows["volume_psnr_low"][0] == pytest.approx(33 - half)
    assert column(board, "mean_rank") == {"a": 1.0, "b": (2 + 2.5 + 2 + 2) / 4, "c": (3 + 2.5 + 3 + 3) / 4}
    assert column(board, "wins")["a"] == 4 and column(board, "wins")["c"] == 0 and pd.isna(column(board, "wins")["b"])
    assert (column(board, "ties")["c"], column(board, "losses")["c"]) == (1, 3)
    assert column(board, "seconds") == {"a": 5.0, "b": 5.0, "c": 5.0}
    compared = board.pairs[board.pairs["metric"] == "volume_psnr"].set_index(["first", "second"])
    by_scipy = {pair: stats.ttest_rel(scores[pair[0]], scores[pair[1]]).pvalue for pair in compared.index}
    assert compared["p"].to_dict() == pytest.approx(by_scipy)
    assert compared.loc[("a", "b"), "p_holm"] == pytest.approx(3 * by_scipy["a", "b"])  # the smallest of three
    assert compared["p_wilcoxon"].to_dict() == pytest.approx({("a", "b"): 2 / 16, ("a", "c"): 2 / 16, ("b", "c"): 2 / 8})
    assert compared["difference"].to_dict() == {("a", "b"): 1.0, ("a", "c"): 8.875, ("b", "c"): 7.875}
    assert compared["significant"].to_dict() == {("a", "b"): bool(3 * by_scipy["a", "b"] < 0.05), ("a", "c"): False, ("b", "c"): False}
    ranks = [[1, 2, 3], [1, 2.5, 2.5], [1, 2, 3], [1, 2, 3]]
    assert board.rows["friedman_p"][0] == pytest.approx(stats.friedmanchisquare(*-np.array(ranks).T).pvalue)


def test_what_is_significant_has_letters_and_bold(folder):
    cases = [f"body{number}" for number in range(8)]
    hard, zigzag = np.array([-5.0, 4.0, 0.0, 7.0, -2.0, 1.0, 3.0, -6.0]), 0.3 * np.array([1, -1, 1, 1, -1, -1, 1, -1])
    folder.fill({"a": [*(30 + hard)], "b": [*(29.9 + hard + zigzag)], "c": [*(28 + hard - zigzag)]}, cases)
    (board,) = folder.boards()
    assert column(board, "letters") == {"a": "a", "b": "a", "c": "b"}
    assert column(board, "volume_psnr_leads") == {"a": True, "b": True, "c": False}
    assert "corrected by Holm for 3 pairs" in board.caption and "share a letter do not differ" in board.caption


def test_intervals_hold_the_true_mean_as_often_as_they_say():
    """8 cases x 3 seeds of a mean of zero: 95% nominal."""
    rng = np.random.default_rng(3)
    hits = 0
    for _ in range(200):
        values = rng.normal(0, 1, (8, 1)) + rng.normal(0, 0.5, (8, 3))
        interval = mean_over_cases(dict(enumerate(values.tolist())))
        assert interval is not None and interval.low is not None and interval.high is not None
        hits += interval.low <= 0 <= interval.high
    assert hits >= 0.91 * 200


def test_intervals_over_cases_by_hand():
    two = mean_over_cases({"x": [1.0, 3.0], "y": [4.0]})
    assert (two.mean, two.count, two.cases) == (3.0, 3, 2) and two.half == pytest.approx(12.7062 * np.sqrt(2) / np.sqrt(2), rel=1e-5)
    one = mean_over_cases({"x": [1.0, 3.0]})
    assert (one.mean, one.low) == (2.0, None) and mean_over_cases({}) is None and mean_over_cases({"x": []}) is None


def test_two_cases_prove_nothing(folder):
    folder.fill({"a": [30.0, 31.0], "b": [20.0, 21.0001]})
    (board,) = folder.boards()
    assert set(board.rows["letters"]) == {""} and not board.rows["volume_psnr_leads"].any() and board.pairs["p"].isna().all()
    assert not board.pairs["significant"].any()
    assert "2 cases allow no test: nothing here is significant" in board.caption
    assert critical_difference(board, Palette(["a", "b"])) is None


def test_less_than_is_shown_is_no_difference(folder):
    folder.fill({"a": [30.004, 31.004, 32.004], "b": [30.0, 31.0, 32.0]})
    (board,) = folder.boards(baseline="b")
    assert set(column(board, "letters").values()) == {"a"} and column(board, "mean_rank") == {"a": 1.5, "b": 1.5}
    assert (board.rows["wins"][0], board.rows["ties"][0]) == (0, 3)


# -- who is ranked --------------------------------------------------------------------------------------------------------


def test_a_method_with_a_missing_case_is_not_ranked_and_has_no_mean(folder):
    folder.fill({"a": [30.0, 31.0, 32.0, 33.0], "b": [29.0, 30.0, 31.0, 32.0]})
    folder.fill({"failed": [50.0, None, 50.0, 50.0], "never": [60.0, 60.0]})
    folder.fill({"skipped": [70.0, 70.0, 70.0]})
    folder.add("skipped", "walnut", None, status="skipped", reason="too large")
    for seed, score in enumerate([80.0, None]):
        folder.add("seed", "abdomen", score, seed)
    folder.fill({"seed": [80.0, 80.0, 80.0]}, BODIES[1:])
    (board,) = folder.boards()
    rows = board.rows.set_index("method")
    assert list(rows.index) == ["a", "b", "failed", "seed", "skipped", "never"] and list(rows["ranked"]) == [True, True] + [False] * 4
    assert rows.loc["failed":, ["volume_psnr", "projection_psnr", "seconds", "mean_rank", "wins"]].isna().all(axis=None)
    assert rows["missing"].to_dict() == {
        "a": "",
        "b": "",
        "failed": "chest (failed)",
        "never": "head (not run), walnut (not run)",
        "skipped": "walnut (skipped)",
        "seed": "abdomen (1 of 2 seeds failed)",
    }
    assert set(rows["mean_rank"].dropna()) == {1.0, 2.0} and set(board.pairs["first"]) | set(board.pairs["second"]) == {"a", "b"}
    assert "Methods without all cases are not ranked and have no means." in board.caption


def test_a_case_that_no_method_finished_is_named_and_takes_nobody_out(folder):
    folder.fill({"a": [30.0, None, 32.0, 33.0], "b": [29.0, None, 31.0, 32.0]})
    (board,) = folder.boards()
    assert board.unfinished == ("chest",) and board.rows["ranked"].all() and len(board.cases) == 3
    assert "No method finished chest: not counted." in board.caption


def test_a_run_without_the_score_is_a_missing_case(folder):
    folder.fill({"a": [30.0, 31.0, 32.0], "b": [29.0, 30.0, 31.0]}, BODIES[:3])
    folder.add("b", "walnut", 1.0, metrics={"volume_psnr": None, "projection_psnr": 40.0})
    folder.add("a", "walnut", 30.0)
    (board,) = folder.boards()
    assert column(board, "missing") == {"a": "", "b": "walnut (no score)"}


def test_tuning_cases_never_count_and_stand_apart(folder):
    folder.fill({"a": [30.0, 31.0, 32.0, 10.0], "b": [29.0, 30.0, 31.0, 99.0]})
    folder.add("a", "phantom", 5.0, name="sphere")
    folder.add("b", "phantom", 7.0, name="sphere")
    ranking, tuning = folder.boards(tuning=("walnut", "sphere"))  # by dataset, by case
    assert ranking.cases == BODIES[:3] and column(ranking, "volume_psnr") == {"a": 31.0, "b": 30.0}
    assert tuning.title == "Tuning cases, not ranked: 10 views, 28 voxels, no added noise, 2 cases"
    assert column(tuning, "volume_psnr") == {"b": 53.0, "a": 7.5} and not tuning.rows["ranked"].any()
    assert tuning.rows[["mean_rank", "wins", "volume_psnr_low"]].isna().all(axis=None) and not tuning.rows["volume_psnr_leads"].any()
    assert tuning.pairs.empty and [head.text for head in tuning.heads].count("Mean rank") == 0


def test_pretrained_methods_stand_apart(folder):
    folder.fill({"a": [30.0, 31.0, 32.0], "b": [29.0, 30.0, 31.0]}, BODIES[:3])
    folder.fill({"known": [90.0] * 3}, BODIES[:3], pretrained={"scans": [{}, {}]})
    (board,) = folder.boards()
    assert list(board.rows["method"]) == ["a", "b", "known [pretrained]"] and list(board.rows["ranked"]) == [True, True, False]
    assert board.rows["volume_psnr"][2] == 90.0 and pd.isna(board.rows["mean_rank"][2]) and not board.rows["volume_psnr_leads"][2]
    assert column(board, "mean_rank")["a"] == 1.0 and "Pretrained: fitted to other scans" in board.caption


# -- what is a case -------------------------------------------------------------------------------------------------------


def test_a_case_counts_once_however_often_it_is_looked_at(folder):
    for views in (10, (0, 1, 2), (3, 4, 5), 50):
        for size in (16, 28):
            folder.fill({"a": [30.0], "b": [29.0]}, ["chest"], views=views, size=size)
    folder.fill({"a": [30.0], "b": [29.0]}, ["chest"], data={"data_seed": 1})
    folder.fill({"a": [30.0], "b": [29.0]}, ["chest"], data={"photons": 1e4})
    assert folder.boards() == [] and leaderboard(folder.results()).empty


def test_sizes_and_views_divide_only_if_a_case_has_two(folder):
    for case, size in zip(BODIES, (20, 24, 24, 28), strict=True):
        folder.fill({"a": [30.0], "b": [29.0]}, [case], size=size, views=size * 2)
    (board,) = folder.boards()
    assert board.title == "Leaderboard: 40 to 56 views, 20 to 28 voxels, no added noise, 4 cases"
    folder.fill({"a": [30.0], "b": [29.0]}, ["chest"], size=24, views=10)
    assert [board.views for board in folder.boards()] == ["10", "40", "48", "56"]  # now a number of views tells cases apart
    for case, size in zip(BODIES, (20, 24, 24, 28), strict=True):
        folder.fill({"a": [30.0], "b": [29.0]}, [case], size=size, views=10)
    assert titles(folder.boards()) == [
        "Leaderboard: 10 views, 20 to 28 voxels, no added noise, 4 cases",
        "Leaderboard: 40 to 56 views, 20 to 28 voxels, no added noise, 4 cases",  # `views: [10, all]`
    ]


def test_noise_and_settings_divide(folder):
    for data in ({}, {"photons": 1e4}, {"photons": 1e4, "data_seed": 3}):
        folder.fill({"a": [30.0, 31.0], "b": [29.0, 30.0]}, data=data)
    found = folder.boards()
    assert [(board.noise, board.settings, len(board.cases)) for board in found] == [
        ("none", "data_seed=0", 2),
        ("poisson 1e+04", "data_seed=0", 2),
        ("poisson 1e+04", "data_seed=3", 2),
    ]


def test_two_sets_of_as_many_views_are_not_mixed(folder):
    for views, score in (((0, 1, 2), 30.0), ((3, 4, 5), 20.0)):
        folder.fill({"a": [score, score], "b": [score - 1, score - 1]}, views=views)
    found = folder.boards()
    assert [board.settings for board in found] == ["views=[0, 1, 2]", "views=[3, 4, 5]"]
    assert [column(board, "volume_psnr")["a"] for board in found] == [30.0, 20.0]


def test_data_that_changed_are_not_mixed(folder):
    folder.fill({"a": [30.0, 30.0], "b": [29.0, 29.0]})
    run = RunSpec(**{**synthetic.spec("a", "chest", 10, 28, 0, "other").model_dump(), "dataset_revision": 2})
    folder.store.write_record(synthetic.record(run, _PROBLEM, case="chest", views=10, metrics={"volume_psnr": 99.0}))
    assert all(99.0 not in values for board in folder.boards() for values in [set(board.rows["volume_psnr"])])


def test_scans_of_one_name_in_two_folders_are_two_cases(folder):
    for place in ("x", "y"):
        folder.fill({"a": [30.0], "b": [29.0]}, ["folder"], name="walnut", data={"path": f"{place}/scan.yaml"})
    (board,) = folder.boards()
    assert board.cases == ("walnut (path=x/scan.yaml)", "walnut (path=y/scan.yaml)")


def test_one_case_that_counts_is_said(folder):
    folder.fill({"a": [30.0, 31.0], "b": [29.0, 30.0]}, ["chest", "phantom"])
    ranking, tuning = folder.boards(tuning=("phantom",))
    assert ranking.rows.empty and ranking.caption == "Only chest counts here: over one case there is no leaderboard."
    assert len(tuning.rows) == 2
    written = {path.name: path for path in write_tables(folder.results())}
    assert "Only chest counts here" in written["summary.md"].read_text()


# -- seeds ----------------------------------------------------------------------------------------------------------------


def test_seeds_that_differ_between_cases_work(folder):
    for case, seeds in zip(BODIES[:3], ((0,), (0, 1, 2), (5, 6)), strict=True):
        for seed in seeds:
            folder.add("a", case, 30.0 + seed, seed)
    folder.fill({"b": [29.0, 29.0, 29.0]}, BODIES[:3])
    (board,) = folder.boards()
    assert column(board, "volume_psnr") == {"a": (30 + 31 + 35.5) / 3, "b": 29.0} and column(board, "seeds") == {"a": "1 to 3", "b": "1"}
    assert board.pairs["difference"][0] == pytest.approx((1 + 2 + 6.5) / 3)


def test_a_deterministic_method_counts_for_every_seed_of_the_others(tmp_path):
    found = []
    for seeds, declared in (((0,), True), ((0, 1, 2), False)):  # as it is, and as if it had run for every seed
        folder = Folder(tmp_path / str(declared))
        for seed in range(3):
            folder.fill({"a": [30.0 + seed, 31.5 + seed, 32.0, 30.5]}, seed=seed)
        for seed in seeds:
            folder.fill({"fixed": [29.0, 30.0, 30.5, 29.5]}, seed=seed, deterministic=declared)
        (board,) = folder.boards()
        found.append(board.pairs)
        good = labelled(folder.results().records).query("case == 'chest'")
        assert Ranking(good).ranks("volume_psnr") == {"a": "", "fixed": ""} or Ranking(good).repeated == ["a", "fixed"]
        assert Ranking(good).difference("a", "fixed", "volume_psnr").count == 3
    pd.testing.assert_frame_equal(found[0], found[1])


def test_the_words_below_a_table_say_which_methods_run_once(folder):
    for seed in range(3):
        folder.fill({"a": [30.0 + seed]}, seed=seed)
    folder.fill({"fixed": [29.0]}, deterministic=True)
    said = remark(summarise(labelled(folder.results().records)))
    assert "n = 3 seeds). A method without randomness runs once: its one value counts for every seed of the others." in said


# -- baseline -------------------------------------------------------------------------------------------------------------


def test_the_baseline_is_declared_or_the_classical_method_that_projects_least(folder):
    work = {"quick": (0, 10), "slow": (100, 100), "neural": (0, 0)}
    for method, (forward, adjoint) in work.items():
        facts = {"tags": ["neural"] if method == "neural" else ["classical", "regularised"]}
        folder.fill({method: [30.0, 31.0, 32.0]}, BODIES[:3], counters={"forward_views": forward, "adjoint_views": adjoint}, **facts)
    (board,) = folder.boards()
    assert board.baseline == "quick" and "Baseline: quick, by default the ranked classical method that projects least." in board.caption
    assert column(board, "tags") == {"quick": "classical, regularised", "slow": "classical, regularised", "neural": "neural"}
    assert [head.text for head in board.heads].count("Wins against quick") == 1
    (board,) = folder.boards(baseline="neural")
    assert board.baseline == "neural" and column(board, "ties")["quick"] == 3
    (board,) = folder.boards(baseline="gone")
    assert board.baseline == "" and "The baseline gone did not run here" in board.caption
    folder.add("neural", "walnut", None)
    folder.fill({"quick": [30.0], "slow": [31.0]}, ["walnut"])
    (board,) = folder.boards(baseline="neural")
    assert board.baseline == "" and "The baseline neural is not ranked" in board.caption


# -- photographs, mixed truths --------------------------------------------------------------------------------------------


def test_without_a_truth_held_out_views_order_and_there_are_no_empty_columns(folder):
    for method, scores in {"a": [20.0, 21.0, 22.0], "b": [23.0, 24.0, 25.0]}.items():
        for case, score in zip(BODIES, scores, strict=False):
            folder.add(method, case, score, metrics={"projection_psnr": score, "projection_iou": 0.5})
    (board,) = folder.boards()
    assert list(board.rows["method"]) == ["b", "a"] and board.ordered_by == "projection_psnr"
    assert not [head.text for head in board.heads if "Volume" in head.text or head.text == "Held-out SSIM"]
    assert "by held-out PSNR" in board.caption


def test_photographs_are_compared_by_iou_and_l1_too(folder):
    zigzag = np.array([1, -1, 1, 1, -1]) / 100
    for method, iou, l1 in (("a", 0.9, 0.1), ("b", 0.7, 0.3)):
        for number, shift in enumerate(zigzag if method == "a" else -zigzag):
            scores = {"projection_psnr": 20.0 + number, "projection_iou": iou + shift, "projection_l1": l1 + shift}
            folder.add(method, f"walk{number}", 1.0, metrics=scores)
    (board,) = folder.boards()
    assert [head.text for head in board.heads[1:4]] == ["Held-out PSNR [dB]", "Held-out IoU", "Held-out L1"]
    assert column(board, "projection_iou") == pytest.approx({"a": 0.902, "b": 0.698})
    assert column(board, "projection_iou_leads") == column(board, "projection_l1_leads") == {"a": True, "b": False}  # the lower L1
    (pair,) = board.pairs[board.pairs["metric"] == "projection_l1"].itertuples()
    assert (pair.wins, pair.ties, pair.losses) == (5, 0, 0) and pair.difference == pytest.approx(-0.196) and pair.significant


def test_the_frames_of_a_sequence_are_one_case(folder):
    for take in ("cat", "dog"):
        for frame, score in enumerate((20.0, 30.0)):
            data = {"path": f"takes/{take}", "frame": frame}
            for method, less in (("a", 0.0), ("b", 1.0), ("part", 5.0)):
                if (method, take, frame) != ("part", "dog", 1):
                    folder.add(method, "multiview", score - less, name=f"{take}-{frame}", data=data)
    (board,) = folder.boards()
    assert board.cases == ("cat", "dog") and column(board, "projection_psnr") == pytest.approx(
        {"a": 34.0, "b": 33.0, "part": np.nan}, nan_ok=True
    )
    assert column(board, "missing")["part"] == "dog (1 of 2 frames not run)" and board.settings == ""
    folder.add("part", "multiview", None, name="dog-1", data={"path": "takes/dog", "frame": 1})
    assert column(folder.boards()[0], "missing")["part"] == "dog (1 of 2 runs failed)"


def test_a_score_that_a_seed_lacks_is_not_averaged_away(folder):
    for seed in range(2):
        folder.fill({"a": [30.0, 31.0, 32.0], "b": [29.0, 30.0, 31.0]}, BODIES[:3], seed=seed)
        folder.add("a", "walnut", 33.0, seed)
    folder.add("b", "walnut", 32.0)
    folder.add("b", "walnut", 32.0, 1, metrics={"volume_psnr": 32.0, "projection_psnr": None, "projection_ssim": 0.6})
    (board,) = folder.boards()
    rows = board.rows.set_index("method")
    assert rows.loc["b", "ranked"] and rows.loc["b", "volume_psnr"] == 30.5
    assert pd.isna(rows.loc["b", "projection_psnr"]) and not pd.isna(rows.loc["b", "projection_ssim"])


def test_a_case_without_a_truth_makes_all_rank_by_held_out_views(folder):
    folder.fill({"a": [30.0, 31.0, 32.0], "b": [29.0, 30.0, 31.0]}, BODIES[:3])
    for method, score in (("a", 20.0), ("b", 60.0)):
        folder.add(method, "walnut", 0.0, metrics={"projection_psnr": score})
    (board,) = folder.boards()
    assert board.ordered_by == "projection_psnr" and list(board.rows["method"]) == ["b", "a"]
    assert column(board, "volume_psnr") == {"a": 31.0, "b": 30.0} and set(board.rows["volume_psnr_cases"]) == {3}
    assert "Volume PSNR: over the 3 cases that have it." in board.caption


# -- outputs --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> tuple[Results, Board]:
    folder = Folder(tmp_path_factory.mktemp("results") / "shown")
    cases = [f"body{number}" for number in range(6)]
    zigzag = 0.3 * np.array([1, -1, 1, 1, -1, -1])
    for seed in range(2):
        scores = {"a_1": 30 + 0.1 * zigzag, "b|2": 28 + zigzag, "<c>": 27.9 - zigzag, "d&4": 20 + seed * zigzag}
        folder.fill({method: list(values) for method, values in scores.items()}, cases, seed=seed, tags=["neural"])
    folder.fill({"gone": [99.0, None]}, cases, tags=["classical"])
    results = folder.results(baseline="d&4")
    (board,) = boards(results)
    assert column(board, "letters") == {"a_1": "a", "b|2": "b", "<c>": "b", "d&4": "c", "gone": ""}
    return results, board


def test_every_output_shows_the_same(shown):
    results, board = shown
    written = {path.name: path for path in write_tables(results)}
    expected = [[(cell.text, cell.bold) for cell in board.cells(row)] for _, row in board.rows.iterrows()]
    heads = [head.text for head in board.heads]
    assert heads[0] == "Method" and heads[-2:] == ["Tags", "Note"]

    lines = [
        re.split(r"(?<!\\)\|", html.unescape(line))[1:-1]
        for line in written["summary.md"].read_text().split("\n### ")[0].splitlines()
        if line[:1] == "|"
    ]
    found = [[(cell.strip().strip("*").replace("\\|", "|"), "**" in cell) for cell in line] for line in lines]
    assert [text for text, _ in found[0]] == heads and found[2:] == expected

    (table,) = re.findall(r'<caption class="unseen">Leaderboard: [^<]*: leaderboard</caption>(.*?)</table>', page(results, []), re.DOTALL)
    rows = [re.findall(r"<td[^>]*>(<b>)?(.*?)(?:</b>)?</td>", row) for row in re.findall(r"<tr data-views.*?</tr>", table)]
    assert [[(html.unescape(re.sub("<[^>]*>", "", text)), bool(bold)) for bold, text in row[1:]] for row in rows] == expected

    tex = written["summary.tex"].read_text().split(r"\end{table*}")[0]
    assert r"\label{tab:leaderboard-10-views-28}" in tex and r"\toprule" in tex and r"gone & \multicolumn" in tex
    for row in expected[:-1]:
        cells = [text for (text, _), head in zip(row, heads, strict=True) if head not in ("Tags", "Note")]
        (line,) = [line for line in tex.splitlines() if line.strip().startswith(board_tables.escape(cells[0]) + " &")]
        plain = re.sub(r"\\textbf\{((?:[^{}]|\{[^}]*\})*)\}", r"\1", line).replace(r"{\scriptsize $\pm$ ", "± ").replace("}", "")
        assert [text.strip() for text in plain.removesuffix(r" \\").split(" & ")][1:] == cells[1:]

    (terminal,) = board_tables.terminal([board])
    columns = [[str(cell) for cell in column.cells] for column in terminal.columns]
    kept = [place for place, head in enumerate(heads) if head not in ("Tags", "Note", "Peak memory [MiB]")]
    shown_there = [[(cell.replace("\n±", " ±").replace("\\[", "["), bold) for cell, bold in row] for row in _bold(columns)]
    assert shown_there == [[(row[place][0] or "-", row[place][1]) for place in kept] for row in expected]
    assert "gone: 1/6 cases; missing: body1 (failed), body2 (not run)" in str(terminal.caption)

    csv = pd.read_csv(written["leaderboard.csv"], keep_default_na=False, dtype=str)
    assert list(csv.columns) == list(COLUMNS) and csv["method"].tolist() == [row[0][0] for row in expected]
    assert [leads == "True" for leads in csv["volume_psnr_leads"]] == [row[1][1] for row in expected]
    assert len(pd.read_csv(written["pairs.csv"])) == len(pairs(results)) == 6 * 3
    assert [line for line in Console(width=80).render_lines(terminal)]


def _bold(columns: list[list[str]]) -> list[list[tuple[str, bool]]]:
    return [[(re.sub(r"\[/?bold\]", "", cell), "[bold]" in cell) for cell in row] for row in zip(*columns, strict=True)]


def test_the_leaderboard_comes_first(shown):
    results, board = shown
    written = {path.name: path.read_text() for path in write_tables(results)}
    assert written["summary.md"].startswith(f"### {board.title}\n")
    text = page(results, [])
    assert text.index('<h2 id="leaderboard">') < text.index('<h2 id="part-1">') and text.index("#leaderboard") < text.index("#part-1")


def test_bars_of_the_diagram_by_hand(shown, monkeypatch):
    results, board = shown
    ranks = column(board, "mean_rank")
    (bar,) = bars(board)
    assert sorted(bar) == sorted([("b|2", ranks["b|2"]), ("<c>", ranks["<c>"])])
    monkeypatch.setattr("benchmark.report.canvas.UNDATED", {"svg": {"Date": None}})
    (picture,) = [picture for picture in write_figures(results) if picture.title.startswith("Critical differences")]
    assert picture.section == board.title and [path.name for path in picture.files] == ["critical-difference-10-views-28.svg"]
    figure = critical_difference(board, Palette(ranks))
    assert figure is not None
    drawn = [line.get_xdata().tolist() for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert drawn == [[rank for _, rank in bar]]


def test_report_writes_the_runs_of_the_folder_again(folder, capsys):
    folder.fill({"a": [30.0, 31.0], "b": [29.0, 30.0]}, gpu_peak_memory_mb=12.0)
    table = folder.path / "tables" / "runs.csv"
    table.write_text("run_id,gone\nold,1\n")
    assert main(["report", str(folder.path)]) == 0
    runs = pd.read_csv(table)
    assert sorted(runs["run_id"]) == sorted(record.run_id for record in folder.results().records) and set(runs["gpu_peak_memory_mb"]) == {
        12.0
    }
    assert "tables/runs.csv" in capsys.readouterr().out and (folder.path / "tables" / "leaderboard.csv").exists()
    for path in (folder.path / "runs").glob("*-b-*"):
        path.rename(folder.path / path.name)
    for path in (folder.path / "runs").glob("walnut*"):
        path.rename(folder.path / path.name)
    for path in (folder.path / "runs").glob("chest*"):
        path.rename(folder.path / path.name)
    assert main(["report", str(folder.path)]) == 0
    assert len(pd.read_csv(table)) == 1 and not (folder.path / "tables" / "leaderboard.csv").exists()  # one case is left
