"""Overview of a results folder: runs, summary and leaderboard, which tables, figures and page all show, worked out once."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from benchmark.report.curves import times_to_quality
from benchmark.report.leaderboard import boards
from benchmark.report.published import side_by_side
from benchmark.report.summary import labelled, summarise

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.records.store import Results
    from benchmark.report.board import Board


class Overview:
    """Values that the parts of one report share. The records must not change meanwhile."""

    def __init__(self, results: Results) -> None:
        self.results = results

    @functools.cached_property
    def table(self) -> pd.DataFrame:
        """Labelled frame of all runs."""
        return labelled(self.results.records)

    @functools.cached_property
    def names(self) -> dict[str, str]:
        """Label of each run id."""
        return dict(zip(self.table["run_id"], self.table["label"], strict=True))

    @functools.cached_property
    def summary(self) -> pd.DataFrame:
        """Summary with the scores that are always compared."""
        return summarise(self.table)

    @functools.cached_property
    def published(self) -> pd.DataFrame:
        """Summary beside the published numbers."""
        return side_by_side(self.results)

    @functools.cached_property
    def times(self) -> pd.DataFrame:
        """Times after which runs reached a quality."""
        return times_to_quality(self.results)

    @functools.cached_property
    def boards(self) -> list[Board]:
        """Tables of the leaderboard."""
        return boards(self.results)
