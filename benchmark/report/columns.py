"""Numeric columns of all tables: scored quantity, metric, protocol, heading and decimals."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

from benchmark.records.frame import METRICS

STRICT = "strict"
PROTOCOLS = (STRICT, "naf", "sax", "r2")
KINDS = {"volume": "Volume", "projection": "Held-out", "fit": "Fit"}
COST = "cost"  # kind of the columns that are not scores
RANKED = ("volume_psnr", "volume_ssim", "projection_psnr", "projection_ssim")  # higher is better; fit and cost are shown, not ranked
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
        """True if methods are compared by this column."""
        return self.name in RANKED


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


COSTS = (Column("seconds", "Time [s]", 1, COST), Column("peak_memory_mb", "Peak memory [MiB]", 0, COST))
COLUMNS = (*scores(METRICS), *COSTS)
NARROW = tuple(column for column in COLUMNS if column.name != "fit_ssim")  # as many as fit side by side on a terminal


def shown(value: float | None, decimals: int) -> str:
    """Return a number as a table shows it; empty if there is none."""
    return "" if value is None or math.isnan(value) else f"{value:.{decimals}f}"
