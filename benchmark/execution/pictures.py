"""Pictures along a run, by the harness: projections of the volumes that a method offers beside those of the truth, or measured ones.

    <run folder>/gt_projections/xy.png, xy.tif      what the pictures are compared with; .tif: float32, row 0 lowest
    <run folder>/kept/step-000100.png                    reference, reconstruction and error, one row a view
    <run folder>/kept/checkpoint-000100.pt               by the run's own process, after the same step

The truth stays in this process: the run's waits with its clock paused.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError
from benchmark.execution.options import Keep, OnEvent
from benchmark.execution.tracker import OFFERED, PICTURE_EVENT
from benchmark.execution.validation import NOTE_EVENT
from benchmark.execution.verdict import load_volume
from benchmark.projection.rendering import rendered
from benchmark.report.canvas import save, styled
from benchmark.report.images import UNITS
from benchmark.report.mosaics import Reference, Strip, mosaic
from benchmark.runtime.checkpoint import REFERENCES
from benchmark.scan.case import Case
from benchmark.scan.scan import Composite
from benchmark.storage import atomic

AXES = {"xy": 0, "xz": 1, "yz": 2}  # projections along z, y and x, by the axis of [z, y, x]


def check_views(views: Iterable[str | int], case: Case) -> None:
    """Raise InputError for a training view that the case does not have."""
    missing = [view for view in views if not isinstance(view, str) and view >= case.scan.geometry.views]
    if missing:
        expected = f"{', '.join(AXES)}, or training views 0 .. {case.scan.geometry.views - 1} of {case.name}"
        raise InputError("--keep-views", expected=expected, found=", ".join(map(str, missing)))


def along_axis(volume: np.ndarray, axis: int, spacing: tuple[float, float, float], composite: Composite) -> np.ndarray:
    """Return the projection [row, column] of a volume [z, y, x] along one of its axes: the integral, or the largest value."""
    return volume.max(axis) if composite == "max" else volume.sum(axis, dtype=np.float64).astype(np.float32) * spacing[axis]


@dataclasses.dataclass(frozen=True)
class _View:
    """One row of the pictures: its name, its reference [row, column], if there is one, and pixel height over pixel width."""

    name: str
    chosen: str | int
    reference: np.ndarray | None
    aspect: float


class Gallery:
    """Receiver of a run's events: it draws each volume offered for a picture, and passes on all else. `kept` is the folder to write."""

    def __init__(self, folder: Path, kept: Path, case: Case, keep: Keep, title: str, on_event: OnEvent) -> None:
        self.folder, self.kept, self.case, self.on_event, self.title = folder, kept, case, on_event, title
        self.spacing = case.scan.geometry.volume_spacing
        self.views = [self._view(chosen) for chosen in keep.views]
        self._drawn = False

    def __call__(self, event: dict[str, Any]) -> None:
        if event.get("event") != PICTURE_EVENT:
            self.on_event(event)
            return
        try:
            volume, defect = load_volume(self.folder / OFFERED, self.case)
            if volume is None:
                self.on_event({"event": NOTE_EVENT, "text": f"step {event['step']} has no picture: {defect}"})
            else:
                self._draw(int(event["step"]), volume)
        finally:
            (self.folder / OFFERED).unlink(missing_ok=True)  # the run goes on

    def close(self, result: dict[str, Any]) -> None:
        """Say so if a finished run has no pictures."""
        if result.get("status") == "ok" and not self._drawn:
            self.on_event({"event": NOTE_EVENT, "text": "no pictures along the run: it offered no volume at the steps of --keep-every"})

    def _view(self, chosen: str | int) -> _View:
        geometry = self.case.scan.geometry
        if isinstance(chosen, int):
            v, u = geometry.detector_pitch
            return _View(f"view {chosen}", chosen, np.asarray(self.case.scan.projections[chosen]), v / u)
        truth, axis = self.case.truth, AXES[chosen]
        reference = None if truth is None else along_axis(truth, axis, self.spacing, self.case.scan.composite)
        down, across = (length for other, length in enumerate(self.spacing) if other != axis)
        return _View(chosen, chosen, reference, down / across)

    def _draw(self, step: int, volume: np.ndarray) -> None:
        self.kept.mkdir(exist_ok=True)
        if not self._drawn:
            self._write_references()
        shown = [self._projected(view, volume) for view in self.views]
        known = [view.reference if view.reference is not None else image for view, image in zip(self.views, shown, strict=True)]
        rows = [Reference(view.name, image, view.aspect) for view, image in zip(self.views, known, strict=True)]
        whole = all(view.reference is not None for view in self.views)
        top = max(max(float(image.max()) for image in known), 1e-12)
        name = "measured" if all(isinstance(view.chosen, int) for view in self.views) else "truth"
        with styled():
            figure = mosaic(
                rows,
                [Strip(f"step {step}", shown, None)],
                (min(0.0, min(float(image.min()) for image in known)), top),
                self.title,
                name if whole else None,
                UNITS[self.case.scan.composite],
            )
            save(figure, self.kept, f"step-{step:06d}", ["png"])
        self._drawn = True

    def _projected(self, view: _View, volume: np.ndarray) -> np.ndarray:
        scan = self.case.scan
        if isinstance(view.chosen, int):
            return np.asarray(rendered(volume, scan.geometry, scan.composite, np.array([view.chosen]))[0])
        return along_axis(volume, AXES[view.chosen], self.spacing, scan.composite)

    def _write_references(self) -> None:
        """Write what the pictures are compared with, each in its own grey window."""
        import io

        import tifffile
        from PIL import Image

        folder = self.kept.with_name(REFERENCES)
        folder.mkdir(exist_ok=True)
        for view in self.views:
            if view.reference is None:
                continue
            name = view.name.replace(" ", "-")
            grey = np.clip(view.reference[::-1] / max(float(view.reference.max()), 1e-12) * 255, 0, 255).astype(np.uint8)
            picture = io.BytesIO()
            Image.fromarray(grey).save(picture, format="png")
            atomic.replace(folder / f"{name}.png", picture.getvalue())
            with atomic.replacing(folder / f"{name}.tif") as temporary:
                tifffile.imwrite(temporary, np.ascontiguousarray(view.reference, dtype=np.float32))
