"""Event files of a run for TensorBoard: scalars, three slices of the volume, and its projections beside the measured ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import MissingDependency
from benchmark.scan.scan import Scan

VIEWS = 4  # shown of the scan
TAGS = {"loss": "loss/total", "gaussians": "gaussians/N"}  # of what methods log under other names


class Board:
    """Writer of event files in a folder. Raise MissingDependency if TensorBoard is not installed."""

    def __init__(self, folder: Path, scan: Scan) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingDependency("--tensorboard needs tensorboard: pip install 'seed-ct[tensorboard]'") from error
        self.writer = SummaryWriter(str(folder))
        self.scan = scan
        self.views = np.unique(np.linspace(0, scan.geometry.views - 1, min(VIEWS, scan.geometry.views)).round().astype(int))

    def log(self, values: dict[str, Any]) -> None:
        """Add scalars by name (see TAGS), except those of the run's progress."""
        for name, value in values.items():
            if name not in ("step", "total", "seconds", "seconds_left") and isinstance(value, int | float):
                self.writer.add_scalar(TAGS.get(name, name), value, values["step"], walltime=values["seconds"])

    def snapshot(self, step: int, volume: np.ndarray) -> None:
        """Add the volume [z, y, x] in its own grey window, and its projections in the window of the measured ones, row 0 at the bottom."""
        from benchmark.projection.rendering import rendered

        top = max(float(volume.max()), 1e-9)
        for axis, name in enumerate(("axial", "coronal", "sagittal")):
            middle = np.take(volume, volume.shape[axis] // 2, axis)
            self.writer.add_image(f"slice/{name}", _grey(middle[::-1] if axis else middle, top), step)
        measured = self.scan.projections[self.views]
        shown = rendered(volume, self.scan.geometry, self.scan.composite, self.views)
        top = max(float(measured.max()), 1e-9)
        for view, one, other in zip(self.views, measured, shown, strict=True):
            pair = np.concatenate([one[::-1], other[::-1]], axis=1)
            self.writer.add_image(f"projection/view {view} (measured, rendered)", _grey(pair, top), step)
        error = float(np.mean((shown - measured) ** 2))
        self.writer.add_scalar("fit_psnr", 10 * np.log10(top**2 / max(error, 1e-30)), step)
        self.writer.flush()


def _grey(image: np.ndarray, top: float) -> np.ndarray:
    """Return uint8 [1, rows, columns] of an image in the window 0 .. top."""
    return (np.clip(image / top, 0, 1) * 255).astype(np.uint8)[None]
