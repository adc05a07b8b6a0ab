"""Cases of a results folder, and the tables that their runs make: one for each number of views, size, noise and setting."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd

from benchmark.records.record import RunRecord
from benchmark.records.titles import FRAME, case_names, case_settings, view_count
from benchmark.report.summary import labelled

FACTORS = ("asked_size", "noise", "settings", "asked_views")  # in the order of the tables


def cased(records: Iterable[RunRecord]) -> pd.DataFrame:
    """Return the labelled frame of runs with what tells their cases apart.

    `of_case` is the case by name, `source` its dataset; `settings`, `asked_size` and `asked_views` say how a run looks at it, `frame` at
    which frame of a sequence.
    """
    records = list(records)
    names = case_names(records)
    settings = case_settings(records, names)
    return (
        labelled(records)
        .assign(
            of_case=[names[record.run_id] for record in records],
            settings=[settings[record.run_id] for record in records],
            asked_size=[record.spec.dataset_params.get("size") or 0 for record in records],
            asked_views=[view_count(record.spec) or record.views for record in records],
            source=[record.spec.dataset for record in records],
            frame=[record.spec.dataset_params.get(FRAME, 0) for record in records],
        )
        .copy()
    )  # in one piece: quicker to cut


def tables(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield the runs of each table of a frame from `cased`. A factor divides them only if some case has two values of it."""
    levels = {f"level_{name}": _levels(table, name) for name in FACTORS}
    for _, part in table.assign(**levels).groupby(list(levels), sort=True):
        yield part.drop(columns=list(levels))


def _levels(table: pd.DataFrame, name: str) -> pd.Series:
    """Return the table of each run by one factor: one for all, or one for each value.

    Where every case has at most one number that not all share, as with `views: [10, all]`, these numbers share a table.
    """
    values = table.groupby("of_case")[name].agg(lambda column: frozenset(column))
    same = table[name] if name.startswith("asked") else table[name].astype(str)
    if values.map(len).max() < 2:
        return pd.Series("" if same.dtype == object else 0, index=table.index)
    if name.startswith("asked"):
        shared = frozenset.intersection(*values)
        own = values.map(lambda found: found - shared)
        if own.map(len).max() == 1 and own.map(len).sum() > 1:
            least = min(min(found) for found in own if found)
            return same.where(same.isin(shared), least)
    return same
