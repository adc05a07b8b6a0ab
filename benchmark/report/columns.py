"""The columns of numbers in every table: of what, which metric, by which protocol, under which heading, with how many decimals."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

from benchmark.records.frame import METRICS

STRICT = "strict"
PROTOCOLS = (STRICT, "naf", "sax", "r2")
KINDS = {"volume": "Volume", "projection": "Held-out", "fit": "Fit"}
COST = "cost"  # the kind of a column that is no score
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
BESIDE = ("sd", "half", "leads")  # what a summary says about a score, in columns of their own


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
        """Whether methods are compared by it."""
        return self.name in RANKED


def words(metric: str) -> str:
    """'PSNR [dB]' for psnr, 'my score' for my_score."""
    return WORDS.get(metric, metric.replace("_", " "))


def scores(names: Iterable[str]) -> list[Column]:
    """The columns that are scores, by protocol, then of what, then as they come; others are left out."""
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
NARROW = tuple(column for column in COLUMNS if column.name != "fit_ssim")  # as many as fit beside each other on a terminal


def shown(value: float | None, decimals: int) -> str:
    """A number as it stands in a table; empty if there is none."""
    return "" if value is None or math.isnan(value) else f"{value:.{decimals}f}"
