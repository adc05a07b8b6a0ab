"""The truth that scan.yaml names: values, and the place of its box in the scanner."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.errors import InputError, note
from benchmark.files.gaps import check_planes, plane_without_gaps
from benchmark.files.stack import Stack
from benchmark.files.volume import has_place, read_image, upright_volume
from benchmark.scan.geometry import Triple
from benchmark.scan.hounsfield import AIR, attenuation
from benchmark.scan_folder.description import FILE, Description
from benchmark.scan_folder.numbers import open_array
from benchmark.scan_folder.orbit import length, scaled, spacing_of
from benchmark.storage import mapped

if TYPE_CHECKING:
    from benchmark.acquisition.voxels import Voxels

SAME = 1e-3  # of a voxel: headers hold float32
HU_BELOW = -100.0  # attenuation is never this negative
MATTER, CUT = 0.25, 0.02  # of the largest value, and the share of a face that is such matter: a cut body, no noise


@dataclasses.dataclass(frozen=True)
class Box:
    """Edges and centre, (z, y, x) [mm]."""

    extent: Triple
    centre: Triple

    def text(self, unit: float) -> str:
        """Return edges and centre in the file's unit of length."""
        edges, places = (", ".join(f"{value / unit:.5g}" for value in triple) for triple in (self.extent, self.centre))
        return f"[{edges}] around [{places}]"


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """A file's volume, its box as the file states it (centre None: not in the scanner's frame), a note, and its frame of reference."""

    stack: Stack  # [z, y, x]
    extent: Triple | None = None
    centre: Triple | None = None
    note: str = ""
    frame: str = ""


def read_truth(description: Description, extent: Triple, offset: Triple) -> Voxels:
    """Return the truth named in scan.yaml; `extent` and `offset` (z, y, x) [mm] are the volume's box.

    A file with a place of its own (NIfTI, NRRD, MetaImage, DICOM) lies where it says: its x is the scanner's x, and so on. Keys of
    scan.yaml go before; a file without a place fills the volume's box. Raise InputError for a truth that is unusable, or whose place
    does not fit the volume's box.
    """
    from benchmark.acquisition.voxels import Voxels  # brings torch, which checking a plan does not need

    given, unit = description.truth, length(description)
    assert given is not None
    air = AIR if given.unit == "HU" else 0.0
    source = _source(description, air)
    stack = source.stack
    volume = Box(scaled(given.extent, unit) if given.extent else extent, scaled(given.offset, unit) if given.offset else offset)
    if not min(volume.extent) > 0:
        raise InputError(f"{description.folder / FILE}: truth.extent", expected="positive lengths", found=f"{volume.extent}")
    box, note = _placed(description, source, volume)
    gaps = 0
    empty: list[bool] = []

    def write(values: np.ndarray) -> None:
        nonlocal gaps
        for index in range(len(values)):
            plane, count = plane_without_gaps(stack.page(index).astype(np.float32), air, stack.where, index)
            gaps += count
            empty.append(count == plane.size)
            values[index] = attenuation(plane, given.water) if given.unit == "HU" else plane / np.float32(unit)
            mapped.release(values)

    values = mapped.filled(stack.shape, write)
    check_planes(empty, stack.where)
    where = f"{description.folder / FILE}: truth"
    if given.unit == "attenuation" and unit * float(values.min()) < HU_BELOW:
        found = f"values down to {unit * float(values.min()):g}, as Hounsfield units have"
        raise InputError(where, expected="attenuation", found=found, fix="Set truth.unit: HU.")
    _note_cut(where, values, box, volume, unit)
    note += f", NaN outside of the field of view ({gaps / values.size:.0%} of the voxels) read as air" if gaps else ""
    return Voxels(values, spacing_of(box.extent, stack.shape), box.centre, source.note + note, _facts(source, box))


def _source(description: Description, air: float) -> Source:
    """Open the file. Other `axes` than z, y, x, or a `flip`, in scan.yaml replace its own orientation."""
    given = description.truth
    assert given is not None
    path = description.path("truth.file", given.file)
    turned = given.axes != ("z", "y", "x") or given.flip
    if given.raw is None and path.exists() and has_place(path):
        image = read_image(path, outside=air)
        if image.stated and image.oriented and not turned:
            found = upright_volume(image, air, str(path))
            assert found.centre is not None
            stack = Stack.of(str(path), found.values)
            return Source(stack, _extent(stack, found.spacing), found.centre[::-1], found.note, found.frame)
        stack = _turned(Stack.of(str(path), image.values, image.spacing), given.axes, given.flip)
        if image.stated:
            note = ", axes as scan.yaml says" if turned else ", no directions in its header: x, y and z are the scanner's"
            return Source(stack, _extent(stack, stack.spacing), note=image.note + note)
        return Source(stack, note=", no place in its header: it fills the volume's box")
    return Source(_turned(open_array(path, given.key, given.raw), given.axes, given.flip))


def _turned(stack: Stack, axes: tuple[str, ...], flip: tuple[str, ...]) -> Stack:
    """Return the stack as [z, y, x], its flipped axes turned."""
    stack = stack.transposed([axes.index(name) for name in ("z", "y", "x")])
    if not flip:
        return stack
    within = tuple("yx".index(name) for name in flip if name != "z")

    def page(index: int) -> np.ndarray:
        return np.flip(stack.page(stack.shape[0] - 1 - index if "z" in flip else index), within)

    return dataclasses.replace(stack, page=page, array=None)


def _extent(stack: Stack, spacing: Triple | None) -> Triple | None:
    if spacing is None:
        return None
    z, y, x = (count * edge for count, edge in zip(stack.shape, spacing, strict=True))
    return (z, y, x)


def _placed(description: Description, source: Source, volume: Box) -> tuple[Box, str]:
    """Return the box of the truth and a note. `volume` is the volume's box, or what scan.yaml says instead of it."""
    given, unit = description.truth, length(description)
    assert given is not None
    own = Box(source.extent or volume.extent, source.centre or volume.centre)
    voxel = np.array(spacing_of(own.extent, source.stack.shape))
    alike = bool((np.abs(np.array(own.extent) - volume.extent) <= voxel).all())
    apart = np.abs(_ends(own) - _ends(volume))
    if source.extent is None or (given.extent and alike) or (source.centre is not None and (apart < SAME * voxel).all()):
        return volume, ""
    if given.extent:
        return volume, f", stretched to truth.extent (its header says {own.text(unit)})"
    if given.offset is not None:
        return Box(own.extent, volume.centre), ""
    low, high = _ends(own) - (_ends(volume)[0] - voxel, _ends(volume)[1] + voxel)
    inside = (low >= 0) & (high <= 0)
    around = (_ends(own)[0] <= _ends(volume)[0] + voxel) & (_ends(own)[1] >= _ends(volume)[1] - voxel)
    if source.centre is not None and (inside | around).all():
        return own, "" if alike else f", where its header says ({own.text(unit)}; the volume is {volume.text(unit)})"
    first = _ends(own)[0] + voxel / 2
    unstated = source.centre is None or bool((np.abs(first) < SAME * voxel).all())
    disjoint = bool(((_ends(own)[0] >= _ends(volume)[1]) | (_ends(own)[1] <= _ends(volume)[0])).any())
    if alike and (unstated or disjoint):
        moved = source.centre is not None
        return Box(own.extent, volume.centre), f", centred on the volume (its header says {own.text(unit)})" if moved else ""
    places = [[round(value / unit, 6) for value in centre] for centre in dict.fromkeys((own.centre, volume.centre))]
    raise InputError(
        f"{description.folder / FILE}: truth",
        expected=f"a file whose box fits into the volume's: {volume.text(unit)} (z, y, x)",
        found=f"{own.text(unit)} in the header of {source.stack.where}",
        fix=f"Say where its centre is (truth.offset: {' or '.join(map(str, places))}) and, if its voxel size is wrong, truth.extent.",
    )


def _note_cut(where: str, values: np.ndarray, box: Box, volume: Box, unit: float) -> None:
    """Note a truth that is smaller than the volume and may cut through matter: scores take the rest for air."""
    voxel = np.array(spacing_of(box.extent, values.shape))
    inner = np.abs(_ends(box) - _ends(volume)) > voxel
    inner &= [_ends(box)[0] > _ends(volume)[0], _ends(box)[1] < _ends(volume)[1]]
    if not inner.any():
        return
    matter = MATTER * float(values.max())
    for end, axis in np.argwhere(inner):
        share = float((np.take(values, -end, axis) > matter).mean())
        if share > CUT:
            edges, places = ([round(value / unit, 6) for value in triple] for triple in (box.extent, box.centre))
            margin = float(np.abs(_ends(volume) - _ends(box)).max()) / unit
            face = f"{share:.0%} of the {'upper' if end else 'lower'} {'zyx'[axis]} face"
            note(
                f"{where}: matter on {face} of its box {box.text(unit)}, which is smaller than the volume; scores take all beyond it "
                "for air. If the body goes on there, score the truth's box alone: "
                f"volume: {{extent: {edges}, offset: {places}, margin: {margin:.6g}}}"
            )
            return


def _ends(box: Box) -> np.ndarray:
    """Return the lower and the upper faces [2, 3]."""
    half = np.array(box.extent) / 2
    return np.stack([np.array(box.centre) - half, np.array(box.centre) + half])


def _facts(source: Source, box: Box) -> dict[str, Any]:
    """Return the place of the scanner's origin in the file's frame, where they differ."""
    if source.centre is None or box.extent != source.extent:
        return {}
    shift = [own - here for own, here in zip(source.centre[::-1], box.centre[::-1], strict=True)]
    return {"patient": {"origin": shift, "frame_of_reference": source.frame}} if any(shift) or source.frame else {}
