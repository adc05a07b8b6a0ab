"""Reconstruction on voxels of half the size, averaged to the scan's own: with many views the voxels are what limits the fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmark.runtime.context import Run
from benchmark.scan.reconstruction import FINE, Reconstruction, averaged
from benchmark.scan.scan import Scan

FACTOR = 2


def on_finer_grid(reconstruct: Callable[[Scan, Any, Run], Reconstruction], scan: Scan, params: Any, run: Run) -> Reconstruction:
    """Return `reconstruct(scan, params, run)` of the scan with voxels of half the size, averaged to the scan's voxels.

    The array `fine` is the volume before that: held-out views are rendered from it. It takes eight times a volume's memory and time.
    """
    z, y, x = scan.geometry.volume_shape
    finer = dataclasses.replace(scan, geometry=scan.geometry.with_volume((FACTOR * z, FACTOR * y, FACTOR * x)))
    with run.averaging(FACTOR):
        found = reconstruct(finer, params, run)
    fine = np.asarray(found.volume, dtype=np.float32)
    return dataclasses.replace(found, volume=averaged(fine, FACTOR), arrays={**found.arrays, FINE: fine})
