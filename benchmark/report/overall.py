"""Figures over all cases of a results folder: score against views, time and memory, and noise, drawn from the leaderboard's means."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from benchmark.report.board import Board
from benchmark.report.canvas import Palette
from benchmark.report.columns import RANKED, scores
from benchmark.report.ranking import method_order
from benchmark.report.summary import slug
from benchmark.report.trends import COSTS, PARETO, PHOTONS, VIEWS, costs, trends

SECTION = "Over all cases"
_PHOTONS = re.compile(r"poisson ([\d.e+]+)")


@dataclasses.dataclass(frozen=True)
class Overall:
    """A figure over cases: a name for files, title, caption and the figure."""

    name: str
    title: str
    caption: str
    figure: Figure


def overall(boards: Sequence[Board], palette: Palette) -> Iterator[Overall]:
    """Draw every figure over the cases that count, at least two. Only means over the same cases share a line."""
    known = [board for board in boards if board.block == "ranking" and len(board.cases) > 1 and len(board.rows)]
    tuning = sorted({case for board in boards if board.block == "tuning" for case in board.cases})
    for (size, noise, settings, cases), members in _grouped(known, lambda board: (board.size, board.noise, board.settings, board.cases)):
        counted = [board for board in members if board.views.isdigit()]
        if not counted:
            continue
        means = _means(counted, VIEWS.column, [float(board.views) for board in counted])
        title = _title(len(cases), size, "no added noise" if noise == "none" else noise, settings)
        where = (size, *([noise] if noise != "none" else []), *([settings] if settings else []), *_apart(cases, known))
        said = _caption(counted, cases, tuning)
        order = method_order(means)
        if (figure := trends(means, palette, order, title)) is not None:
            yield Overall(slug("views-overall", *where), f"Score against views: {title}", said, figure)
        if (figure := costs(means, palette, order, title)) is not None:
            yield Overall(slug("costs-overall", *where), f"Score against time and memory: {title}", f"{said} {PARETO}", figure)
    for (views, size, rest, settings, cases), members in _grouped(
        known, lambda board: (board.views, board.size, _without_photons(board.noise), board.settings, board.cases)
    ):
        photons = [_photons(board.noise) for board in members]
        if len(set(photons)) < 2:
            continue
        means = _means(members, PHOTONS.column, photons)
        title = _title(len(cases), f"{views} views", size, rest, settings)
        where = (f"{views}-views", size, *filter(None, (rest, settings)), *_apart(cases, known))
        if (figure := trends(means, palette, method_order(means), title, PHOTONS)) is not None:
            yield Overall(slug("noise-overall", *where), f"Score against noise: {title}", _caption(members, cases, tuning), figure)


def _grouped(boards: Sequence[Board], key: Callable[[Board], tuple[Any, ...]]) -> Iterator[tuple[tuple[Any, ...], list[Board]]]:
    for group, members in itertools.groupby(sorted(boards, key=key), key=key):
        yield group, list(members)


def _apart(cases: tuple[str, ...], boards: Sequence[Board]) -> list[str]:
    """Return what tells figures over different cases apart; nothing if all are over the same."""
    return list(cases) if len({board.cases for board in boards}) > 1 else []


def _photons(noise: str) -> float:
    """Return the photons per pixel of a noise in words; infinity without photon noise."""
    found = _PHOTONS.search(noise)
    return float(found[1]) if found else math.inf


def _without_photons(noise: str) -> str:
    return " + ".join(word for word in noise.split(" + ") if word != "none" and not _PHOTONS.fullmatch(word))


def _means(boards: Sequence[Board], along: str, places: Sequence[float]) -> pd.DataFrame:
    """Return the rows of the boards as those of a summary, each with its place on the axis; methods with a missing case have no numbers."""
    parts = []
    for board, place in zip(boards, places, strict=True):
        halves = {f"{name}_half": (board.rows[f"{name}_high"] - board.rows[f"{name}_low"]) / 2 for name in RANKED}
        parts.append(board.rows.assign(**halves, **{along: place, "status": "ok"}))
    table = pd.concat(parts, ignore_index=True)
    numbers = [*RANKED, *(f"{name}_{what}" for name in RANKED for what in ("low", "high", "half")), *COSTS]
    return table[["method", "pretrained", "status", along, *numbers]].dropna(subset=list(RANKED), how="all", ignore_index=True)


def _title(count: int, *parts: str) -> str:
    words = [f"{part} voxels" if re.fullmatch(r"\d+( to \d+)?", part) else part for part in parts if part]
    return f"{count} cases, {', '.join(words)}"


def _caption(boards: Sequence[Board], cases: Sequence[str], tuning: Sequence[str]) -> str:
    """Return whose means the figure shows, and who is left out."""
    texts = [f"Means over {len(cases)} cases ({', '.join(cases)}); bands and bars: 95% intervals over cases like these."]
    for column in scores(RANKED):
        counts = {int(board.rows[f"{column.name}_cases"].max()) for board in boards}
        if counts - {0, len(cases)}:
            texts.append(f"{column.heading.partition(' [')[0]}: over the {min(counts - {0})} cases that have it.")
    missing = dict.fromkeys(
        f"{row.method} ({row.cases}/{row.planned} cases, {board.views} views{'' if board.noise == 'none' else ', ' + board.noise})"
        for board in boards
        for row in board.rows.itertuples()
        if row.missing
    )
    if missing:
        texts.append(f"Drawn only where a method has all cases; left out: {', '.join(missing)}.")
    if tuning:
        texts.append(f"Methods were set on {', '.join(tuning)}: not counted.")
    return " ".join(texts)
