"""Summary: the mean over seeds of every method, per dataset, size, noise and number of views, with the text of its cells."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from benchmark.records.frame import COST as SPENT
from benchmark.records.frame import IDENTITY, METRICS, frame
from benchmark.records.record import RunRecord
from benchmark.records.titles import BUDGETS, dataset_names, labels
from benchmark.report.columns import COMPARED, COST, COSTS, WORK, Column, filled, shown
from benchmark.report.ranking import GROUP, ranked
from benchmark.report.statistics import Interval, mean_interval


def labelled(records: Iterable[RunRecord]) -> pd.DataFrame:
    """Return the frame of runs with a column `label`: the method, its preset and other distinguishing parameters; likewise `dataset`."""
    records = list(records)
    table = frame(records)
    names, datasets = labels(records), dataset_names(records)
    run_ids = list(table["run_id"])
    return table.assign(label=[names[run_id] for run_id in run_ids], dataset=[datasets[run_id] for run_id in run_ids])


def metric_columns(table: pd.DataFrame) -> list[str]:
    """Return every metric of a frame: the strict ones first, then all others by name."""
    known = {*IDENTITY, *SPENT, *METRICS, "run_id", "label"}
    return [*METRICS, *(name for name in table.columns if name not in known)]


def summarise(table: pd.DataFrame, columns: Sequence[Column] = ()) -> pd.DataFrame:
    """Return one row per dataset, size, noise, number of views and label, ordered and compared by the rule of `ranking`.

    Scores among `columns` get intervals and are compared, too, beside those that always are (COMPARED, where the table has them).

    Means are over the runs that are 'ok'; `runs` counts those, `planned` all of them, `cases` and `seeds` what they span.
    `deterministic` says that the finished runs are of a method that runs once, whatever the number of seeds.
    `*_sd` is the standard deviation over the runs, `*_half` half the 95% interval of the mean over seeds (empty for one seed, and
    if a seed lacks a case that another has).
    `pretrained` says what a method was fitted to beforehand, `competes` whether the method is compared with others, `rank` its places
    ('1', '2-3', or nothing), `*_leads` whether the number is set in bold. `budget` says what each run could use ('300 s', '' for no
    limit). A row without any finished run has its reason in `note` and no numbers.
    """
    compared = compared_columns(table, columns)
    scored = [column.name for column in compared]
    values = [*metric_columns(table), *(cost.name for cost in (*COSTS, *WORK) if cost.name in table)]
    rows = []
    for key, runs in table.groupby([*GROUP, "views", "label"], sort=False, dropna=False):
        good = runs[runs["status"] == "ok"]
        row = dict(zip([*GROUP, "views", "method"], key, strict=True), pretrained=next(filter(None, runs["pretrained"]), ""))
        row.update(status="ok" if len(good) else runs["status"].iloc[0], runs=len(good), planned=len(runs))
        row.update(cases=good["case"].nunique(), seeds=good["seed"].nunique(), note=_note(runs))
        row.update(budget=budget_words(runs.iloc[0]), deterministic=bool(len(good) and good["deterministic"].all()))
        row.update({name: pd.to_numeric(good[name]).mean() for name in values})
        for name in scored:
            known = good.dropna(subset=[name])
            interval = seed_interval(known, name)
            whole = interval is not None and interval.count * known["case"].nunique() == len(known)  # else of other runs than the mean
            row.update({f"{name}_sd": good[name].std(), f"{name}_half": interval.half if interval is not None and whole else None})
        rows.append(row)
    heads = [*GROUP, "views", "method", "pretrained", "status", "runs", "planned", "cases", "seeds", "note", "budget", "deterministic"]
    names = [*heads, *values, *(f"{name}_{what}" for what in ("sd", "half") for name in scored)]
    summary = pd.DataFrame(rows, columns=names)
    for name in scored:
        summary[f"{name}_half"] = pd.to_numeric(summary[f"{name}_half"]).astype(float)
    return ranked(summary, table, compared)


def compared_columns(table: pd.DataFrame, columns: Sequence[Column] = ()) -> tuple[Column, ...]:
    """Return the scores of a frame of runs that get intervals: COMPARED, then those among `columns`."""
    return tuple(dict.fromkeys(column for column in (*COMPARED, *columns) if column.kind != COST and column.name in table))


def seed_interval(good: pd.DataFrame, metric: str) -> Interval | None:
    """Return the mean of a metric over seeds; a seed counts, with its mean over cases, only if it has every case."""
    table = good.pivot_table(index="seed", columns="case", values=metric).dropna()
    return mean_interval(table.mean(axis=1).tolist())


def budget_words(run: pd.Series) -> str:
    """Return what a run could use: '300 s', '' for no limit."""
    return " and ".join(f"{run[name]:g} {unit}" for name, unit in BUDGETS.items() if pd.notna(run[name]))


def _note(runs: pd.DataFrame) -> str:
    """Return failures and doubts about finished runs in one line; '' if there are none."""
    bad, doubtful = runs[runs["status"] != "ok"], runs[(runs["status"] == "ok") & (runs["reason"] != "")]
    reasons = list(dict.fromkeys(f"{row.status}: {_first_line(row.reason)}" for row in bad.itertuples()))
    count = f"{len(bad)} of {len(runs)} " if len(runs) > 1 else ""
    doubts = dict.fromkeys(map(_first_line, doubtful["reason"]))
    return "; ".join([*([count + "; ".join(reasons)] if reasons else []), *doubts])


def _first_line(reason: str) -> str:
    lines = [line.strip() for line in str(reason).splitlines() if line.strip()]
    return lines[0] if lines else "no reason recorded"


def sections(summary: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Return the parts of a summary that form one table each, with titles, e.g. 'chest, 64 voxels, no added noise'."""
    for key, part in summary.groupby(GROUP, sort=False, dropna=False):
        yield section_title(*key), part


def section_title(dataset: str, size: int, noise: str) -> str:
    """Return the title of a group of runs, such as 'chest, 64 voxels, no added noise'."""
    voxels = f", {int(size)} voxels" if pd.notna(size) else ""
    return f"{dataset}{voxels}, {'no added noise' if noise == 'none' else noise}"


def slug(*parts: object) -> str:
    """Return a file name made of words: 'chest-64-poisson-1e+05'. If letters or a sign would be lost, a hash keeps names distinct."""
    texts = [str(part) for part in parts]
    name = re.sub(r"[^a-z0-9.+]+", "-", "-".join(texts).lower()).replace("-+-", "-").strip("-.")
    lost = any(not text.isascii() or re.search(r"(?<!\w)-\.?\d", text) for text in texts)
    return (
        "-".join(filter(None, [name, hashlib.sha256("\n".join(texts).encode("utf-8", "surrogatepass")).hexdigest()[:6]])) if lost else name
    )


def cell(row: pd.Series, column: Column) -> str:
    """Return one number of a table, with half its 95% interval if there are several seeds."""
    text = shown(row[column.name], column.decimals)
    half = row.get(f"{column.name}_half")
    return f"{text} ± {half:.{column.decimals}f}" if text and half is not None and pd.notna(half) else text


def counted(row: pd.Series) -> str:
    """Return the number of runs of a row: '3', or '2/3' if some did not finish."""
    return str(row["runs"]) if row["runs"] == row["planned"] else f"{row['runs']}/{row['planned']}"


def has_notes(part: pd.DataFrame) -> bool:
    """Return True if a table needs a column for notes."""
    return bool((part["note"] != "").any())


def has_ranks(part: pd.DataFrame) -> bool:
    """Return True if a table needs a column for ranks: not if every method ran with one seed."""
    return bool(part["seeds"].gt(1).any())


def has_pretrained(part: pd.DataFrame) -> bool:
    """Return True if a table needs a column for pretraining."""
    return bool((part["pretrained"] != "").any())


def remark(part: pd.DataFrame) -> str:
    """Return the text below a table: one seed, or means with intervals; frames; rank and bold; the budget of each run; pretrained ones."""
    apart = "Pretrained: fitted to other scans beforehand, so neither ranked nor set in bold among methods that know only the scan."
    frames = int(part["cases"].max())
    means = f"Each number is the mean over {frames} frames of a sequence." if frames > 1 else ""
    return " ".join(filter(None, [means, _repetitions(part), apart if has_pretrained(part) else ""]))


def _repetitions(part: pd.DataFrame) -> str:
    good = part[part["status"] == "ok"]
    fixed = good["deterministic"] & (good["seeds"] == 1)
    seeds = sorted({int(count) for count in good.loc[~fixed, "seeds"]} or {int(count) for count in good["seeds"]})
    if not seeds:
        return ""
    budgets = list(dict.fromkeys(part["budget"]))
    allowed = "" if budgets == [""] else f" Each run could use {budgets[0]}." if len(budgets) == 1 else " The budgets differ: see runs.csv."
    if seeds == [1]:
        alike = good.loc[good["pretrained"] == "", "competes"].all()
        best = "best" if any(column.better < 0 for column in filled(COMPARED, good)) else "highest"
        bold = f" Bold: the {best} number{'' if alike else ' of methods with the same cases and seeds'}."
        compared = part.filter(regex="_leads$").any(axis=None)  # not a lone method
        return f"One seed: no intervals and no ranks.{bold if compared else ''}{allowed}"
    count = str(seeds[-1]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    once = " A method without randomness runs once: its one value counts for every seed of the others." if fixed.any() else ""
    return (
        f"Mean ± half of its 95% interval (Student's t over n = {count} seeds).{once} Rank: by volume PSNR (held-out PSNR where there is "
        "no truth); methods are ranked only where the paired difference over cases and seeds is statistically significant; blank: not "
        "distinguishable from any other method. Bold: no other method is significantly better." + allowed
    )
