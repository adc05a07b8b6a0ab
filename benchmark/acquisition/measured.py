"""Measured projections as a case: evenly spaced training views, other views held out, pixels binned to the voxels' size."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field, model_validator

from benchmark.errors import InputError
from benchmark.plugins.specs import DatasetParams, Offer
from benchmark.scan.agreement import agreement_notes
from benchmark.scan.box import beside_box_note
from benchmark.scan.case import Case, outline
from benchmark.scan.directions import directions, first_of_each, period
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan.noise_level import noise_of_means
from benchmark.scan.scan import Scan
from benchmark.scan.views import heldout_views, training_views
from benchmark.storage import mapped

if TYPE_CHECKING:
    from benchmark.acquisition.voxels import Voxels

FACE = 0.05  # of the largest attenuation: more on a face of the truth is the body, which goes on behind it
NOISE_VIEWS = 8  # at most, to tell the noise of single pixels
LARGEST_UNSTATED = 256  # voxels along the longest edge that `size: native` means at most where the scan states no grid


class MeasuredParams(DatasetParams):
    """Parameters that every measured dataset understands. Added noise is an error: measured projections bring their own."""

    bin: int | None = Field(
        None, ge=1, description="detector pixels averaged along each direction; none = as many as leave at least `size` pixels a side"
    )

    def opened(self) -> Measured | None:
        """Open the user's scan that the parameters name; None for a scan that comes with the dataset. Raise InputError."""
        return None

    def offer(self) -> Offer | None:
        """Return the contents of the scan that `opened()` returns."""
        measured = self.opened()
        return None if measured is None else measured.offer()

    @model_validator(mode="after")
    def _no_noise(self) -> MeasuredParams:
        if self.photons is not None or self.electronic:
            raise InputError("photons, electronic", expected="none (real measurements bring their own noise)", found="added noise")
        return self


@dataclasses.dataclass(frozen=True, eq=False)
class Measured:
    """Measured scan, read view by view; `measured_case` turns it into a case.

    - `geometry`: all views, and the volume's box; the parameter `size` rescales the grid in the box.
    - `view(i)`: line integrals of view i, float32 [v, u].
    - `mask(i)`: bool [v, u], the pixels of view i that show the object; None where unknown.
    - `truth()`: attenuation as Voxels, loaded only when needed; `truth_note` says where it comes from.
    - `photons`: per pixel of the unattenuated beam; `noise`: a pixel's standard deviation; None where unknown.
    - `training`: the views that training subsets are taken from, in order of measurement (default: all).
    - `heldout`: the held-out views (default: drawn from the views that do not train). Those of a direction that trains are left out, and
      a note says so; if `protocol` is True, a published protocol names them, and they stay.
    - `around`: region to reconstruct, lower and upper corner [2, 3] z y x [mm], if larger than the geometry's box, which alone is scored.
    - `view_labels`: one number per view, by name (see Scan).
    - `valid()`: bool [v, u], the detector's pixels that measure; the others are repaired in `view`. None where all do.
    - `preprocessing`: what was done to the measured numbers, for the record: found or given values by the name of the step.
    - `calibrated(heldout)`: the scan with everything found that is to be found from the views themselves (bad pixels, an axis off
      centre), without those held out, and with its `preprocessing`; None where there is none. `scan` may not be called before.
    - `grid_stated`: False if the voxels of `geometry` are made up.
    - `published`: {'data': ..., 'scene': ...} where the user declares that the scan is that scene of a published collection.
    - `notes`: sentences for the user about these data (files left out, values assumed).

    Raises InputError for view indices that the scan does not have.
    """

    name: str
    geometry: ConeBeamGeometry
    view: Callable[[int], np.ndarray]
    mask: Callable[[int], np.ndarray] | None = None
    truth: Callable[[], Voxels] | None = None
    truth_note: str = ""
    photons: float | None = None
    noise: float | None = None
    length_unit: str = "mm"
    training: tuple[int, ...] | None = None
    heldout: tuple[int, ...] | None = None
    protocol: bool = False
    around: np.ndarray | None = None
    view_labels: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    published: Mapping[str, str] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    valid: Callable[[], np.ndarray | None] | None = None
    preprocessing: Mapping[str, str] = dataclasses.field(default_factory=dict)
    calibrated: Callable[[Sequence[int]], Measured] | None = None
    grid_stated: bool = True

    def __post_init__(self) -> None:
        for name in ("training", "heldout"):
            wrong = [index for index in getattr(self, name) or () if not 0 <= index < self.geometry.views]
            if wrong:
                raise InputError(f"views.{name}", expected=f"indices 0 .. {self.geometry.views - 1}", found=f"{wrong[0]}")

    def choose(self, params: DatasetParams) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the indices of the training and of the held-out views. Raises InputError for more views than the scan has."""
        return choose_views(params, self.geometry.views, self.geometry, self.training, self.heldout, protocol=self.protocol)

    def offer(self) -> Offer:
        """Return the contents of the scan for DatasetParams.offer; the grid counts as the scan's own only if `grid_stated`."""
        longest = max(self.geometry.volume_shape)
        usual = min(LARGEST_UNSTATED, max(self.geometry.detector_shape))
        native = {"size": longest, "bin": 1} if self.grid_stated else {"size": usual}
        return Offer(
            name=self.name,
            total=self.geometry.views,
            training=self.training,
            heldout=self.heldout,
            native=lambda: native,
            outline=self.outline,
        )

    def outline(self, params: MeasuredParams) -> str:
        """Describe the case of these parameters in one line, without reading projections."""
        training, heldout = self.choose(params)
        factor = params.bin or usual_bin(self.geometry.detector_shape, params.size)
        return outline(self.grid(params.size).binned(factor).subset(training), len(heldout), self.length_unit, factor)

    def grid(self, size: int) -> ConeBeamGeometry:
        """Return the geometry with `size` voxels along the box's longest edge and proportionate numbers along the others.

        The region `around` the box adds whole voxels.
        """
        box = self.box(size)
        before, after = self._beyond(box)
        shift = (after - before) / 2 * np.array(box.volume_spacing)
        (z, y, x), offset = (before + after + box.volume_shape).tolist(), tuple((shift + box.volume_offset).tolist())
        return dataclasses.replace(box, volume_shape=(z, y, x), volume_offset=offset) if (before + after).any() else box

    def box(self, size: int) -> ConeBeamGeometry:
        """Return the geometry with the scored box alone, on the voxels of `grid`."""
        shape = self.geometry.volume_shape
        z, y, x = (max(1, round(count * size / max(shape))) for count in shape)
        return self.geometry.with_volume((z, y, x))

    def scored(self, size: int) -> list[list[int]] | None:
        """Return the voxels of `grid` that the scored box covers, [first, one after the last] along z, y, x; None for all of them."""
        box = self.box(size)
        before, after = self._beyond(box)
        if not (before + after).any():
            return None
        return [[int(first), int(first + count)] for first, count in zip(before, box.volume_shape, strict=True)]

    def _beyond(self, box: ConeBeamGeometry) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of voxels below and above the box along z, y, x."""
        if self.around is None:
            return np.zeros(3, int), np.zeros(3, int)
        low, high = box.volume_bounds[:, ::-1]
        room = np.stack([low - self.around[0], self.around[1] - high]) / box.volume_spacing
        before, after = np.maximum(0, np.ceil(room - 1e-6)).astype(int)
        return before, after

    def noise_after(self, views: Sequence[int], factor: int) -> float | None:
        """Return the standard deviation of means of factor x factor pixels, from `noise` if given, else from the views."""
        if self.noise is not None:
            return self.noise / factor
        return noise_of_means(map(self.view, views[:: -(-len(views) // NOISE_VIEWS)]), factor)

    def scan(self, views: Sequence[int], size: int, factor: int = 1, noise: float | None = None) -> Scan:
        """Return a Scan of these views with factor x factor pixels averaged, converted one at a time (into a file where they are large).

        An averaged pixel is in the mask if any of its pixels is, and valid if most of its pixels are. Raise ValueError before
        `calibrated`, if there is one.
        """
        if self.calibrated is not None:
            raise ValueError(f"'{self.name}': call calibrated(heldout) before scan(views): some of its description is found from the views")
        geometry = self.grid(size).binned(factor).subset(list(views))

        def views_of(view: Callable[[int], np.ndarray], dtype: type) -> np.ndarray:
            def write(array: np.ndarray) -> None:
                for place, index in enumerate(views):
                    array[place] = binned(view(index)[None], factor)[0]
                    mapped.release(array)

            return mapped.filled(geometry.projection_shape, write, dtype)

        projections = views_of(self.view, np.float32)
        masks = None if self.mask is None else views_of(self.mask, np.bool_)  # a mean above 0 is True
        labels = {name: values[list(views)] for name, values in self.view_labels.items()}
        photons = self.photons and self.photons * factor**2  # averaging pixels adds up what they counted
        measuring = None if self.valid is None else self.valid()
        valid = None
        if measuring is not None:
            most = binned(measuring[None], factor)[0] > 0.5
            valid = mapped.copied(np.broadcast_to(most, geometry.projection_shape), np.bool_)
        known: dict[str, Any] = dict(
            photons=photons, length_unit=self.length_unit, view_labels=labels, masks=masks, noise=noise, valid=valid
        )
        return Scan(projections, geometry, **known)


def choose_views(
    params: DatasetParams,
    total: int,
    geometry: ConeBeamGeometry | None = None,
    training: tuple[int, ...] | None = None,
    heldout: tuple[int, ...] | None = None,
    *,
    protocol: bool = False,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the indices of the training and of the held-out views among `total` views.

    `geometry` tells their angles, if steps are unequal, and which views see the object along the same lines: no held-out view does as a
    training view does, unless a published `protocol` names it. `training` and `heldout` are the owner's choice, see Measured. Fewer
    views are held out where fewer are free. Raises InputError for more training views than there are, and for indices out of range.
    """
    if isinstance(params.heldout, tuple):
        outside = [index for index in params.heldout if index >= total]
        if outside:
            raise InputError("heldout", expected=f"indices 0 .. {total - 1}", found=f"{outside[0]}")
        heldout = params.heldout
    same = np.arange(total) if geometry is None else directions(geometry)
    if isinstance(params.views, int):
        pool = Offer(total=total, training=training, heldout=heldout).pool()
        once = first_of_each(same[list(pool)]).tolist()
        if len(once) < len(pool) and params.views <= len(once):  # no direction twice where there are others
            pool = tuple(pool[k] for k in once)
        elif heldout is None and params.heldout:
            pool = _with_unseen_directions(pool, same, params.views, geometry)
        chosen = tuple(pool[k] for k in training_views(len(pool), params.views, _angles(geometry, pool)))
    else:
        chosen = training_views(total, params.views)
    trained = same[list(chosen)]
    if heldout is None:
        assert isinstance(params.heldout, int)
        count = min(params.heldout, int(np.isin(same, trained, invert=True).sum()))
        angles = None if geometry is None else geometry.angles
        return chosen, heldout_views(total, chosen, count, params.data_seed, angles, same)
    own = [index for index in dict.fromkeys(heldout) if index not in set(chosen) and (protocol or same[index] not in trained)]
    if isinstance(params.heldout, tuple):
        return chosen, tuple(own)
    order = np.random.default_rng([params.data_seed, 0]).permutation(len(own))[: params.heldout]
    return chosen, tuple(sorted(own[k] for k in order))


def _with_unseen_directions(pool: tuple[int, ...], same: np.ndarray, views: int, geometry: ConeBeamGeometry | None) -> tuple[int, ...]:
    """Return the pool without every view of some directions, evenly spaced, of which `views` can do without: else all directions of
    a second turn would train. At most an eighth of the directions are spared."""
    numbers, counts = np.unique(same[list(pool)], return_counts=True)
    spare = min(len(numbers) // 8, (len(pool) - views) // int(counts.max()))
    if counts.max() == 1 or not spare:
        return pool
    once = tuple(pool[k] for k in first_of_each(same[list(pool)]))
    kept = same[[once[k] for k in training_views(len(once), len(once) - spare, _angles(geometry, once))]]
    return tuple(index for index in pool if same[index] in kept)


def _angles(geometry: ConeBeamGeometry | None, pool: tuple[int, ...]) -> np.ndarray | None:
    """Return the angles of views [rad]; those of parallel beams over more than half a turn as directions in a whole turn."""
    if geometry is None:
        return None
    angles, turn = geometry.angles[list(pool)], period(geometry)
    return angles if turn > np.pi or np.ptp(angles) <= turn else 2 * np.mod(angles, turn)


def measured_case(measured: Measured, params: MeasuredParams) -> Case:
    """Return the case of a measured scan: training views binned to the voxels' size, other views held out, voxel means as truth.

    Raises InputError for more views than the scan has.
    """
    training, heldout = measured.choose(params)
    measured = measured if measured.calibrated is None else measured.calibrated(heldout)
    factor = params.bin or usual_bin(measured.geometry.detector_shape, params.size)
    grid, scored = measured.grid(params.size), measured.scored(params.size)
    truth = measured.truth() if measured.truth else None
    as_published = measured.published and training == measured.training and factor == 1 and grid == measured.geometry
    scan = measured.scan(training, params.size, factor, measured.noise_after(training, factor))
    averaged = truth.averaged(grid) if truth else None
    if truth is not None and averaged is not None:
        scored = _covered(truth, averaged, grid, scored)
    agreement = [] if averaged is None else agreement_notes(scan.projections, scan.geometry, averaged)
    return Case(
        name=measured.name,
        scan=scan,
        truth=averaged,
        heldout=measured.scan(heldout, params.size, factor) if heldout else None,
        truth_note=measured.truth_note + (truth.note + (_scored_note(scored) if scored else "") if truth else ""),
        training_views=training,
        heldout_views=heldout,
        facts={
            **(truth.facts if truth else {}),
            **({"published": measured.published} if as_published else {}),
            **({"preprocessing": dict(measured.preprocessing)} if measured.preprocessing else {}),
            **({"scored": scored} if scored else {}),
        },
        notes=(*measured.notes, *_twin_note(measured, params, training), *beside_box_note(scan.projections, scan.geometry), *agreement),
    )


def _covered(truth: Voxels, averaged: np.ndarray, grid: ConeBeamGeometry, scored: list[list[int]] | None) -> list[list[int]] | None:
    """Return the scored voxels [first, one after the last] along z, y, x that the truth covers (half a voxel more or less).

    Around a truth whose faces hold nothing but air is air: it is scored, too.
    """
    low, edges = grid.volume_bounds[0, ::-1], np.array(grid.volume_spacing)
    own = np.array(truth.centre) + np.multiply.outer((-0.5, 0.5), truth.extent)
    first, last = np.ceil((own[0] - low) / edges - 0.5), np.floor((own[1] - low) / edges + 0.5)
    box = np.array(scored or [[0, count] for count in grid.volume_shape])
    part = np.stack([np.maximum(first, box[:, 0]), np.minimum(last, box[:, 1])], 1).astype(int)
    if (part == box).all() or (part[:, 0] >= part[:, 1]).any():
        return scored
    inside = averaged[tuple(slice(*edge) for edge in part)]
    most = FACE * float(mapped.extent(averaged)[1])
    ends = [(axis, end) for axis in range(3) for end in (0, 1) if part[axis, end] != box[axis, end]]
    cut = any(float(np.take(inside, -end, axis).max()) > most for axis, end in ends)
    return part.tolist() if cut else scored


def _scored_note(scored: list[list[int]]) -> str:
    """Return an addition to the truth's note: the box that is scored, since the truth or the owner names no more."""
    return f"; scored in a box of {' x '.join(str(last - first) for first, last in scored)} voxels alone, shown as 0 around it"


def _twin_note(measured: Measured, params: DatasetParams, training: Sequence[int]) -> list[str]:
    """Return a sentence about views that are to be held out although they have the direction of a training view, if there are any."""
    same = directions(measured.geometry)
    trained = set(same[list(training)].tolist())
    wanted = params.heldout if isinstance(params.heldout, tuple) else measured.heldout or ()
    twins = [index for index in wanted if index not in set(training) and int(same[index]) in trained]
    if not twins:
        return []
    named = ", ".join(map(str, twins[:5])) + (", ..." if len(twins) > 5 else "")
    what = "they stay, as published" if measured.protocol else "left out of the scores"
    return [f"{len(twins)} of {len(wanted)} held-out views repeat the direction of a training view ({named}): {what}."]


def usual_bin(detector_shape: tuple[int, int], size: int) -> int:
    """Return the largest binning factor that divides both sides of the detector (v, u) and leaves `size` pixels on the longer one."""
    rows, columns = detector_shape
    longest = max(rows, columns)
    return max((n for n in range(1, longest // 4 + 1) if rows % n == 0 == columns % n and longest // n >= size), default=1)


def binned(projections: np.ndarray, factor: int) -> np.ndarray:
    """Return means of factor x factor pixels: [view, v, u] -> [view, v // factor, u // factor]. Incomplete bins at the end are dropped."""
    if factor == 1:
        return projections
    views, rows, columns = projections.shape
    rows, columns = rows // factor, columns // factor
    cut = projections[:, : rows * factor, : columns * factor]
    return cut.reshape(views, rows, factor, columns, factor).mean((2, 4), dtype=np.float64).astype(np.float32)
