"""Scores and their protocols, registered as plug-ins. The import is cheap; scikit-image loads on first use.

Published tables disagree by 1-2 dB on the same data because their protocols differ. This project ranks by `psnr` and `ssim`
(the strict protocol): no clipping, the range from the truth, nothing from the prediction. Names ending in
`_naf`, `_sax` and `_r2` repeat the evaluation code of the peers, for comparison with published numbers.
"""

from __future__ import annotations

from typing import Literal

from benchmark.plugins.hooks import hookimpl
from benchmark.plugins.specs import MetricSpec

_VOLUME = (
    ("psnr", "dB", "range = max - min of the truth, no clipping"),
    ("ssim", "", "3-D, Gaussian window of sigma 1.5, range = max - min of the truth"),
    ("psnr_naf", "dB", "as NAF and SAX-NeRF: in units where the truth's maximum is 1, range 1"),
    ("ssim_naf", "", "as NAF and SAX-NeRF: 3-D, uniform 7 x 7 x 7 window, data range 2 where the truth's maximum is 1"),
    ("psnr_r2", "dB", "as R2-Gaussian: in units where the truth's maximum is 1, range 1"),
    ("ssim_r2", "", "as R2-Gaussian: 2-D, Gaussian window, zero padding, mean over the slices along all three axes"),
)
_PROJECTION = (
    ("psnr", "dB", "range = maximum of the true stack, no clipping"),
    ("ssim", "", "2-D per view, Gaussian window of sigma 1.5, range = maximum of the true stack, mean over the views"),
    ("psnr_naf", "dB", "as NAF, but the mean over all views where NAF draws one: each image scaled to its own [0, 1]"),
    ("psnr_sax", "dB", "as SAX-NeRF: the whole stack, prediction and truth each scaled to its own [0, 1]"),
    ("ssim_sax", "", "as SAX-NeRF: raw values cast to 8 bits, constants for 255 (near 1 for anything decent); needs values in [-1, 1]"),
    ("psnr_r2", "dB", "as R2-Gaussian: each view, prediction and truth, divided by its own maximum, mean over the views"),
    ("ssim_r2", "", "as R2-Gaussian: 2-D, Gaussian window, zero padding, each view divided by its own maximum"),
)


_MORE = (
    MetricSpec(
        name="rmse_hu",
        kind="volume",
        target="benchmark.metrics.volume:rmse_hu",
        unit="HU",
        higher_is_better=False,
        summary="root mean squared error in Hounsfield units, for datasets with a known attenuation of water",
        protocol="more",
        needs=("mu_water",),
    ),
    MetricSpec(
        name="edge_mtf50",
        kind="volume",
        target="benchmark.metrics.sharpness:edge_mtf50",
        unit="1/mm",
        summary="frequency at which the modulation transfer of the edge of a known sphere has fallen to one half",
        protocol="more",
        needs=("geometry", "sphere"),
    ),
    MetricSpec(
        name="edge_width",
        kind="volume",
        target="benchmark.metrics.sharpness:edge_width",
        unit="mm",
        higher_is_better=False,
        summary="distance over which the edge of a known sphere falls from 90 to 10 percent",
        protocol="more",
        needs=("geometry", "sphere"),
    ),
)


_PHOTOGRAPHS = (
    MetricSpec(
        name="iou",
        kind="projection",
        target="benchmark.metrics.silhouette:iou",
        summary="intersection over union of the silhouettes of photographs",
        protocol="more",
        needs=("silhouettes",),
    ),
    MetricSpec(
        name="l1",
        kind="projection",
        target="benchmark.metrics.silhouette:l1",
        higher_is_better=False,
        summary="mean absolute difference of the colours of photographs, where one of the silhouettes is",
        protocol="more",
        needs=("silhouettes",),
    ),
)


@hookimpl
def register_metrics() -> list[MetricSpec]:
    """Return volume and projection metrics of all protocols; kind 'volume' and name 'psnr' become the column volume_psnr."""
    named: dict[Literal["volume", "projection"], tuple[tuple[str, str, str], ...]] = {"volume": _VOLUME, "projection": _PROJECTION}
    protocols = [
        MetricSpec(
            name=name,
            kind=kind,
            target=f"benchmark.metrics.{kind}:{name}",
            unit=unit,
            summary=summary,
            protocol=_protocol(name),
            needs=("valid",) if kind == "projection" else (),
        )
        for kind, metrics in named.items()
        for name, unit, summary in metrics
    ]
    return [*protocols, *_MORE, *_PHOTOGRAPHS]


def _protocol(name: str) -> str:
    """Return the protocol of a metric's name: 'naf' for 'psnr_naf', 'strict' for 'psnr'."""
    return name.partition("_")[2] or "strict"
