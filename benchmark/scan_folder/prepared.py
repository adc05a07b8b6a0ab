"""Views of a scan folder after the steps of its section `preprocessing`, and everything that is found from the views themselves."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmark.errors import InputError
from benchmark.scan.bad_pixels import FEWEST_VIEWS, Repair, bad_pixels
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan_folder.air import found_air
from benchmark.scan_folder.axis_shift import FoundShift, find_axis_shift
from benchmark.scan_folder.bad_pixels import unlit_or_hot
from benchmark.scan_folder.description import AUTO, FILE, Description, Preprocessing
from benchmark.scan_folder.numbers import Images, stored_image, turned
from benchmark.scan_folder.orbit import length, orbit
from benchmark.scan_folder.rings import ring_offsets
from benchmark.scan_folder.window import Window
from benchmark.storage.cache import cached_arrays

REVISION = 3  # raise it whenever something else is found in the same files
SAMPLE = 48  # views, at most, in which bad pixels and air are looked for
MOST_BAD = 0.1  # of all pixels
DARKEST = 0.5  # of the brightest view's air: a beam does not vary that much, an object darkens it


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
    """Views of a scan, prepared when read.

    The order is: flat and dark, bad pixels, zingers, air, crop, bin, logarithm, beam hardening, rings.
    Bad pixels, air, rings and the axis are found without the views in `heldout`, once, and kept in the cache folder.
    """

    description: Description
    images: Images
    window: Window
    heldout: frozenset[int]

    @classmethod
    def open(cls, description: Description, heldout: Sequence[int] | None = None) -> Prepared:
        """Open the files; `heldout` defaults to the held-out views that scan.yaml names. Raise InputError for files that do not fit."""
        images = Images.open(description)
        views = frozenset(description.views.heldout or () if heldout is None else heldout)
        return cls(description, images, Window.of(description, images.stack.shape[1:]), views)

    @property
    def finds(self) -> bool:
        """True if anything is found from the views."""
        steps = self._steps
        return self.description.finds_axis or steps.rings or AUTO in (steps.bad_pixels, steps.air)

    def view(self, index: int) -> np.ndarray:
        """Return the line integrals of one view, float32 [v, u], row 0 lowest. Raise InputError, naming the file, for bad numbers."""
        if self.description.preprocessing is None:
            return self.images.view(index)
        found = self._integrals(index)
        return np.ascontiguousarray(found if self._rings is None else found - self._rings, dtype=np.float32)

    def valid(self) -> np.ndarray | None:
        """Return the pixels that measure, bool [v, u]; a bin does if most of its pixels do. None if all do."""
        if self._bad is None:
            return None
        given = self.description.projections
        good = turned(~self._bad, given.first_row, given.first_column)
        return self.window.means(good.astype(np.float32)) > 0.5

    def geometry(self) -> ConeBeamGeometry:
        """Return the geometry of all views, with the axis shift found if it is to be found."""
        found = self._declared
        return found if not self.description.finds_axis else dataclasses.replace(found, axis_shift=self.axis.shift)

    @functools.cached_property
    def axis(self) -> FoundShift:
        """Shift of the rotation axis, found. Raise InputError if none stands out."""
        where = f"{self.description.folder / FILE}: geometry.axis_shift"
        found: list[FoundShift] = []

        def find() -> dict[str, np.ndarray]:
            found.append(find_axis_shift(self.view, self._declared, self._seen, where))
            return {"shift": np.array([found[0].shift, found[0].pixels]), "how": np.array(found[0].how)}

        kept = self._kept("axis shift", find)
        return FoundShift(float(kept["shift"][0]), float(kept["shift"][1]), str(kept["how"]))

    def notes(self) -> dict[str, str]:
        """Return what was done, by step, with the values found; finds them."""
        steps, notes = self._steps, {}
        if self._bad is not None:
            how = "auto" if steps.bad_pixels == AUTO else str(steps.bad_pixels)
            notes["bad_pixels"] = f"{int(self._bad.sum())} of {self._bad.size} pixels ({how}) interpolated and not scored"
        if steps.zingers is not None:
            notes["zingers"] = f"pixels more than {steps.zingers:.0%} brighter than their neighbours' median"
        if self._air is not None:
            levels = self._levels
            region = f"auto, {self._air.mean():.0%} of the detector" if steps.air == AUTO else str(list(steps.air or ()))
            notes["air"] = f"{region}: level {min(levels):.5g} .. {max(levels):.5g} in {len(levels)} views"
        if steps.crop is not None:
            notes["crop"] = f"{list(steps.crop)} of {' x '.join(map(str, self.window.detector))} pixels"
        if steps.bin > 1:
            notes["bin"] = f"{steps.bin} x {steps.bin} pixels"
        if steps.beam_hardening is not None:
            terms = [f"{value:g} p^{power}" for power, value in enumerate(steps.beam_hardening, 1)]
            notes["beam_hardening"] = " + ".join(terms)
        if self._rings is not None:
            spread = float(np.sqrt(np.mean(np.square(self._rings, dtype=np.float64))))
            notes["rings"] = f"offsets of {spread:.3g} (root mean square), {float(np.abs(self._rings).max()):.3g} at most"
        if self.description.finds_axis:
            unit = self.description.general.length_unit
            found = self.axis
            value = found.shift / length(self.description)
            notes["axis_shift"] = f"{value:+.5g} {unit} ({found.pixels:+.2f} pixels) found from {found.how}"
        return notes

    # -- steps ------------------------------------------------------------------------------------------------------------------

    def _integrals(self, index: int) -> np.ndarray:
        """Return the line integrals of a view before ring correction, float64 [v, u], upright."""
        steps, given, where = self._steps, self.description.projections, f"{self.images.stack.where}: view {index}"
        found, floor = self._mended(index)
        if not np.isfinite(found).all():
            fix = "Repair them: preprocessing: {bad_pixels: auto}." if steps.bad_pixels is None else ""
            raise InputError(where, expected="finite numbers", found=f"{int((~np.isfinite(found)).sum())} pixels without", fix=fix)
        if self._air is not None:
            level = self._level(found, index)
            found, floor = found / level, floor / level
        means = [self.window.means(turned(image, given.first_row, given.first_column)) for image in (found, floor)]
        values = -np.log(np.maximum(means[0], np.maximum(means[1] / self.window.bin**2, np.finfo(float).tiny)))
        if self.images.flat is None:
            self.images.check_line_integrals(index, values)
        return values if steps.beam_hardening is None else self._hardened(values, where)

    def _mended(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return I / I0 of a view and its least possible value, as stored, without bad pixels and zingers."""
        found, floor = self.images.transmission(index)
        if self._repair is not None:
            found, floor = self._repair(found), self._repair(floor)
        if self._steps.zingers is not None:
            from scipy.ndimage import median_filter

            usual = median_filter(found, size=tuple(min(3, count | 1) for count in found.shape), mode="reflect")
            found = np.where(found > np.maximum(usual, floor) * (1 + self._steps.zingers), usual, found)
        return found, floor

    def _level(self, found: np.ndarray, index: int) -> float:
        assert self._air is not None
        level = float(found[self._air].mean())
        if not level > 0:
            where = f"{self.images.stack.where}: view {index}"
            raise InputError(where, expected="light in the region of air (preprocessing.air)", found=f"a mean of {level:.4g}")
        return level

    def _hardened(self, values: np.ndarray, where: str) -> np.ndarray:
        """Return a1 p + a2 p^2 + ... Raise InputError if it does not grow over all of the view's values."""
        coefficients = np.array([*(self._steps.beam_hardening or ())[::-1], 0.0])
        slope = np.polyval(np.polyder(coefficients), np.linspace(min(0.0, values.min()), max(0.0, values.max()), 257))
        if slope.min() <= 0:
            expected = "preprocessing.beam_hardening: values that grow with the line integral"
            found = f"a falling part between {values.min():.3g} and {values.max():.3g}"
            raise InputError(where, expected=expected, found=found, fix="Lower the higher coefficients.")
        return np.polyval(coefficients, values)

    # -- everything found -------------------------------------------------------------------------------------------------------

    @functools.cached_property
    def _bad(self) -> np.ndarray | None:
        """Bad pixels, bool [v, u] as stored."""
        given = self._steps.bad_pixels
        if given is None:
            return None
        where = f"{self.description.folder / FILE}: preprocessing.bad_pixels"
        if given == AUTO:
            if len(self._seen) < FEWEST_VIEWS:
                raise InputError(where, expected=f"at least {FEWEST_VIEWS} views that are not held out", found=f"{len(self._seen)}")
            bad = self._kept("bad pixels", lambda: {"bad": self._found_bad()})["bad"]
        else:
            bad = stored_image(self.description, "preprocessing.bad_pixels", given, self.images.stack) != 0
            if self.images.flat is not None:
                bad = bad | ~(self.images.flat - self.images.dark > 0)
        if bad.mean() > MOST_BAD:
            fix = "Give a mask file: bad_pixels: mask.png." if given == AUTO else "0 is good, any other number bad."
            raise InputError(where, expected=f"at most {MOST_BAD:.0%} bad pixels", found=f"{bad.mean():.0%}", fix=fix)
        return bad

    def _found_bad(self) -> np.ndarray:
        bad = bad_pixels(self._sampled(self._raw), most=1.0)  # too many are an error
        return bad if self.images.flat is None else bad | unlit_or_hot(self.images.flat, self.images.dark)

    @functools.cached_property
    def _repair(self) -> Repair | None:
        return None if self._bad is None else Repair(self._bad)

    @functools.cached_property
    def _air(self) -> np.ndarray | None:
        """Pixels that show air in every view, bool [v, u] as stored."""
        given, shape = self._steps.air, self.images.stack.shape[1:]
        where = f"{self.description.folder / FILE}: preprocessing.air"
        if given is None:
            return None
        if given == AUTO:
            air = self._kept("air", lambda: {"air": found_air(self._sampled(self._logarithm))})["air"]
            if not air.any():
                raise InputError(where, expected="a region without object in every view", found="none", fix="Give [v0, v1, u0, u1].")
            return air
        assert isinstance(given, tuple)
        v0, v1, u0, u1 = given
        if v1 > shape[0] or u1 > shape[1]:
            raise InputError(where, expected=f"a region of the {shape[0]} rows and {shape[1]} columns", found=f"{list(given)}")
        air = np.zeros(shape, bool)
        air[v0:v1, u0:u1] = True
        return air

    @functools.cached_property
    def _levels(self) -> list[float]:
        """Levels of air in the sampled views. Raise InputError if they differ too much for air."""
        levels = [self._level(self._mended(index)[0], index) for index in self._sample]
        if min(levels) < DARKEST * max(levels):
            where = f"{self.description.folder / FILE}: preprocessing.air"
            index = self._sample[int(np.argmin(levels))]
            found = f"{min(levels) / max(levels):.0%} of the brightest in view {index}"
            raise InputError(where, expected="a region without object in every view", found=found)
        return levels

    @functools.cached_property
    def _rings(self) -> np.ndarray | None:
        """Offset of each pixel, float32 [v, u], upright."""
        if not self._steps.rings:
            return None
        return self._kept("rings", lambda: {"rings": ring_offsets(map(self._integrals, self._seen))})["rings"]

    def _raw(self, index: int) -> np.ndarray:
        """Return a view's line integrals, float64 [v, u] as stored; NaN where there is no number."""
        found, floor = self.images.transmission(index)
        return -np.log(np.maximum(found, floor))

    def _logarithm(self, index: int) -> np.ndarray:
        found, floor = self._mended(index)
        return -np.log(np.maximum(found, floor))

    def _sampled(self, read: Callable[[int], np.ndarray]) -> Iterator[np.ndarray]:
        return map(read, self._sample)

    def _kept(self, what: str, find: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Return the arrays found, from the cache if the files and their description are the same."""
        parts = [self.description.projections, self._steps, self.description.geometry, self.description.angles]
        described = [None if part is None else json.loads(part.model_dump_json()) for part in parts]
        return cached_arrays("preprocessing", [REVISION, what, described, self._files, sorted(self.heldout)], find)

    @functools.cached_property
    def _files(self) -> list[list[object]]:
        """Names, sizes and times of all files in the folders of the scan's files: what was found in others does not count."""
        names = [self.description.projections.file, *(
            name for name in (self.description.projections.flat, self.description.projections.dark, self._steps.bad_pixels,
                              self.description.angles and self.description.angles.file)
            if isinstance(name, str) and name != AUTO
        )]  # fmt: skip
        folders = {self.description.folder / name for name in names}
        folders = {path if path.is_dir() else path.parent for path in folders}
        files = sorted(path for folder in folders for path in folder.iterdir() if path.is_file())
        return [[str(path.resolve()), *_state(path)] for path in files]

    @functools.cached_property
    def _declared(self) -> ConeBeamGeometry:
        """Geometry of all views as described; an axis shift to be found is 0."""
        views, rows, columns = self.images.stack.shape
        return orbit(self.description, views, (rows, columns))

    @property
    def _steps(self) -> Preprocessing:
        return self.description.preprocessing or Preprocessing()

    @property
    def _seen(self) -> list[int]:
        """Views that are not held out."""
        return [index for index in range(self.images.stack.shape[0]) if index not in self.heldout]

    @property
    def _sample(self) -> list[int]:
        seen = self._seen
        return [seen[k] for k in np.unique(np.linspace(0, len(seen) - 1, min(SAMPLE, len(seen))).round().astype(int))]


def preprocessing_note(steps: Mapping[str, str]) -> str:
    """Return the sentence about the steps of Prepared.notes()."""
    return f"preprocessing: {'; '.join(f'{step}: {text}' for step, text in steps.items())}."


def _state(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
