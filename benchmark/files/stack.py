"""A stack of images, such as projections or the slices of a volume, read one at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from benchmark.errors import InputError
from benchmark.files.limits import check_array
from benchmark.storage import mapped


@dataclasses.dataclass(frozen=True, eq=False)
class Stack:
    """`shape[0]` images of `shape[1:]` numbers; `page(i)` reads one, so that a scan larger than memory can be used in pieces.

    `where` names the file in messages. `spacing` is the distance of neighbours along each axis, if the file states it; `array`
    is the whole stack, in memory or mapped, if available at once; `names` are those of the files, where each holds one image.
    """

    where: str
    shape: tuple[int, int, int]
    dtype: np.dtype
    page: Callable[[int], np.ndarray]
    spacing: tuple[float, float, float] | None = None
    array: np.ndarray | None = None
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, where: str, array: np.ndarray, spacing: tuple[float, float, float] | None = None) -> Stack:
        """Wrap an array with three axes (which may be mapped from a file)."""
        if array.ndim != 3:
            raise InputError(where, expected="three axes", found=f"shape {array.shape}")

        def page(index: int) -> np.ndarray:
            found = np.array(array[index])
            mapped.release(array)
            return found

        return cls(where, array.shape, array.dtype, page, spacing, array)

    def load(self) -> np.ndarray:
        """Return the whole stack in native byte order; a large one lies in a file. Raise InputError if it is too large."""
        kind = self.dtype.newbyteorder("=")
        if self.array is None:  # each page may be compressed in the file
            check_array(self.where, self.shape, kind)

        def write(whole: np.ndarray) -> None:
            for index in range(self.shape[0]):
                whole[index] = self.page(index)
                mapped.release(whole)

        return mapped.filled(self.shape, write, kind)

    def transposed(self, order: Sequence[int]) -> Stack:
        """Return the stack with its axes in this order."""
        if tuple(order) == (0, 1, 2):
            return self
        spacing = None if self.spacing is None else (self.spacing[order[0]], self.spacing[order[1]], self.spacing[order[2]])
        array = self.load() if self.array is None else self.array
        return Stack.of(self.where, array.transpose(order), spacing)
