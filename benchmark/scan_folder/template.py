"""Template of scan.yaml for a folder: facts evident from the files are filled in, the rest is left to the user."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path

import numpy as np

from benchmark.errors import InputError, MissingDependency
from benchmark.files import arrays, images
from benchmark.files.door import SINGLE, kind, open_stack
from benchmark.scan_folder.description import FILE
from benchmark.storage import atomic

FILL_IN = "FILL_IN"
RAW = (".raw", ".bin", ".img", ".dat", ".vol", ".xtek", ".his")
ROLES = {  # words in the names of files that are not the projections
    "flat": r"flat|white|gain|open|bright|i0|air",
    "dark": r"dark|black|offset",
    "truth": r"truth|gt|vol|recon|phantom|reference",
    "angles": r"angle|theta",
    "masks": r"mask|silhouette|segment",
}


@dataclasses.dataclass(frozen=True)
class Found:
    """Array in the folder: file, name inside an archive, shape and type ('' and () if unknown)."""

    file: str
    key: str | None
    shape: tuple[int, ...]
    dtype: str
    problem: str = ""

    def __str__(self) -> str:
        name = f"{self.file} ({self.key})" if self.key else self.file
        facts = self.problem or ", ".join(filter(None, (" x ".join(map(str, self.shape)), self.dtype)))
        return f"{name}: {facts}"

    def is_a(self, role: str) -> bool:
        """Return whether the name suggests this role."""
        return re.search(rf"(?<![a-z])({ROLES[role]})", f"{self.file} {self.key or ''}".lower()) is not None


def write_template(folder: Path) -> Path:
    """Write scan.yaml into the folder. Raise InputError if it exists already or no file could be projections."""
    if not folder.is_dir():
        raise InputError(str(folder), expected="a folder with your projections", found="a file" if folder.exists() else "none")
    path = folder / FILE
    text = template(folder.resolve().name, look(folder))
    try:
        atomic.create(path, text.encode())
    except FileExistsError:
        raise InputError(str(path), expected="no scan.yaml yet", found="one (it is left alone)", fix="Edit it, or move it away.") from None
    return path


def look(folder: Path) -> list[Found]:
    """Return all files and folders of images that may hold numbers."""
    found: list[Found] = []
    loose = [path for path in images.in_order(list(folder.iterdir())) if not path.name.startswith(".")]
    pictures = [path for path in loose if path.is_file() and path.suffix.lower() in (*images.TIFF, *images.PNG)]
    groups: dict[str, list[Path]] = {}
    for path in pictures:  # view0001.tif, view0002.tif, ... are one stack
        groups.setdefault(re.sub(r"\d+(?=\D*$)", "*", path.name), []).append(path)
    for pattern, members in groups.items():
        name = pattern if len(members) > 1 else members[0].name
        found.append(_look_at(folder / name, name))
    for path in loose:
        if path in pictures:
            continue
        if path.is_dir() and any(child.suffix.lower() in (*images.TIFF, *images.PNG) for child in path.iterdir()):
            found.append(_look_at(path, path.name))
        elif kind(path) == ".npz":
            found += _look_into(path)
        elif kind(path) in SINGLE and path.is_file():
            found.append(_look_at(path, path.name))
        elif path.suffix.lower() in RAW:
            found.append(Found(path.name, None, (), f"raw numbers, {path.stat().st_size} bytes"))
        elif path.suffix.lower() in (".txt", ".csv") and re.search(ROLES["angles"], path.name.lower()):
            found.append(Found(path.name, None, (), "text"))
    return found


def _look_at(path: Path, name: str) -> Found:
    try:
        if kind(path) == ".npy":
            array = arrays.read_npy(path)
            return Found(name, None, array.shape, str(array.dtype))
        if path.is_file() and path.suffix.lower() in images.TIFF and images.page_count(path) == 1:
            stack = images.image_stack([path])
        else:
            stack = open_stack(path)
        return Found(name, None, stack.shape, str(stack.dtype))
    except (InputError, MissingDependency) as error:
        return Found(name, None, (), "", str(error))


def _look_into(path: Path) -> list[Found]:
    try:
        return [Found(path.name, key, shape, str(dtype)) for key, (shape, dtype) in arrays.npz_headers(path).items()]
    except InputError as error:
        return [Found(path.name, None, (), "", str(error))]


def template(name: str, found: list[Found]) -> str:
    """Return the text of scan.yaml. Raise InputError if no file can be projections."""
    candidates = [item for item in found if len(item.shape) == 3 or item.dtype.startswith("raw")]
    main = [item for item in candidates if not any(item.is_a(role) for role in ROLES)] or candidates
    if not main:
        seen = "; ".join(map(str, found)) or "nothing"
        raise InputError(name, expected="projections: a stack of images, an array with three axes or a raw file", found=seen)
    projections = max(main, key=lambda item: math.prod(item.shape) if item.shape else 0)
    rest = [item for item in found if item is not projections]
    pick = {role: next((item for item in rest if item.is_a(role)), None) for role in ROLES}
    lines = [
        "# A scan for `python -m benchmark run --scan FOLDER`; every key is explained in docs/data.md.",
        f"# Replace each {FILL_IN}. Found here:",
        *[f"#   {item}" for item in found],
        "version: 1",
        f"name: {_quoted(name)}",
        "length_unit: mm           # of all lengths below: mm, cm, m or um",
        "angle_unit: degrees       # of all angles below: degrees or radians",
        "",
        *_projections(projections, pick["flat"], pick["dark"]),
        "",
        *_masks(pick["masks"]),
        "",
        *_geometry(projections, pick["angles"]),
        "",
        "# volume:                 # the box to reconstruct, (z, y, x); without it all that the detector sees",
        "#   extent: [100, 100, 100]",
        "#   offset: [0, 0, 0]",
        "",
        *_truth(pick["truth"]),
    ]
    return "\n".join(lines) + "\n"


def _projections(item: Found, flat: Found | None, dark: Found | None) -> list[str]:
    counts = np.dtype(item.dtype).kind in "iu" if item.shape else True
    lines = ["projections:", f"  file: {_quoted(item.file)}"]
    if item.key:
        lines.append(f"  key: {_quoted(item.key)}")
    if not item.shape:
        lines.append(f"  raw: {{shape: {FILL_IN}, dtype: uint16, byte_order: little, header_bytes: 0}}   # shape: three numbers as in axes")
    shape = f"; here {' x '.join(map(str, item.shape))}" if item.shape else ""
    kinds = ("intensities", "line_integrals") if counts else ("line_integrals", "intensities")
    flat_line = _line("flat", _quoted(flat.file) if flat else FILL_IN, "intensity without object: I0, or a file of images")
    dark_line = _line("dark", _quoted(dark.file) if dark else "0", "intensity without beam: a number, or a file of images")
    return [
        *lines,
        _line("axes", "[view, v, u]", f"order of the axes, the fastest last{shape}"),
        _line("first_row", "top", "where row 0 is: top or bottom (+z is up)"),
        _line("first_column", "left", "where column 0 is, seen from the source: left or right"),
        _line("values", kinds[0], f"or {kinds[1]}"),
        flat_line if counts or flat else f"  # {flat_line.strip()}",
        dark_line if counts or dark else f"  # {dark_line.strip()}",
    ]


def _masks(item: Found | None) -> list[str]:
    lines = [
        "masks:   # where the thing is in each view, for methods that carve; axes and first rows as above",
        _line("file", _quoted(item.file) if item else "masks", ""),
    ]
    if item and item.key:
        lines.append(_line("key", _quoted(item.key), ""))
    return lines if item else [f"# {line}" for line in lines]


def _geometry(item: Found, angles: Found | None) -> list[str]:
    views = f" of {item.shape[0]} views" if item.shape else ""
    return [
        "geometry:",
        _line("source_to_origin", FILL_IN, "from the source to the rotation axis"),
        _line("source_to_detector", FILL_IN, ""),
        _line("detector_pitch", FILL_IN, "distance of neighbouring pixels: one number, or [rows, columns]"),
        _line("detector_offset", "[0, 0]", "(up, right seen from the source) of the detector's centre from the central ray"),
        _line("axis_shift", "0", "of source and detector to the right: a rotation axis off centre"),
        "",
        "angles:",
        _line("file", _quoted(angles.file), "") if angles else _line("arc", FILL_IN, f"360 for a full turn{views}; or step, values, file"),
        _line("rotation", "counter_clockwise", "of the source around the object, seen from above; or clockwise"),
    ]


def _truth(item: Found | None) -> list[str]:
    lines = ["truth:   # a volume to score against, in the same box", _line("file", _quoted(item.file) if item else "truth.nii.gz", "")]
    if item and item.key:
        lines.append(_line("key", _quoted(item.key), ""))
    lines.append(_line("axes", "[z, y, x]", "order of the axes in the file, the fastest last"))
    lines.append(_line("unit", "attenuation", "per length_unit, or HU"))
    return lines if item else [f"# {line}" for line in lines]


def _line(key: str, value: str, comment: str) -> str:
    text = f"  {key}: {value}"
    return f"{text:34} # {comment}" if comment else text


def _quoted(text: str) -> str:
    """Return the text quoted for YAML."""
    plain = re.fullmatch(r"[A-Za-z][\w./-]*", text) and text.lower() not in ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
    return text if plain else json.dumps(text)
