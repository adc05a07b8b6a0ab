"""The scores and their protocols, registered as plug-ins. Importing this costs nothing; scikit-image loads on first use.

Published tables disagree by 1-2 dB on the same data because their protocols differ. `psnr` and `ssim` (the strict protocol)
are what this project ranks by: no clipping, the range from the truth, nothing from the prediction. The names that end in
`_naf`, `_sax` and `_r2` repeat what the peers' own evaluation code computes, so that a number can stand beside theirs.
"""

from __future__ import annotations

from benchmark.hooks import hookimpl
from benchmark.types import MetricSpec

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


@hookimpl
def register_metrics() -> list[MetricSpec]:
    """Volume and projection metrics of all protocols; kind 'volume' and name 'psnr' become the column volume_psnr."""
    volume = [
        MetricSpec(name=name, kind="volume", target=f"benchmark.metrics.volume:{name}", unit=unit, summary=summary)
        for name, unit, summary in _VOLUME
    ]
    projection = [
        MetricSpec(name=name, kind="projection", target=f"benchmark.metrics.projection:{name}", unit=unit, summary=summary)
        for name, unit, summary in _PROJECTION
    ]
    return volume + projection
