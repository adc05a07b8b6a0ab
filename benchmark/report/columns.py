"""Numeric columns of all tables: scored quantity, metric, protocol, heading and decimals."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from benchmark.errors import InputError, unknown_name
from benchmark.records.frame import METRICS

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.plugins.specs import MetricSpec

STRICT = "strict"
PROTOCOLS = (STRICT, "naf", "sax", "r2")
KINDS = {"volume": "Volume", "projection": "Held-out", "fit": "Fit"}
COST = "cost"  # kind of the columns that are not scores
RANKED = ("volume_psnr", "volume_ssim", "projection_psnr", "projection_ssim")  # higher is better; fit and cost are shown, not ranked
PHOTOGRAPHS = ("projection_iou", "projection_l1")  # scores of photographs
BETTER = {"psnr": 1, "ssim": 1, "iou": 1, "edge_mtf50": 1, "l1": -1, "rmse_hu": -1, "edge_width": -1}  # 1: higher, -1: lower
WORDS = {
    "psnr": "PSNR [dB]",
    "ssim": "SSIM",
    "rmse_hu": "RMSE [HU]",
    "edge_mtf50": "edge MTF50 [1/mm]",
    "edge_width": "edge width [mm]",
    "iou": "IoU",
    "l1": "L1",
}
BESIDE = ("sd", "half", "leads")  # facts about a score, in separate columns of a summary


@dataclasses.dataclass(frozen=True)
class Column:
    """A score or a cost: 'projection_psnr_r2' is the PSNR of the held-out views by R2-Gaussian's protocol, 'seconds' a cost."""

    name: str
    heading: str  # without the protocol
    decimals: int
    kind: str  # a key of KINDS, or COST
    metric: str = ""
    protocol: str = ""

    @property
    def ranked(self) -> bool:
        """True if the column is one of those that methods are ranked by."""
        return self.name in RANKED

    @property
    def better(self) -> int:
        """1 if the higher number is the better one, -1 if the lower; 0 for fit, cost and the scores of other plug-ins."""
        return 0 if self.kind in ("fit", COST) else BETTER.get(self.metric, 0)

    @property
    def title(self) -> str:
        """Heading with the protocol, if it is not the strict one: 'Volume PSNR [dB], r2'."""
        return self.heading + self._suffix

    @property
    def short(self) -> str:
        """Heading below that of its kind: 'PSNR [dB], r2'; of a cost the whole heading."""
        return self.heading if self.kind == COST else words(self.metric) + self._suffix

    @property
    def _suffix(self) -> str:
        return "" if self.protocol in ("", STRICT) else f", {self.protocol}"


def words(metric: str) -> str:
    """Return 'PSNR [dB]' for psnr, 'my score' for my_score."""
    return WORDS.get(metric, metric.replace("_", " "))


def scores(names: Iterable[str]) -> list[Column]:
    """Return the columns that are scores, ordered by protocol, then scored quantity, then input order."""
    found = []
    for name in names:
        kind, _, rest = name.partition("_")
        if kind not in KINDS or not rest or rest.rpartition("_")[2] in BESIDE:
            continue
        front, _, last = rest.rpartition("_")
        metric, protocol = (front, last) if front and last in PROTOCOLS else (rest, STRICT)
        found.append(Column(name, f"{KINDS[kind]} {words(metric)}", 2 if metric.startswith("psnr") else 3, kind, metric, protocol))
    return sorted(found, key=lambda column: (PROTOCOLS.index(column.protocol), list(KINDS).index(column.kind)))


COSTS = (
    Column("seconds", "Time [s]", 1, COST),
    Column("peak_memory_mb", "Peak memory [MiB]", 0, COST),
    Column("gpu_peak_memory_mb", "Peak GPU memory [MiB]", 0, COST),
)
WORK = (
    Column("cpu_seconds", "CPU time [s]", 1, COST),
    Column("steps", "Steps", 0, COST),
    Column("ray_samples", "Ray samples", 0, COST),
    Column("projections", "Projections", 1, COST),
    Column("backprojections", "Backprojections", 1, COST),
)  # costs that only some ask for
COMPARED = tuple(scores((*RANKED, *PHOTOGRAPHS)))
COLUMNS = (*scores((*METRICS, *PHOTOGRAPHS)), *COSTS)
DECIMALS = {column.name: column.decimals for column in COLUMNS}
NARROW = tuple(column for column in COLUMNS if column.name not in ("fit_ssim", "gpu_peak_memory_mb"))  # fit side by side on a terminal
PAPER = (*COMPARED, COSTS[0])  # fit side by side on a sheet


def chosen(names: Iterable[str], metrics: Iterable[MetricSpec], recorded: Iterable[str] = ()) -> tuple[Column, ...]:
    """Return the columns of these names, in their order, each once.

    Valid are the scores by the registered `metrics`, scores that are `recorded` (of plug-ins that are gone), and every cost.
    Raise InputError for any other name.
    """
    from benchmark.metrics.scorer import PREFIXES

    valid = dict.fromkeys([*(f"{prefix}_{metric.name}" for metric in metrics for prefix in PREFIXES[metric.kind]), *recorded])
    known = {column.name: column for column in (*scores(valid), *COSTS, *WORK)}
    for name in names:
        if name not in known:
            raise unknown_name("--columns", name, known)
    return tuple(known[name] for name in dict.fromkeys(names))


def named(text: str | None, metrics: Iterable[MetricSpec], recorded: Iterable[str] = ()) -> tuple[Column, ...]:
    """Return the columns of a text such as 'volume_psnr,seconds'; none for None. Raise InputError as `chosen`, and for an empty text."""
    names = [] if text is None else [name.strip() for name in text.split(",") if name.strip()]
    if text is not None and not names:
        raise InputError("--columns", expected="names, comma-separated, such as volume_psnr,seconds", found=repr(text))
    return chosen(names, metrics, recorded)


def filled(columns: Iterable[Column], part: pd.DataFrame) -> tuple[Column, ...]:
    """Return the columns that have a value in a part of a summary: tables show no others."""
    return tuple(column for column in columns if column.name in part and part[column.name].notna().any())


def shown(value: float | None, decimals: int) -> str:
    """Return a number as a table shows it; empty if there is none."""
    return "" if value is None or math.isnan(value) else f"{value:.{decimals}f}"
