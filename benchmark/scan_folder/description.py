"""Format of scan.yaml, section by section; all mistakes are reported together."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ConfigDict, Field, ValidationError, model_validator

from benchmark.errors import InputError, Mistakes, validation_mistakes
from benchmark.files.limits import MOST_VIEWS
from benchmark.plugins.specs import Params
from benchmark.scan.hounsfield import MU_WATER
from benchmark.storage.yaml_file import read_yaml

FILE = "scan.yaml"
AUTO = "auto"  # in place of a value: found from the projections
VERSION = 1
UNITS = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "um": 0.001}  # [mm]; any other name is kept, and so are its numbers

Axes = tuple[Literal["view", "v", "u"], ...]
Region = tuple[int, int, int, int]  # [v0, v1, u0, u1], the ends not included
PerView = float | tuple[float, ...] | str  # a number, one per view, or a file with them


class Section(Params):
    """Base of all sections: numbers are finite."""

    model_config = ConfigDict(allow_inf_nan=False)


class General(Section):
    """Keys outside any section."""

    version: Literal[1] = Field(1, description="of this format")
    name: str = Field("", description="of the case in tables; the folder's name if empty")
    length_unit: str = Field("mm", description="of every length below: mm, cm, m or um; any other name is kept and nothing converted")
    angle_unit: Literal["degrees", "radians"] = Field("degrees", description="of every angle below")


class Raw(Section):
    """File of raw numbers, which does not describe itself."""

    shape: tuple[int, int, int] | tuple[int, int] = Field(
        description="numbers along each axis, the fastest last; of one file if there are several"
    )
    dtype: Literal["uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64"]
    byte_order: Literal["little", "big"] = "little"
    header_bytes: int = Field(0, ge=0, description="to skip at the beginning")


def _check_axes(axes: Axes) -> None:
    """Raise InputError unless `axes` is an order of the three axes."""
    if sorted(axes) != ["u", "v", "view"]:
        raise InputError("axes", expected="view, v and u, each once", found=f"{list(axes)}")


class Projections(Section):
    """Files of the measured numbers, and their meaning."""

    file: str = Field(description="a file, a folder of numbered images, or a pattern such as images/view*.tif")
    key: str | None = Field(None, description="the array's name in an .npz file")
    raw: Raw | None = Field(None, description="shape, dtype, byte_order, header_bytes of a file of raw numbers")
    axes: Axes = Field(("view", "v", "u"), description="order of the axes, the fastest last")
    first_row: Literal["bottom", "top"] = Field("bottom", description="where row 0 is; +z is up")
    first_column: Literal["left", "right"] = Field("left", description="where column 0 is, seen from the source with +z up")
    values: Literal["line_integrals", "intensities"] = Field("line_integrals", description="line integrals of mu, or intensities")
    scale: float = Field(1.0, description="factor on stored line integrals", gt=0)
    flat: float | str | None = Field(None, description="intensity without object: I0, or a file with one or more images")
    dark: float | str = Field(0.0, description="intensity without beam: a number, or a file with one or more images")
    photons: float | None = Field(None, gt=0, description="per pixel of the unattenuated beam, where known")
    noise: float | None = Field(None, ge=0, description="standard deviation of a typical line integral, where known; else it is estimated")

    @model_validator(mode="after")
    def _complete(self) -> Projections:
        _check_axes(self.axes)
        if self.values == "intensities" and self.scale != 1.0:
            raise InputError("scale", expected="1 for intensities", found=f"{self.scale:g}")
        if self.values == "line_integrals" and (self.flat is not None or self.dark != 0):
            raise InputError("flat, dark", expected="values: intensities", found="values: line_integrals")
        return self


class Preprocessing(Section):
    """Steps that mend measured numbers, all off by default. They are taken in the order below, whatever their order in the file.

    Regions are [v0, v1, u0, u1], rows v0 to v1 - 1 and columns u0 to u1 - 1, counted as an image viewer shows the files: from 0, row and
    column as stored.
    """

    bad_pixels: str | None = Field(None, description="dead and hot pixels, repaired and not scored: auto, or a file (0 is good)")
    zingers: float | None = Field(None, gt=0, description="pixels brighter than their neighbours' median by this share become that median")
    air: Literal["auto"] | Region | None = Field(
        None, description="region without object in every view, whose mean becomes I0: auto or 4 numbers"
    )
    crop: Region | None = Field(None, description="region of the detector to keep")
    bin: int = Field(1, ge=1, description="pixels averaged along each direction, before the logarithm")
    beam_hardening: tuple[float, ...] | None = Field(
        None, min_length=1, max_length=10, description="a1, a2, ... of the line integral a1 p + a2 p^2 + ..."
    )
    rings: bool = Field(False, description="subtract each pixel's constant deviation from its neighbours, seen in the mean of the views")

    @model_validator(mode="after")
    def _complete(self) -> Preprocessing:
        for name, region in (("air", self.air), ("crop", self.crop)):
            if isinstance(region, tuple) and not (0 <= region[0] < region[1] and 0 <= region[2] < region[3]):
                raise InputError(name, expected="[v0, v1, u0, u1] with 0 <= v0 < v1 and 0 <= u0 < u1", found=f"{list(region)}")
        if self.beam_hardening is not None and not self.beam_hardening[0] > 0:
            raise InputError(
                "beam_hardening", expected="a first coefficient above 0: values must grow", found=f"{self.beam_hardening[0]:g}"
            )
        return self


class Masks(Section):
    """Masks of the object in each view: 0 is outside, any other number inside. Omitted keys are as for the projections."""

    file: str = Field(description="a file, a folder of numbered images, or a pattern such as masks/view*.png")
    key: str | None = Field(None, description="the array's name in an .npz file")
    raw: Raw | None = Field(None, description="shape, dtype, byte_order, header_bytes of a file of raw numbers")
    axes: Axes | None = Field(None, description="order of the axes, the fastest last")
    first_row: Literal["bottom", "top"] | None = Field(None, description="where row 0 is")
    first_column: Literal["left", "right"] | None = Field(None, description="where column 0 is")

    @model_validator(mode="after")
    def _complete(self) -> Masks:
        if self.axes is not None:
            _check_axes(self.axes)
        return self


class Geometry(Section):
    """Scanner, with signs and axes as in benchmark.scan.geometry. Pairs are (v, u): vertical, horizontal."""

    beam: Literal["cone", "parallel"] = "cone"
    source_to_origin: float | None = Field(None, gt=0, description="from the source to the rotation axis")
    source_to_detector: float | None = Field(None, gt=0, description="from the source to the detector")
    detector_pitch: float | tuple[float, float] | None = Field(None, description="pixel size, one number or (v, u)")
    detector_offset: tuple[float, float] = Field((0.0, 0.0), description="(v, u) of the detector's centre from the central ray")
    axis_shift: PerView = Field(0.0, description="source and detector moved together along u; auto finds it from the projections")
    source_height: PerView = Field(0.0, description="source and detector moved together along z (helix)")
    detector_roll: PerView = Field(0.0, description="detector turned about the central ray")
    detector_pitch_angle: PerView = Field(0.0, description="detector turned about u")
    detector_yaw: PerView = Field(0.0, description="detector turned about v")
    vectors: str | None = Field(None, description="instead of all others and of angles: a file with 12 numbers per view")

    @model_validator(mode="after")
    def _complete(self) -> Geometry:
        if self.vectors is not None:
            others = self.model_fields_set - {"vectors"}
            if others:
                raise InputError("vectors", expected="nothing beside vectors", found=", ".join(sorted(others)))
            return self
        needed = ("detector_pitch",) if self.beam == "parallel" else ("source_to_origin", "source_to_detector", "detector_pitch")
        missing = [name for name in needed if getattr(self, name) is None]
        if missing:
            raise InputError(missing[0], expected="a number", found="none")
        return self


class Angles(Section):
    """Angle of each view, given in one of these ways: file, values, first and step, or first and arc."""

    file: str | None = Field(None, description="text (one number a line) or .npy")
    values: tuple[float, ...] | None = Field(None, description="all of them", max_length=MOST_VIEWS)
    first: float = Field(0.0, description="angle of view 0")
    step: float | None = Field(None, description="from view to view")
    arc: float | None = Field(None, description="from view 0 to one step after the last view")
    rotation: Literal["counter_clockwise", "clockwise"] = Field(
        "counter_clockwise", description="of the source around the object for growing angles, seen from above (+z)"
    )

    @model_validator(mode="after")
    def _one_way(self) -> Angles:
        given = [name for name in ("file", "values", "step", "arc") if getattr(self, name) is not None]
        if len(given) != 1:
            raise InputError("angles", expected="one of file, values, step, arc", found=", ".join(given) or "none")
        return self


class Volume(Section):
    """Reconstruction grid; without this section the grid covers the detector's field of view. Triples are (z, y, x)."""

    extent: tuple[float, float, float] | Literal["auto"] = Field(
        description="edge lengths, faces included; auto = all that the detector sees, scored in the box of truth.extent"
    )
    margin: float = Field(0.0, ge=0, description="reconstructed beyond the extent on every side, and not scored")
    offset: tuple[float, float, float] = Field((0.0, 0.0, 0.0), description="of its centre from the origin")
    shape: tuple[int, int, int] | None = Field(
        None, description="voxels of the extent, those of --size native; with another --size only their ratios count"
    )


class Truth(Section):
    """Truth for scores, on its own grid, which fills `extent` around `offset`: those of a file that knows its place, else the volume's."""

    file: str
    key: str | None = None
    raw: Raw | None = None
    axes: tuple[Literal["z", "y", "x"], ...] = Field(("z", "y", "x"), description="order of the axes, the fastest last")
    flip: tuple[Literal["z", "y", "x"], ...] = Field((), description="axes that run the other way in the file")
    unit: Literal["attenuation", "HU"] = Field("attenuation", description="attenuation per length_unit, or Hounsfield units")
    water: float = Field(MU_WATER, gt=0, description="attenuation of water per mm, for HU")
    extent: tuple[float, float, float] | None = Field(None, description="edge lengths (z, y, x)")
    offset: tuple[float, float, float] | None = Field(None, description="centre (z, y, x)")
    note: str = Field("", description="where it comes from")

    @model_validator(mode="after")
    def _complete(self) -> Truth:
        if sorted(self.axes) != ["x", "y", "z"]:
            raise InputError("axes", expected="z, y and x, each once", found=f"{list(self.axes)}")
        return self


class Views(Section):
    """Training and held-out views chosen by the scan's owner; indices from 0."""

    training: tuple[int, ...] | None = Field(None, description="views that training subsets are taken from")
    heldout: tuple[int, ...] | None = Field(None, description="held-out views")

    @model_validator(mode="after")
    def _apart(self) -> Views:
        both = sorted(set(self.training or ()) & set(self.heldout or ()))
        if both:
            raise InputError("heldout", expected="views that are not in training", found=f"{both[0]}, which is in both")
        return self


@dataclasses.dataclass(frozen=True)
class Description:
    """Content of one scan.yaml."""

    folder: Path
    general: General
    projections: Projections
    masks: Masks | None
    geometry: Geometry
    angles: Angles | None
    volume: Volume | None
    truth: Truth | None
    views: Views
    preprocessing: Preprocessing | None = None

    @property
    def finds_axis(self) -> bool:
        """True if the axis shift is to be found from the projections."""
        return self.geometry.axis_shift == AUTO

    def path(self, where: str, name: str) -> Path:
        """Return the path of a file of the scan. Raise InputError for a name that leads out of the folder."""
        path = Path(name)
        if path.is_absolute() or ".." in path.parts or not path.parts or not name.isprintable():
            fix = "Copy the file into the folder or put a link there."
            raise InputError(f"{self.folder / FILE}: {where}", expected=f"a file inside {self.folder}", found=f"{name!r:.80}", fix=fix)
        return self.folder / path


SECTIONS: dict[str, type[Params]] = {
    "projections": Projections,
    "preprocessing": Preprocessing,
    "masks": Masks,
    "geometry": Geometry,
    "angles": Angles,
    "volume": Volume,
    "truth": Truth,
    "views": Views,
}
Model = TypeVar("Model", bound=Params)


def read_description(folder: Path) -> Description:
    """Read and check the scan.yaml of a folder (or at this path). Raise InputError with all mistakes."""
    folder = folder.parent if folder.name == FILE else folder
    path = folder / FILE
    if not path.is_file():
        fix = f"Write one: python -m benchmark new-scan {shlex.quote(str(folder))}" if folder.is_dir() else ""
        raise InputError(str(path), expected="a description of the scan", found="no such file", fix=fix)
    if path.stat().st_size > 16 << 20:
        raise InputError(str(path), expected="a text of at most 16 MiB", found=f"{path.stat().st_size >> 20} MiB", fix="Use an angle file.")
    content = read_yaml(path)
    mistakes = Mistakes()
    mistakes.check_keys("", content, [*General.model_fields, *SECTIONS])
    general = _section("", General, {key: value for key, value in content.items() if key in General.model_fields}, mistakes)
    found: dict[str, Any] = {}
    for name, model in SECTIONS.items():
        given = content.get(name)
        if given is None:
            if name in ("projections", "geometry"):
                mistakes.add(name, expected="a section with its keys", found="none")
            continue
        found[name] = _section(name, model, given, mistakes)
    geometry = found.get("geometry")
    if geometry is not None and (geometry.vectors is None) == (content.get("angles") is None):
        expected = "angles" if geometry.vectors is None else "no angles beside geometry.vectors"
        mistakes.add("angles", expected=expected, found="none" if geometry.vectors is None else "both")
    projections, steps = found.get("projections"), found.get("preprocessing")
    if projections is not None and projections.values == "intensities" and projections.flat is None and not (steps and steps.air):
        expected = "the intensity without object (a number or a file) for intensities, or a region of air (preprocessing.air)"
        mistakes.add("projections.flat", expected=expected, found="none")
    mistakes.raise_if_any(str(path))
    assert general is not None
    return Description(
        folder,
        general,
        found["projections"],
        found.get("masks"),
        found["geometry"],
        found.get("angles"),
        found.get("volume"),
        found.get("truth"),
        found.get("views") or Views(training=None, heldout=None),
        found.get("preprocessing"),
    )


def _section(name: str, model: type[Model], given: Any, mistakes: Mistakes) -> Model | None:
    if not isinstance(given, dict):
        mistakes.add(name, expected=f"keys and values ({', '.join(model.model_fields)})", found=repr(given))
        return None
    try:
        return model.model_validate({str(key): value for key, value in given.items()})
    except ValidationError as error:
        validation_mistakes(mistakes, error, model, name, {})
        return None
