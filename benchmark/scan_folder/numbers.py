"""Conversion of a user's files to line integrals [v, u], row 0 lowest, column 0 left as seen from the source."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from benchmark.errors import InputError, note
from benchmark.files.door import kind, open_stack
from benchmark.files.limits import MOST_VIEWS
from benchmark.files.raw import open_raw
from benchmark.files.series import decimals_in
from benchmark.files.stack import Stack
from benchmark.scan_folder.description import FILE, Description, Projections, Raw
from benchmark.scan_folder.orbit import angles

MOST = 1000.0  # no detector counts a beam attenuated by e^-1000: such numbers are no line integrals
LARGEST = 600.0  # line integral whose intensity is still a number
HALF_A_COUNT = 0.5  # the least intensity of whole numbers, as in benchmark.acquisition.noise


def open_array(path: Path, key: str | None, raw: Raw | None) -> Stack:
    """Open a file named in scan.yaml, raw or self-describing."""
    if raw is None:
        return open_stack(path, key)
    return open_raw(path, raw.shape, raw.dtype, big_endian=raw.byte_order == "big", header_bytes=raw.header_bytes)


@dataclasses.dataclass(frozen=True, eq=False)
class Images:
    """Projections of a scan, converted when read."""

    stack: Stack  # [view, v, u] as stored
    given: Projections
    flat: np.ndarray | None  # as stored
    dark: np.ndarray

    @classmethod
    def open(cls, description: Description) -> Images:
        """Open the files and check that they match each other."""
        given = description.projections
        stack = open_array(description.path("projections.file", given.file), given.key, given.raw)
        if stack.shape[given.axes.index("view")] > MOST_VIEWS:
            found = f"{stack.shape[given.axes.index('view')]} of {' x '.join(map(str, stack.shape))}"
            raise InputError(stack.where, expected=f"at most {MOST_VIEWS} views", found=found, fix="Check projections.axes.")
        stack = stack.transposed([given.axes.index(name) for name in ("view", "v", "u")])
        if stack.names and description.angles is not None and description.general.angle_unit == "degrees":
            check_names(f"{description.folder / FILE}: angles", stack.names, angles(description, len(stack.names)))
        flat = None if given.flat is None else stored_image(description, "projections.flat", given.flat, stack)
        dark = stored_image(description, "projections.dark", given.dark, stack)
        if flat is None and given.values == "intensities":  # the unit of intensity is that of the air beside the object
            flat = dark + np.float32(1)
        steps = description.preprocessing
        unlit = 0 if flat is None else int((flat - dark <= 0).sum())
        if unlit and not (steps and steps.bad_pixels and unlit < (flat - dark).size):
            raise InputError(
                f"{description.folder / FILE}: projections.flat",
                expected="more than projections.dark in every pixel",
                found=f"{unlit} pixels with no more",
                fix="Repair these pixels: preprocessing: {bad_pixels: auto}.",
            )
        return cls(stack, given, flat, dark)

    def view(self, index: int) -> np.ndarray:
        """Return the line integrals of one view, float32 [v, u]. Raise InputError, naming the file, for impossible numbers."""
        with np.errstate(over="ignore"):  # values too large become Inf
            stored = np.asarray(self.stack.page(index), dtype=np.float32)
        if not np.isfinite(stored).all():
            raise InputError(f"{self.stack.where}: view {index}", expected="finite numbers", found="NaN or Inf")
        if self.flat is None:
            found = stored * np.float32(self.given.scale)
            self.check_line_integrals(index, found)
        else:
            found = -np.log(np.maximum(stored - self.dark, self._floor) / (self.flat - self.dark))
        return np.ascontiguousarray(turned(found, self.given.first_row, self.given.first_column), dtype=np.float32)

    def transmission(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return I / I0 of one view and its least possible value, float64 [v, u] as stored; NaN where there is no number or no beam."""
        stored = np.asarray(self.stack.page(index), dtype=np.float64)
        if self.flat is None:
            found = np.exp(np.clip(-stored * self.given.scale, -LARGEST, LARGEST))  # of NaN NaN
            return np.where(np.isfinite(stored), found, np.nan), np.full(stored.shape, np.exp(-LARGEST))
        beam = self.flat - self.dark
        beam = np.where(beam > 0, beam, np.nan).astype(np.float64)
        found = np.where(np.isfinite(stored), (stored - self.dark) / beam, np.nan)
        return found, np.broadcast_to(self._floor / beam, stored.shape)

    @property
    def _floor(self) -> float:
        """Return the least intensity that counts."""
        assert self.flat is not None
        return HALF_A_COUNT if self.stack.dtype.kind in "iub" else 1e-6 * float((self.flat - self.dark).max())

    def check_line_integrals(self, index: int, found: np.ndarray) -> None:
        """Raise InputError, naming the file, for numbers of a view that are no line integrals."""
        if np.abs(found).max(initial=0) > MOST:
            raise InputError(
                f"{self.stack.where}: view {index}",
                expected=f"line integrals (-log of I / I0, a few units, {MOST:g} at most)",
                found=f"{found.flat[np.abs(found).argmax()]:g}",
                fix="If these are intensities say so (values: intensities, flat: ...); else check scale and raw.byte_order.",
            )


def check_names(where: str, names: tuple[str, ...], angles: np.ndarray) -> None:
    """Raise InputError if the names of the images hold the same angles [degrees] in another order: one of the two orders is wrong.

    Numbers with decimals that are other angles are named in a note.
    """
    for values, half in decimals_in(names):
        near = 1.01 * half + 1e-6
        alike = [signed for signed in (angles, -angles) if np.abs(np.sort(values) - np.sort(signed)).max() < near]  # clockwise or not
        if alike and all(np.abs(values - signed).max() > near for signed in alike):
            given = alike[0]
            first = int(np.flatnonzero(np.abs(values - given) > near)[0])
            raise InputError(
                where,
                expected=f"{values[first]:g} for view {first}, as the name {names[first]} says",
                found=f"{given[first]:g} (all angles are there, in another order)",
                fix="Sort the angles as the images are sorted, or number the images in the order of the angles.",
            )
        apart = min(float(np.abs((values - signed + 180) % 360 - 180).max()) for signed in (angles, -angles))
        if half < 0.5 and not alike and apart > max(near, 0.1) and np.abs(values).max() <= 720:
            held, said = (", ".join(f"{value:g}" for value in numbers[:3]) for numbers in (values, angles))
            note(
                f"{where} are {said}, ..., but the names of the images hold {held}, ...: if those are the angles give them (file or values)"
            )


def turned(image: np.ndarray, first_row: str, first_column: str) -> np.ndarray:
    """Return a stored image [v, u] with row 0 lowest and column 0 left."""
    image = image[::-1] if first_row == "top" else image
    return image[:, ::-1] if first_column == "right" else image


def stored_image(description: Description, where: str, value: float | str, stack: Stack) -> np.ndarray:
    """Return a number [1, 1], or the mean of the images in a file of the scan, as stored [v, u]; `where` is its key in scan.yaml."""
    if not isinstance(value, str):
        return np.full((1, 1), value, dtype=np.float32)
    images = _open_images(description.path(where, value), description.projections.raw, stack.shape)
    if images.shape[1:] != stack.shape[1:]:
        raise InputError(images.where, expected=f"images of {stack.shape[1]} x {stack.shape[2]} pixels", found=f"{images.shape[1:]}")
    total = np.zeros(images.shape[1:], dtype=np.float64)
    for index in range(images.shape[0]):
        total += images.page(index)
    if not np.isfinite(total).all():
        raise InputError(images.where, expected="finite numbers", found="NaN or Inf")
    return (total / images.shape[0]).astype(np.float32)


def _open_images(path: Path, raw: Raw | None, shape: tuple[int, int, int]) -> Stack:
    """Open one image or several, in any order; a single image may have two axes. What is raw is so as the projections [view, v, u] are."""
    from benchmark.files import images

    if path.is_file() and path.suffix.lower() in images.KINDS and images.page_count(path) == 1:
        return images.image_stack([path])
    if raw is not None and path.is_file() and not kind(path):
        count = max(1, (path.stat().st_size - raw.header_bytes) // (shape[1] * shape[2] * np.dtype(raw.dtype).itemsize))
        return open_array(path, None, raw.model_copy(update={"shape": (count, *shape[1:])}))
    return open_stack(path, ordered=False)
