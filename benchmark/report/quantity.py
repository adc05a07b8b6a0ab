"""What a column of scores is: of what (volume, held-out views, training views), which metric, by which protocol."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

STRICT = "strict"
PROTOCOLS = (STRICT, "naf", "sax", "r2")
KINDS = {"volume": "Volume", "projection": "Held-out", "fit": "Fit"}
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


def words(metric: str) -> str:
    """'PSNR [dB]' for psnr, 'my score' for my_score."""
    return WORDS.get(metric, metric.replace("_", " "))


@dataclasses.dataclass(frozen=True)
class Quantity:
    """'projection_psnr_r2' is the PSNR of the held-out views by R2-Gaussian's protocol."""

    name: str
    kind: str
    metric: str
    protocol: str

    @property
    def heading(self) -> str:
        """For a table or an axis, without the protocol."""
        return f"{KINDS[self.kind]} {words(self.metric)}"

    @property
    def decimals(self) -> int:
        """Digits behind the point that mean something."""
        return 2 if self.metric.startswith("psnr") else 3 if self.metric.startswith("ssim") else 3


def quantities(names: Iterable[str]) -> list[Quantity]:
    """The columns that are scores, by protocol, then of what, then as they come; others are left out."""
    found = []
    for name in names:
        kind, _, rest = name.partition("_")
        if kind not in KINDS or not rest or rest.rpartition("_")[2] in BESIDE:
            continue
        metric, _, last = rest.rpartition("_")
        protocol = last if metric and last in PROTOCOLS else STRICT
        found.append(Quantity(name, kind, metric if protocol != STRICT else rest, protocol))
    return sorted(found, key=lambda quantity: (PROTOCOLS.index(quantity.protocol), list(KINDS).index(quantity.kind)))
