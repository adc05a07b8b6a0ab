"""Board: one table of the leaderboard, with the words and cells that console, Markdown, LaTeX and page all show."""

from __future__ import annotations

import dataclasses
from typing import Literal

import pandas as pd

from benchmark.report.columns import COMPARED, COSTS, Column, shown
from benchmark.report.significance import LEAST_CASES
from benchmark.report.statistics import Interval

FEW = 6  # cases: with fewer, only differences that are large beside their spread can be significant


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell: its text, whether it is bold, and the number by which the page sorts it (None: by its text)."""

    text: str
    bold: bool = False
    number: float | None = None


@dataclasses.dataclass(frozen=True)
class Head:
    """One heading: its text, whether its cells are words, and the score or cost below it."""

    text: str
    word: bool = False
    column: Column | None = None


@dataclasses.dataclass(frozen=True)
class Board:
    """The methods over all cases of one number of views, size and noise.

    `rows` has the columns of `leaderboard.leaderboard`, `pairs` those of `leaderboard.pairs`. Without `rows` there is no table, and
    `caption` says why.
    """

    block: Literal["ranking", "tuning"]
    views: str  # '10', or '50 to 75' if each case has its own
    size: str
    noise: str
    settings: str  # other settings in which this table differs from another, such as 'arc=120'
    cases: tuple[str, ...]
    unfinished: tuple[str, ...]  # cases that no method finished
    ordered_by: str  # a name of RANKED
    baseline: str  # label; '' if there is none
    chosen: str  # why this baseline, or why there is none
    rows: pd.DataFrame
    pairs: pd.DataFrame

    @property
    def title(self) -> str:
        """Title: 'Leaderboard: 10 views, 64 voxels, no added noise, 8 cases'."""
        views = f"{self.views} view{'s' * (self.views != '1')}"
        size = f"{self.size} voxels" if self.size else ""
        added = "no added noise" if self.noise == "none" else self.noise
        count = f"{len(self.cases)} case{'s' * (len(self.cases) != 1)}"
        front = "Tuning cases, not ranked" if self.block == "tuning" else "Leaderboard"
        return f"{front}: " + ", ".join(filter(None, [views, size, added, self.settings, count]))

    @property
    def heads(self) -> list[Head]:
        """Headings, the same in every output."""
        ranked = self.block == "ranking"
        heads = [Head("Method", word=True), *(Head(column.heading, column=column) for column in self._scores)]
        if ranked:
            heads += [Head("Mean rank"), *([Head(f"Wins against {self.baseline}")] if self.baseline else [])]
            heads += [Head("Letters", word=True)] if self._lettered else []
        heads += [Head(column.heading, column=column) for column in COSTS if self.rows[column.name].notna().any()]
        for name, text in (("pretrained", "Pretrained"), ("tags", "Tags"), ("missing", "Note")):
            heads += [Head(text, word=True)] if (self.rows[name] != "").any() else []
        return heads

    def cells(self, row: pd.Series) -> list[Cell]:
        """Return the cells of one row below `heads`."""
        return [self._cell(row, head) for head in self.heads]

    def _cell(self, row: pd.Series, head: Head) -> Cell:
        if head.column is not None:
            return _number(row, head.column)
        if head.text == "Mean rank":
            return Cell(shown(row["mean_rank"], 2), number=_value(row["mean_rank"]))
        if head.text.startswith("Wins"):
            known = row["ranked"] and row["method"] != self.baseline and pd.notna(row["wins"])
            ties = f" ({row['ties']} tied)" if known and row["ties"] else ""
            return Cell(f"{row['wins']}/{row['wins'] + row['ties'] + row['losses']}{ties}" if known else "", number=_value(row["wins"]))
        if head.text == "Note":
            return Cell(note(row))
        return Cell(str(row[head.text.lower() if head.text != "Method" else "method"]))

    @property
    def _scores(self) -> list[Column]:
        return [column for column in COMPARED if self.rows[column.name].notna().any()]

    @property
    def _lettered(self) -> bool:
        return bool((self.rows["letters"] != "").any())

    @property
    def caption(self) -> str:
        """Caption: what the numbers are, how they were compared, and how little a few cases say."""
        names = ", ".join(self.cases)
        if self.rows.empty:
            return f"Only {names} counts here: over one case there is no leaderboard." if names else "No method finished a case."
        if self.block == "tuning":
            return f"Means over {names}: methods were set on these, so they count in no ranking. Each case is the mean over its seeds."
        texts = [
            f"Mean over {len(self.cases)} cases ({names}) ± half of its 95% interval over cases like these (the wider of a bootstrap of "
            "cases and their seeds and Student's t over cases).",
            *self._partial,
            f"Order, ranks and wins: by {self.metric_words}, numbers as shown. Mean rank: over cases; equal numbers share their ranks.",
            self.chosen,
            self._test,
            *self._doubts,
        ]
        return " ".join(filter(None, texts))

    @property
    def metric_words(self) -> str:
        """The score that orders and compares: 'volume PSNR'."""
        return _named(next(column for column in COMPARED if column.name == self.ordered_by))

    @property
    def _partial(self) -> list[str]:
        """Say which scores are means over fewer cases."""
        counts = {_named(column): int(self.rows[f"{column.name}_cases"].max()) for column in self._scores}
        return [
            f"{name[0].upper()}{name[1:]}: over the {count} cases that have it."
            for name, count in counts.items()
            if 0 < count < len(self.cases)
        ]

    @property
    def _test(self) -> str:
        methods, cases = int(self.rows["ranked"].sum()), int(self.rows[f"{self.ordered_by}_cases"].max())
        if methods < 2:
            return "" if methods else "No method finished every case, so none is ranked."
        if cases < LEAST_CASES:
            return f"{cases} cases allow no test: nothing here is significant, and nothing is bold."
        count = methods * (methods - 1) // 2
        pairs = f"corrected by Holm for {count} pairs" if count > 1 else "one pair"
        few = f" With {cases} cases only differences that are large beside their spread are seen." if cases < FEW else ""
        return (
            f"Methods that share a letter do not differ significantly (paired Student's t over cases, {pairs}, 5% in all; it takes the "
            "cases for independent draws and the differences for roughly normal). Bold: no other ranked method is significantly "
            f"better, and some pair differs.{few}"
        )

    @property
    def _doubts(self) -> list[str]:
        rows = self.rows
        texts = []
        if (~rows["ranked"] & (rows["pretrained"] == "")).any():
            texts.append("Methods without all cases are not ranked and have no means.")
        if (rows["pretrained"] != "").any():
            texts.append("Pretrained: fitted to other scans beforehand, so not ranked among methods that know only the scan.")
        if self.unfinished:
            texts.append(f"No method finished {', '.join(self.unfinished)}: not counted.")
        budgets = list(dict.fromkeys(rows["budget"]))
        if len(budgets) > 1:
            texts.append("The budgets differ: see leaderboard.csv.")
        elif budgets != [""]:
            texts.append(f"Each run could use {budgets[0]}.")
        return texts


def note(row: pd.Series) -> str:
    """Return '7/8 cases; missing: head (failed)'; '' for a method with all its cases."""
    return f"{row['cases']}/{row['planned']} cases; missing: {row['missing']}" if row["missing"] else ""


def _number(row: pd.Series, column: Column) -> Cell:
    mean, text = row[column.name], shown(row[column.name], column.decimals)
    low, high = row.get(f"{column.name}_low"), row.get(f"{column.name}_high")
    if text and low is not None and pd.notna(low):
        text += f" ± {Interval(mean, low, high, 0).half:.{column.decimals}f}"
    return Cell(text, bool(row.get(f"{column.name}_leads", False)), _value(mean))


def _named(column: Column) -> str:
    """Return 'volume PSNR'."""
    heading = column.heading.partition(" [")[0]
    return heading[0].lower() + heading[1:]


def _value(number: float | None) -> float | None:
    return None if number is None or pd.isna(number) else float(number)
