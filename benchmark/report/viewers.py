"""Data of the page's viewers: slices of the truth and of every volume, held-out views as measured and as rendered.

Volumes are embedded as packed stacks (see stack.py), the run of the lowest seed of each method. A report holds at most
MOST_VOXELS voxels: beyond that, all volumes are averaged over blocks until they fit, and the page says so.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.errors import MissingDependency
from benchmark.records.record import RunRecord
from benchmark.report.images import ERROR_SHARE, PLANES, UNITS, window
from benchmark.report.stack import Packed, averaged, pack
from benchmark.storage import mapped

if TYPE_CHECKING:
    from benchmark.records.store import Results, StoredCase

MOST_VOXELS = 24_000_000  # in all volumes of a page together: about a byte of text each
LONGEST_EDGE = 160  # [voxels] or [pixels]: more than a tile of the page shows
MOST_VIEWS = 4  # held-out views of each case
MARGIN = 0.25  # of the truth's range, kept below and above it


Volumes = list[tuple[RunRecord, np.ndarray]]


class _Viewer:
    """Facts of one viewer; empty until it has something to show."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.facts: dict[str, Any] = {}

    def begin(self, facts: dict[str, Any]) -> None:
        self.facts = {"title": self.title, "groups": [], **facts}


@dataclasses.dataclass(frozen=True)
class Shown:
    """Runs of one case shown side by side, by number of views, each list in the order of the ranking."""

    section: str
    case: str
    groups: dict[int, list[RunRecord]]


class Viewers:
    """Collection of viewers and the stacks they share."""

    def __init__(self, results: Results, names: dict[str, str], shown: list[Shown]) -> None:
        self.results, self.names = results, names
        self.stacks: dict[str, Packed] = {}
        records = [record for item in shown for group in item.groups.values() for record in group]
        self.factor = block_size([record.volume_shape for record in records])
        self.by_section: dict[str, list[dict[str, Any]]] = {}
        for item in shown:
            self.by_section.setdefault(item.section, []).extend(self._of(item))

    def _of(self, shown: Shown) -> list[dict[str, Any]]:
        """Return the viewers of a case: the three planes of every volume, and the held-out views. Each volume is read once."""
        slices, projections = _Viewer(f"Slices: {shown.case}"), _Viewer(f"Held-out views: {shown.case}")
        for views, records in shown.groups.items():
            case, volumes = self.results.shown(records)
            if case is not None and volumes:
                self._add_slices(slices, views, case, volumes)
                self._add_projections(projections, views, case, volumes)
        return [viewer.facts for viewer in (slices, projections) if viewer.facts]

    def _add_slices(self, viewer: _Viewer, views: int, case: StoredCase, volumes: Volumes) -> None:
        truth = case.truth
        if not viewer.facts:
            viewer.begin(self._slice_facts(case, volumes[0][1] if truth is None else truth, known=truth is not None))
        span = viewer.facts["range"]
        z, y, x = (min(self.factor, n) for n in case.geometry.volume_shape)
        small = [(record, averaged(volume, (z, y, x))) for record, volume in volumes]
        reference = None if truth is None else self._keep(averaged(truth, (z, y, x)), span)
        viewer.facts["groups"].append(self._group(views, reference, small, span, "volume_psnr"))

    def _add_projections(self, viewer: _Viewer, views: int, case: StoredCase, volumes: Volumes) -> None:
        """Add held-out views, if there are any; none if the projector's kernels cannot be built (pages need no compiler)."""
        from benchmark.projection.rendering import rendered  # imports torch

        geometry, measured = case.heldout_geometry, case.heldout
        if geometry is None or measured is None:
            return
        chosen = np.unique(np.linspace(0, geometry.views - 1, MOST_VIEWS).round().astype(int))
        factor = -(-max(geometry.detector_shape) // LONGEST_EDGE)
        v, u = (min(factor, n) for n in geometry.detector_shape)
        try:
            stacks = [(record, rendered(volume, geometry, case.composite, chosen)) for record, volume in volumes]
        except MissingDependency:
            return
        if not viewer.facts:
            viewer.begin(_projection_facts(case, chosen, (v, u)))
        span = viewer.facts["range"]
        small = [(record, averaged(stack, (1, v, u))) for record, stack in stacks]
        reference = self._keep(averaged(measured[chosen], (1, v, u)), span)
        viewer.facts["groups"].append(self._group(views, reference, small, span, "projection_psnr"))

    def _slice_facts(self, case: StoredCase, reference: np.ndarray, known: bool) -> dict[str, Any]:
        geometry = case.geometry
        factors = [min(self.factor, n) for n in geometry.volume_shape]
        spacing = [step * factor for step, factor in zip(geometry.volume_spacing, factors, strict=True)]
        first = [float(geometry.voxel_centres(axis)[0]) + (factors[axis] - 1) / 2 * geometry.volume_spacing[axis] for axis in range(3)]
        low, high = window(reference)
        lowest, highest = mapped.extent(reference)
        reach = MARGIN * max(highest - lowest, high - low)
        planes = [{"name": name, "axis": axis, "label": "zyx"[axis]} for axis, name in enumerate(PLANES)]
        source = (case.truth_note or "not described") if known else "none known: the grey window is that of the first volume"
        return {
            "planes": planes,
            "spacing": spacing,
            "first": first,
            "lengths": case.length_unit,
            "unit": f"1/{case.length_unit}" if case.composite == "sum" else "intensity",
            "window": [low, high],
            "error": ERROR_SHARE * (high - low),
            "range": [lowest - reach, highest + reach],
            "reference": "truth",
            "note": f"Truth: {source}.{_block_note(factors, geometry.volume_shape, 'voxels')}",
        }

    def _group(
        self, views: int, reference: str | None, stacks: list[tuple[RunRecord, np.ndarray]], span: list[float], metric: str
    ) -> dict[str, Any]:
        items = []
        for record, stack in stacks:
            score = record.metrics.get(metric)
            text = "" if score is None else f"{score:.2f} dB"
            items.append({"label": self.names[record.run_id], "score": text, "stack": self._keep(stack, span), "seed": record.spec.seed})
        return {"name": f"{views} views", "reference": reference, "items": items}

    def _keep(self, stack: np.ndarray, span: list[float]) -> str:
        packed = pack(stack, span[0], span[1])
        self.stacks.setdefault(packed.name, packed)
        return packed.name


def _projection_facts(case: StoredCase, chosen: np.ndarray, factors: tuple[int, int]) -> dict[str, Any]:
    geometry, measured = case.heldout_geometry, case.heldout
    assert geometry is not None and measured is not None
    low, high = min(0.0, float(measured.min())), max(float(measured.max()), 1e-12)
    pitch = [step * factor for step, factor in zip(geometry.detector_pitch, factors, strict=True)]
    shape = [count // factor for count, factor in zip(geometry.detector_shape, factors, strict=True)]
    centred = [-(count - 1) / 2 * step for count, step in zip(shape, pitch, strict=True)]
    numbers = [int(case.heldout_views[index]) if case.heldout_views else int(index) for index in chosen]
    blocks = _block_note([1, *factors], geometry.projection_shape, "pixels")
    return {
        "planes": [{"name": "view", "axis": 0, "label": "view"}],
        "numbers": numbers,
        "spacing": [1.0, *pitch],
        "first": [0.0, *centred],
        "lengths": case.length_unit,
        "unit": UNITS[case.composite],
        "window": [low, high],
        "error": ERROR_SHARE * (high - low),
        "range": [low - MARGIN * (high - low), high + MARGIN * (high - low)],
        "reference": "measured",
        "note": f"{len(numbers)} of {geometry.views} held-out views, which no method has seen.{blocks}",
    }


def block_size(shapes: list[list[int]]) -> int:
    """Return the smallest edge of a block of voxels whose means make all volumes small enough for a page."""
    known = [shape for shape in shapes if shape]

    def fits(factor: int) -> bool:
        count = sum(math.prod(max(1, n // factor) for n in shape) for shape in known)
        return count <= MOST_VOXELS and all(max(shape) <= LONGEST_EDGE * factor for shape in known)

    return next(factor for factor in itertools.count(1) if fits(factor))


def _block_note(factors: list[int], shape: tuple[int, ...], what: str) -> str:
    """Return a note on block averaging; '' if there is none."""
    if max(factors) == 1:
        return ""
    blocks, whole = " x ".join(map(str, factors)), " x ".join(map(str, shape))
    return f" Shown here: means over blocks of {blocks} of the {whole} {what}; the scores are of the whole, which lies in runs/ and cases/."
