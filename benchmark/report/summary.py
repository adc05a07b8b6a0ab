"""The mean over seeds of every method, per dataset, size, noise and number of views."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pandas as pd

from benchmark.records.frame import BUDGETS, COST, IDENTITY, METRICS, dataset_names, frame, labels
from benchmark.report.separation import Separation, seed_interval

if TYPE_CHECKING:
    from benchmark.records.store import Results

GROUP = ["dataset", "size", "noise"]  # what shares one table and one figure
RANKED = ("volume_psnr", "volume_ssim", "projection_psnr", "projection_ssim")  # higher is better; fit and cost are shown, not ranked


@dataclasses.dataclass(frozen=True)
class Column:
    """How a number is shown: heading, decimals, and whether the best of a table is set in bold."""

    name: str
    heading: str
    decimals: int
    ranked: bool = False


COLUMNS = (
    Column("volume_psnr", "Volume PSNR [dB]", 2, True),
    Column("volume_ssim", "Volume SSIM", 3, True),
    Column("projection_psnr", "Held-out PSNR [dB]", 2, True),
    Column("projection_ssim", "Held-out SSIM", 3, True),
    Column("fit_psnr", "Fit PSNR [dB]", 2),
    Column("fit_ssim", "Fit SSIM", 3),
    Column("seconds", "Time [s]", 1),
    Column("peak_memory_mb", "Peak memory [MiB]", 0),
)
DECIMALS = {column.name: column.decimals for column in COLUMNS}


def labelled(results: Results) -> pd.DataFrame:
    """The frame of all runs with a column `label`: the method, its preset and whatever else tells it apart; so for `dataset`."""
    table = frame(results.records)
    names, datasets = labels(results.records), dataset_names(results.records)
    run_ids = list(table["run_id"])
    return table.assign(label=[names[run_id] for run_id in run_ids], dataset=[datasets[run_id] for run_id in run_ids])


def metric_columns(table: pd.DataFrame) -> list[str]:
    """Every metric of a frame: the strict ones first, then all others by name."""
    known = {*IDENTITY, *COST, *METRICS, "run_id", "label"}
    return [*METRICS, *(name for name in table.columns if name not in known)]


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """One row per dataset, size, noise, number of views and label, best volume PSNR first (held-out PSNR where there is no truth),
    pretrained methods after the others.

    Means are over the runs that are 'ok'; `runs` counts those, `planned` all of them, `cases` and `seeds` what they span.
    `*_sd` is the standard deviation over the runs, `*_half` half the 95% interval of the mean over seeds (empty for one seed, and
    where a seed lacks a case that another has).
    `pretrained` says what a method was fitted to beforehand; such rows are compared with nothing: no rank, no lead.
    `rank` says what the seeds can tell apart ('1', '2-3', or nothing), `*_leads` whom no other is better than (for one seed false
    if it has other cases or seeds than the rest, else empty). `budget` says what each run could use ('300 s', '' for no limit). A row
    without any finished run has its reason in `note` and no numbers.
    """
    values = [*metric_columns(table), "seconds", "cpu_seconds", "peak_memory_mb"]
    rows = []
    for key, runs in table.groupby([*GROUP, "views", "label"], sort=False, dropna=False):
        good = runs[runs["status"] == "ok"]
        row = dict(zip([*GROUP, "views", "method"], key, strict=True), pretrained=next(filter(None, runs["pretrained"]), ""))
        row.update(status="ok" if len(good) else runs["status"].iloc[0], runs=len(good), planned=len(runs))
        row.update(cases=good["case"].nunique(), seeds=good["seed"].nunique(), note=_note(runs))
        row.update(budget=_budget(runs.iloc[0]))
        row.update({name: good[name].mean() for name in values})
        for name in RANKED:
            known = good.dropna(subset=[name])
            interval = seed_interval(known, name)
            whole = interval is not None and interval.count * known["case"].nunique() == len(known)  # else of other runs than the mean
            row.update({f"{name}_sd": good[name].std(), f"{name}_half": interval.half if interval is not None and whole else None})
        rows.append(row)
    heads = [*GROUP, "views", "method", "pretrained", "status", "runs", "planned", "cases", "seeds", "note", "budget"]
    columns = [*heads, *values, *(f"{name}_{what}" for what in ("sd", "half") for name in RANKED)]
    summary = _with_ranks(pd.DataFrame(rows, columns=columns), table)
    for name in RANKED:
        summary[f"{name}_half"] = pd.to_numeric(summary[f"{name}_half"]).astype(float)
    order = summary.assign(rank=summary["volume_psnr"].fillna(-1e9), second=summary["projection_psnr"].fillna(-1e9))
    order["last"] = order["pretrained"] != ""
    keys = [*GROUP, "views", "last", "rank", "second", "method"]
    order = order.sort_values(keys, ascending=[True] * 5 + [False, False, True], kind="stable")
    return summary.loc[order.index].reset_index(drop=True)


def _with_ranks(summary: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """The summary with the columns `rank` and `*_leads`."""
    ranks, leads = {}, {}
    for key, runs in table[(table["status"] == "ok") & (table["pretrained"] == "")].groupby([*GROUP, "views"], dropna=False):
        separation = Separation(runs)
        ranked_by = "volume_psnr" if runs["volume_psnr"].notna().any() else "projection_psnr"
        ranks.update({(*key, label): rank for label, rank in separation.ranks(ranked_by, DECIMALS[ranked_by]).items()})
        for name in RANKED:
            leads.update({(*key, label, name): leading for label, leading in separation.leads(name, DECIMALS[name]).items()})
    keys = list(summary[[*GROUP, "views", "method"]].itertuples(index=False, name=None))
    added = {f"{name}_leads": [leads.get((*key, name)) for key in keys] for name in RANKED}
    return summary.assign(rank=[ranks.get(key, "") for key in keys], **added)


def _budget(run: pd.Series) -> str:
    return " and ".join(f"{run[name]:g} {unit}" for name, unit in BUDGETS.items() if pd.notna(run[name]))


def _note(runs: pd.DataFrame) -> str:
    """What went wrong, in one line."""
    bad = runs[runs["status"] != "ok"]
    if bad.empty:
        return ""
    reasons = list(dict.fromkeys(f"{row.status}: {_first_line(row.reason)}" for row in bad.itertuples()))
    count = f"{len(bad)} of {len(runs)} " if len(runs) > 1 else ""
    return count + "; ".join(reasons)


def _first_line(reason: str) -> str:
    lines = [line.strip() for line in str(reason).splitlines() if line.strip()]
    return lines[0] if lines else "no reason recorded"


def sections(summary: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The parts of a summary that belong in one table, each with its title, e.g. 'chest, 64 voxels, noise-free'."""
    for key, part in summary.groupby(GROUP, sort=False, dropna=False):
        yield section_title(*key), part


def section_title(dataset: str, size: int, noise: str) -> str:
    """What a group of runs has in common, in words."""
    voxels = f", {int(size)} voxels" if pd.notna(size) else ""
    return f"{dataset}{voxels}, {'no added noise' if noise == 'none' else noise}"


def slug(*parts: object) -> str:
    """A file name made of words: 'chest-64-poisson-1e+05'. Where letters or a sign would be lost, a hash keeps names apart."""
    texts = [str(part) for part in parts]
    name = re.sub(r"[^a-z0-9.+]+", "-", "-".join(texts).lower()).replace("-+-", "-").strip("-.")
    lost = any(not text.isascii() or re.search(r"(?<!\w)-\.?\d", text) for text in texts)
    return "-".join(filter(None, [name, hashlib.sha256("\n".join(texts).encode()).hexdigest()[:6]])) if lost else name


def shown(value: float | None, decimals: int) -> str:
    """A number as it stands in a table; empty if there is none."""
    return "" if value is None or pd.isna(value) else f"{value:.{decimals}f}"


def best(part: pd.DataFrame) -> dict[tuple[int, str], bool]:
    """Which cells (row label, column) hold the best value of their number of views, ties at the shown decimals included.

    With several seeds these are all that no other is better than. With one, only rows of the same cases and seeds compete, and
    only where there are two: a lone method is not the best of anything. Pretrained methods do not compete.
    """
    found: dict[tuple[int, str], bool] = {}
    for _, rows in part[part["pretrained"] == ""].groupby("views", sort=False):
        for column in (column for column in COLUMNS if column.ranked):
            leads = rows[f"{column.name}_leads"]
            found.update({(index, column.name): True for index in rows.index[leads.eq(True)]})
            texts = rows.loc[leads.isna(), column.name].map(lambda value, decimals=column.decimals: shown(value, decimals))
            numbers = texts[texts != ""].astype(float)
            if len(numbers) > 1:
                found.update({(index, column.name): True for index in numbers.index[numbers == numbers.max()]})
    return found
