"""Masks of the object in each view of a user's scan, from the files named in scan.yaml."""

from __future__ import annotations

import dataclasses

import numpy as np

from benchmark.errors import InputError
from benchmark.files.stack import Stack
from benchmark.scan_folder.description import Description
from benchmark.scan_folder.numbers import open_array, turned
from benchmark.scan_folder.window import Window


@dataclasses.dataclass(frozen=True, eq=False)
class Silhouettes:
    """Masks of a scan, oriented like its projections when read."""

    stack: Stack  # [view, v, u] as stored
    first_row: str
    first_column: str
    window: Window

    @classmethod
    def open(cls, description: Description, shape: tuple[int, int, int]) -> Silhouettes:
        """Open the files. Raise InputError unless they hold one mask for each view, of `shape` [view, v, u] in all."""
        given, views = description.masks, description.projections
        assert given is not None
        axes = given.axes or views.axes
        stack = open_array(description.path("masks.file", given.file), given.key, given.raw)
        stack = stack.transposed([axes.index(name) for name in ("view", "v", "u")])
        if stack.shape != shape:
            fix = "Check the number of masks, and masks.axes."
            raise InputError(stack.where, expected=f"masks [view, v, u] = {shape}, as the projections", found=f"{stack.shape}", fix=fix)
        window = Window.of(description, shape[1:])
        return cls(stack, given.first_row or views.first_row, given.first_column or views.first_column, window)

    def view(self, index: int) -> np.ndarray:
        """Return the mask of one view, bool [v, u], row 0 lowest, column 0 left; a bin is inside if a part of it is.

        Raise InputError, naming the file, for an empty mask.
        """
        stored = np.asarray(self.stack.page(index))
        if not np.isfinite(stored).all():
            raise InputError(f"{self.stack.where}: view {index}", expected="finite numbers", found="NaN or Inf")
        if not stored.any():
            fix = "Mend it, or leave this view out (views: training, heldout)."
            raise InputError(f"{self.stack.where}: view {index}", expected="the thing in every mask", found="an empty mask", fix=fix)
        shown = turned(stored != 0, self.first_row, self.first_column)
        return shown if self.window.whole else self.window.means(shown) > 0
