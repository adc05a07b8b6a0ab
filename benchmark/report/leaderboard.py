"""Leaderboard: every method over all cases of a results folder, one table for each number of views, size and noise. Numbers only.

Case: what was measured or made, once, however often it is looked at. Size, views, noise and settings divide the leaderboard only if
some case has two values of them.
Ranked: methods with a finished run, and no failed one, of every case; the highest mean first, by volume PSNR (held-out PSNR where
not all cases have a truth). A method with a missing case has no mean; one that was fitted to other scans has no rank; both stand below.
Compared: by paired differences over cases. The value of a `deterministic` method counts for every seed of the others.
Tuning cases, on which methods were set, count in no ranking and have tables of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from benchmark.report.board import Board
from benchmark.report.case_scores import SCORES, CaseScores
from benchmark.report.cases import cased, tables
from benchmark.report.columns import COSTS, DECIMALS
from benchmark.report.pairs import COLUMNS_OF_PAIRS, Pair, all_pairs, letters
from benchmark.report.significance import case_ranks, friedman
from benchmark.report.statistics import mean_over_cases
from benchmark.report.summary import budget_words

if TYPE_CHECKING:
    from benchmark.records.store import Results

COST_NAMES = tuple(cost.name for cost in COSTS)
PLACE = ("block", "views", "size", "noise", "settings")
COLUMNS = (
    *PLACE, "method", "tags", "pretrained", "ranked", "cases", "planned", "missing", "seeds", "ordered_by",
    *(f"{name}{end}" for name in SCORES for end in ("", "_low", "_high", "_cases", "_leads")),
    "mean_rank", "baseline", "wins", "ties", "losses", "letters", *COST_NAMES, "friedman_p", "budget",
)  # fmt: skip
PAIR_COLUMNS = (*PLACE, *COLUMNS_OF_PAIRS)
COUNTS = {"cases", "planned", "wins", "ties", "losses", *(f"{name}_cases" for name in SCORES)}
NUMBERS = {*COST_NAMES, "mean_rank", "friedman_p", "difference", "low", "high", "p", "p_holm", "p_wilcoxon"} | {
    f"{name}{end}" for name in SCORES for end in ("", "_low", "_high")
}


def leaderboard(results: Results) -> pd.DataFrame:
    """Return one row per table and method, in order: the content of tables/leaderboard.csv.

    Place: `block` ('ranking', or 'tuning' for the cases that methods were set on), `views`, `size`, `noise`, `settings`, as texts.
    Method: `method` (label), `tags`, `pretrained`, `ranked`, `cases` (with a finished run of every seed that was begun) of `planned`,
    `missing` (which, and why), `seeds`, `budget`.
    Scores: `ordered_by`; of each compared metric (PSNR, SSIM; IoU and L1 of photographs) the mean over cases of the mean over seeds, its
    95% interval `*_low`, `*_high`, the number of `*_cases` behind it and `*_leads` (bold). Empty for a method with a missing case.
    Comparison: `mean_rank` over cases (1 is best), `wins`, `ties` and `losses` in cases against `baseline`, `letters` (methods that
    share one do not differ significantly), `friedman_p` of the whole table.
    Cost: means of `seconds`, `peak_memory_mb` and `gpu_peak_memory_mb` over cases.
    """
    return joined([board.rows for board in boards(results)], COLUMNS)


def pairs(results: Results) -> pd.DataFrame:
    """Return one row per table, metric and pair of ranked methods: the content of tables/pairs.csv.

    `difference` is the mean over cases of first - second with its 95% interval, `p` that of the paired Student's t over cases, `p_holm`
    the same corrected for all pairs of the table and metric, `p_wilcoxon` that of the exact signed-rank test; empty below three cases.
    `wins`, `ties` and `losses` count cases. A difference of less than half of the last shown digit is never `significant`.
    """
    return joined([board.pairs for board in boards(results)], PAIR_COLUMNS)


def boards(results: Results) -> list[Board]:
    """Return every table of the leaderboard; none for a folder with a single case."""
    return boards_of(cased(results.records), results.suite.tuning, results.suite.baseline)


def boards_of(table: pd.DataFrame, tuning: Sequence[str] = (), baseline: str = "") -> list[Board]:
    """Return every table of the leaderboard of a frame from `cases.cased`; none if it has a single case.

    `tuning` names datasets or cases that do not count, `baseline` the method (or label) that wins are counted against.
    """
    if table["of_case"].nunique() < 2:
        return []
    ranking, apart = [], []
    for runs in tables(table):
        tuned = runs[["source", "case", "of_case"]].isin(list(tuning)).any(axis=1)
        ranking += [_ranking(runs[~tuned], baseline)] if not tuned.all() else []
        apart += [_tuning(runs[tuned])] if tuned.any() else []
    return [*ranking, *apart]


def _ranking(runs: pd.DataFrame, asked: str) -> Board:
    """Return the board of cases that count; without rows if it has a single case."""
    scores = CaseScores(runs)
    if len(scores.cases) < 2:
        return _board("ranking", runs, scores, [], [])
    pairs = {metric: all_pairs(scores, metric) for metric in SCORES}
    ordering = pairs[scores.metric]
    baseline, chosen = _baseline(runs, scores, asked)
    means = np.array([scores.means(label, scores.metric) for label in scores.ranked]).T  # [case, ranked method]
    seen = np.round(means, DECIMALS[scores.metric])  # equal as shown is equal
    ranks = case_ranks(seen).mean(axis=0) if scores.ranked else []
    places = dict(zip(scores.ranked, map(float, ranks), strict=True))
    marks = letters(scores.ranked, ordering)
    chance = friedman(seen) if scores.ranked else None
    rows = []
    for label in scores.order:
        row = _row(scores, label) | {"baseline": baseline, "friedman_p": chance}
        row |= {"mean_rank": places.get(label), "letters": marks.get(label, "")}
        row |= dict(zip(("wins", "ties", "losses"), _wins(ordering, label, baseline), strict=False))
        for metric in SCORES:
            row |= _interval(scores, label, metric) | {f"{metric}_leads": label in scores.ranked and _leads(pairs[metric], label)}
        rows.append(row)
    return _board("ranking", runs, scores, rows, [pair.row() for metric in SCORES for pair in pairs[metric]], baseline, chosen)


def _tuning(runs: pd.DataFrame) -> Board:
    """Return the board of tuning cases: means, and nothing compared."""
    scores = CaseScores(runs)
    rows = []
    for label in scores.order:
        row = _row(scores, label) | {"ranked": False, "baseline": "", "letters": ""}
        for metric in SCORES:
            means = scores.means(label, metric)
            row |= {metric: means.mean() if len(means) else None, f"{metric}_cases": len(means), f"{metric}_leads": False}
        rows.append(row)
    return _board("tuning", runs, scores, rows, [])


def _board(
    block: Literal["ranking", "tuning"],
    runs: pd.DataFrame,
    scores: CaseScores,
    rows: list[dict[str, Any]],
    pairs: list[dict[str, Any]],
    baseline: str = "",
    chosen: str = "",
) -> Board:
    known = runs[runs["status"] == "ok"] if scores.cases else runs  # a grid that was never made has no size
    views, size = _span(known["views"]), _span(known["size"])
    noise, settings = (_shared(known[name], name) for name in ("noise", "settings"))
    place = dict(zip(PLACE, (block, views, size, noise, settings), strict=True))
    tables = (_frame([place | row for row in part], columns) for part, columns in ((rows, COLUMNS), (pairs, PAIR_COLUMNS)))
    cases, unfinished = tuple(scores.cases), tuple(scores.unfinished)
    return Board(block, views, size, noise, settings, cases, unfinished, scores.metric, baseline, chosen, *tables)


def _row(scores: CaseScores, label: str) -> dict[str, Any]:
    """Return what a method is, has and costs."""
    part, missing = scores.parts[label], scores.missing[label]
    good = part[(part["status"] == "ok") & part["of_case"].isin(scores.cases)].groupby("of_case")
    costs = good[list(COST_NAMES)].mean()
    return {
        "method": label,
        "tags": next(filter(None, part["tags"]), ""),
        "pretrained": scores.fitted[label],
        "ranked": label in scores.ranked,
        "cases": len(scores.cases) - len(missing),
        "planned": len(scores.cases),
        "missing": ", ".join(f"{case} ({why})" for case, why in missing.items()),
        "seeds": _span(good["seed"].nunique()),
        "ordered_by": scores.metric,
        **{name: None if missing else costs[name].mean(skipna=False) for name in COST_NAMES},
        "budget": budget_words(part.iloc[0]),
    }


def _interval(scores: CaseScores, label: str, metric: str) -> dict[str, Any]:
    values = scores.complete(label, metric)
    found = None if values is None else mean_over_cases(values)
    numbers = (None, None, None, 0) if found is None else (found.mean, found.low, found.high, found.cases)
    return dict(zip((metric, f"{metric}_low", f"{metric}_high", f"{metric}_cases"), numbers, strict=True))


def _leads(pairs: list[Pair], label: str) -> bool:
    """Return True if some pair differs significantly and no other method is better."""
    worse = {pair.worse for pair in pairs if pair.significant}
    return bool(worse) and label not in worse and any(label in (pair.first, pair.second) for pair in pairs)


def _wins(pairs: list[Pair], label: str, baseline: str) -> tuple[int, ...]:
    """Return wins, ties and losses against the baseline; nothing for itself and for what is not ranked."""
    return next((pair.counts_of(label) for pair in pairs if {pair.first, pair.second} == {label, baseline}), ())


def _baseline(runs: pd.DataFrame, scores: CaseScores, asked: str) -> tuple[str, str]:
    """Return the label that wins are counted against, and why it is that one, or why there is none."""
    if asked:
        labels = dict.fromkeys([*runs.loc[runs["label"] == asked, "label"], *runs.loc[runs["method"] == asked, "label"]])
        if not labels:
            return "", f"The baseline {asked} did not run here: no wins are counted."
        chosen = next((label for label in labels if label in scores.ranked), "")
        return chosen, "" if chosen else f"The baseline {asked} is not ranked: no wins are counted."
    work = {label: (part["projections"] + part["backprojections"]).mean() for label, part in scores.parts.items()}
    ranked = [label for label in scores.ranked if pd.notna(work[label])]
    classical = [label for label in ranked if "classical" in next(filter(None, scores.parts[label]["tags"]), "").split(", ")]
    if len(scores.ranked) < 2 or not ranked:
        return "", ""
    chosen = min(classical or ranked, key=lambda label: (round(float(work[label]), 6), label))
    return chosen, f"Baseline: {chosen}, by default the ranked {'classical ' * bool(classical)}method that projects least."


def _span(values: pd.Series) -> str:
    """Return '10', or '10 to 75' for values that differ."""
    known = values.dropna()
    if known.empty:
        return ""
    low, high = int(known.min()), int(known.max())
    return str(low) if low == high else f"{low} to {high}"


def _shared(values: pd.Series, name: str) -> str:
    texts = sorted(set(values))
    return texts[0] if len(texts) == 1 else f"{name} differ{'s' * (name == 'noise')} between cases"


def _frame(rows: list[dict[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(columns))
    for name in columns:
        if name in COUNTS or name in NUMBERS:
            table[name] = pd.to_numeric(table[name]).astype("Int64" if name in COUNTS else float)
    return table


def joined(tables: list[pd.DataFrame], columns: Sequence[str]) -> pd.DataFrame:
    """Return the rows of several boards as one table with these columns."""
    full = [table for table in tables if len(table)]
    return pd.concat(full, ignore_index=True) if full else pd.DataFrame(columns=list(columns))
