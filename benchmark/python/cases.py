"""Cases, scores of volumes, and results folders."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError, Mistakes
from benchmark.metrics.scorer import Scorer
from benchmark.plan import quantities
from benchmark.plan.sources import open_case
from benchmark.plugins.registry import registry
from benchmark.python import values
from benchmark.records.results import Results
from benchmark.report.compare import Comparison
from benchmark.report.compare import compare as compared
from benchmark.scan.case import Case
from benchmark.scan.reconstruction import Reconstruction
from benchmark.storage import mapped

Folder = str | os.PathLike[str]
LOGGER = logging.getLogger("benchmark")


def load_case(source: Folder, *, views: int | str | Sequence[int] | None = None, size: int | str | None = None, **params: Any) -> Case:
    """Load one problem: the scan that a method sees, and the truth and held-out views where they are known.

    `source` is the name of a dataset, or the path of a scan (all its views on its own grid, unless told otherwise) or of a volume, which
    is scanned by simulation. `views` is a number, "all" or a list of indices; `size` is in voxels along the longest edge, or "native".
    `params` are further parameters of the dataset, such as `photons` (command `show`).

    Notes on the data go to the logger 'benchmark'. Raise InputError for wrong values and for files that cannot be read,
    MissingDependency where a module is missing.
    """
    given = {key: value for key, value in {"views": views, "size": size, **params}.items() if value is not None}
    given = {key: values.plain_value(value) for key, value in given.items()}
    mistakes = Mistakes()
    if "views" in given and given["views"] != "all" and (defect := quantities.views_defect(given["views"])):
        mistakes.add("views", expected=defect, found=repr(views))
    mistakes.raise_if_any("load_case")
    place = str(values.path(source, "load_case"))
    if (os.sep in place or Path(place).suffix) and not Path(place).exists():
        raise InputError(f"load_case {place}", expected="a file or folder, or the name of a dataset", found="none")
    return open_case(registry(), place, given, (), whole=True, kinds=("scan", "volume"))


def score(volume: np.ndarray | Reconstruction, case: Case) -> dict[str, float | None]:
    """Return every metric of a volume [z, y, x] [1/mm] against its case, by the names of the tables: `volume_psnr`, `fit_ssim`, ...

    A metric that does not apply here is None, or absent where there is no truth or no held-out views; photographs are scored by the
    arrays of a Reconstruction. Raise InputError for a volume that is not on the case's grid or not finite.
    """
    if not isinstance(case, Case):
        raise InputError("case", expected="a Case, such as benchmark.load_case(...)", found=type(case).__name__)
    found = volume if isinstance(volume, Reconstruction) else Reconstruction(volume)
    array, shape = np.asarray(found.volume), case.scan.geometry.volume_shape
    if array.shape != shape or array.dtype.kind != "f":
        raise InputError("volume", expected=f"float32 [z, y, x] = {shape}", found=f"{array.dtype} {array.shape}")
    with np.errstate(over="ignore"):  # said below
        array = mapped.contiguous(array)
    if bad := mapped.not_finite(array):
        raise InputError("volume", expected="finite values", found=f"{bad} of {array.size} voxels are NaN or Inf")
    metrics, problems = Scorer(case, registry().metrics.values()).score(array, found.arrays)
    for problem in problems:
        LOGGER.warning("%s", problem)
    return metrics


def load_results(folder: Folder) -> Results:
    """Open a results folder, the `output` of a run. Raise InputError if it is none."""
    return Results.open(str(values.path(folder, "results folder")))


def compare(first: Folder | Results, second: Folder | Results) -> Comparison:
    """Compare the results of two folders: runs in both, differences of their scores; `print` it. Raise InputError."""
    return compared(*(one if isinstance(one, Results) else load_results(one) for one in (first, second)))
