"""Template of scan.yaml for a folder: facts that the scanner or the files state are filled in, the rest is left to the user."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError, MissingDependency
from benchmark.files import arrays, images
from benchmark.files.door import SINGLE, kind, open_stack
from benchmark.scan_folder.description import FILE, SECTIONS
from benchmark.scan_folder.draft import FILL_IN, Entry
from benchmark.scan_folder.formats import Recognised
from benchmark.storage import atomic
from benchmark.storage.visible import visible

RAW = (".raw", ".bin", ".img", ".dat", ".vol", ".xtek", ".his")
PREPROCESSING = (
    "# preprocessing:          # steps before the logarithm and after it, see docs/data/preprocessing.md",
    "#   bad_pixels: auto      # dead and hot pixels are interpolated, and no score counts them",
    "#   air: auto             # each view's own intensity without object",
)
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


def write_template(folder: Path, recognised: Recognised | None = None) -> Path:
    """Write scan.yaml into the folder, and the tables that a scanner's files need. Existing files are left alone.

    Raise InputError if there is a scan.yaml already, or if no file could be projections.
    """
    if not folder.is_dir():
        raise InputError(str(folder), expected="a folder with your projections", found="a file" if folder.exists() else "none")
    path = folder / FILE
    if path.exists():
        raise _taken(path, "no scan.yaml yet")
    named = recognised is not None and recognised.draft.get("projections.file") is not None
    text = template(folder.resolve().name, [] if named else look(folder), recognised)
    for name, rows in recognised.draft.tables.items() if recognised else ():
        _write_table(folder / name, rows, recognised.file.name if recognised else "")
    try:
        atomic.create(path, text.encode())
    except UnicodeEncodeError as error:
        found = visible(text[max(0, error.start - 40) : error.end + 40]).split("\n")[0]
        raise InputError(str(folder), expected="names of files in UTF-8", found=found, fix="Rename the file.") from None
    except FileExistsError:
        raise _taken(path, "no scan.yaml yet") from None
    return path


def _write_table(path: Path, rows: np.ndarray, source: str) -> None:
    """Write one row of numbers per view as text, or any array as .npy. Raise InputError if another file has this name."""
    if path.suffix == ".npy":
        buffer = io.BytesIO()
        np.save(buffer, rows)
        content = buffer.getvalue()
    else:
        lines = [" ".join(f"{value:.10g}" for value in np.atleast_1d(row)) for row in rows]
        content = "\n".join([f"# from {_printable(source)}", *lines, ""]).encode()
    try:
        atomic.create(path, content)
    except FileExistsError:
        if path.read_bytes() != content:
            raise _taken(path, "no such file, or the one that new-scan wrote") from None


def _taken(path: Path, expected: str) -> InputError:
    return InputError(str(path), expected=expected, found="one (it is left alone)", fix="Edit it, or move it away.")


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


def template(name: str, found: list[Found], recognised: Recognised | None = None) -> str:
    """Return the text of scan.yaml. Raise InputError if no file can be projections and the scanner's files name none."""
    entries = {name: [] for name in ("", *SECTIONS)} if recognised is None else _by_section(recognised.draft.entries)
    given = {(entry.section, entry.key) for section in entries.values() for entry in section}
    projections = None if ("projections", "file") in given else _largest(name, found)
    rest = [item for item in found if item is not projections]
    pick = {role: next((item for item in rest if item.is_a(role)), None) for role in ROLES}
    if recognised is None:
        head = [
            "# A scan for `python -m benchmark run --scan FOLDER`; every key is explained in docs/data/scan_yaml.md.",
            f"# Replace each {FILL_IN}. Found here:",
        ]
        head += [f"#   {item}" for item in found]
    else:
        head = [
            "# A scan for `python -m benchmark run --scan FOLDER`; every key is explained in docs/data/scan_yaml.md.",
            f"# From {_printable(recognised.file.name)} ({recognised.format}, see docs/data/scanners.md).",
        ]
        head += [f"# {_printable(note)}" for note in recognised.draft.notes]
    general = [
        "version: 1",
        f"name: {_quoted(name)}",
        "length_unit: mm           # of all lengths below: mm, cm, m or um",
        "angle_unit: degrees       # of all angles below: degrees or radians",
    ]
    volume = ["# volume:                 # the box to reconstruct, (z, y, x); without it all that the detector sees"]
    volume += ["#   extent: [100, 100, 100]", "#   offset: [0, 0, 0]"]
    geometry, angles = _geometry(projections, pick["angles"])
    if ("geometry", "vectors") in given:
        geometry, angles = ["geometry:"], []
    templates = {
        "projections": ["projections:"] if projections is None else _projections(projections, pick["flat"], pick["dark"]),
        "preprocessing": list(PREPROCESSING),
        "masks": _masks(pick["masks"]),
        "geometry": geometry,
        "angles": angles,
        "volume": volume,
        "truth": _truth(pick["truth"]),
        "views": [],
    }
    if recognised is not None:  # what is only suggested there has no place in a complete file
        templates = {section: [line for line in lines if not re.match(rf"\s*#.*{FILL_IN}", line)] for section, lines in templates.items()}
    parts = [_merged(general, entries[""], "")]
    parts += [_merged(lines, entries[section], section) for section, lines in templates.items()]
    return "\n".join([*head, *("\n".join(part) + "\n" for part in parts if part)]).rstrip("\n") + "\n"


def _largest(name: str, found: list[Found]) -> Found:
    """Return the file that probably holds the projections: the largest with three axes that is nothing else by its name."""
    candidates = [item for item in found if len(item.shape) == 3 or item.dtype.startswith("raw")]
    main = [item for item in candidates if not any(item.is_a(role) for role in ROLES)] or candidates
    if not main:
        seen = "; ".join(map(str, found)) or "nothing"
        raise InputError(name, expected="projections: a stack of images, an array with three axes or a raw file", found=seen)
    return max(main, key=lambda item: math.prod(item.shape) if item.shape else 0)


def _by_section(entries: list[Entry]) -> dict[str, list[Entry]]:
    """Return the entries of each section. Raise InputError for a section that scan.yaml does not have."""
    found: dict[str, list[Entry]] = {name: [] for name in ("", *SECTIONS)}
    for entry in entries:
        if entry.section not in found:
            raise InputError(
                f"draft: {entry.section}.{entry.key}", expected=f"one of the sections {', '.join(SECTIONS)}", found=entry.section
            )
        found[entry.section].append(entry)
    return found


def _merged(lines: list[str], entries: list[Entry], section: str) -> list[str]:
    """Return a section's lines with the scanner's values in place of the template's, and those it has no line for at the end."""
    if not entries:
        return lines
    if lines and lines[0].startswith("#"):  # a section that is only suggested
        lines = []
    indent = "  " if section else ""
    keys = {entry.key for entry in entries}
    rivals = {"arc", "step", "file", "values"} if section == "angles" and keys & {"arc", "step", "file", "values"} else set()
    if any(entry.key == "beam" and entry.value == "parallel" for entry in entries):
        rivals = {"source_to_origin", "source_to_detector"}
    kept = [line for line in lines if (match := re.match(r"\s*#?\s*(\w+):", line)) is None or match[1] not in keys | rivals]
    head = [f"{section}:"] if section else []
    own = [_line(entry.key, _value(entry.value), entry.source, indent) for entry in entries]
    body = kept[1:] if section and kept and kept[0].startswith(f"{section}:") else kept
    return [*head, *own, *body] if section else [*body, *own]


def _value(value: Any) -> str:
    """Return a value as YAML on one line."""
    if isinstance(value, str):
        return value if value == FILL_IN else _quoted(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple | np.ndarray):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, int | np.integer):
        return str(int(value))
    return _decimal(float(value))


def _decimal(value: float) -> str:
    """Return a number as YAML reads it as one: 1e-05 without a point is a text there."""
    text = f"{value:.10g}"
    return text.replace("e", ".0e") if "e" in text and "." not in text else text


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


def _geometry(item: Found | None, angles: Found | None) -> tuple[list[str], list[str]]:
    """Return the lines of the sections geometry and angles."""
    views = f" of {item.shape[0]} views" if item and item.shape else ""
    geometry = [
        "geometry:",
        _line("source_to_origin", FILL_IN, "from the source to the rotation axis"),
        _line("source_to_detector", FILL_IN, ""),
        _line("detector_pitch", FILL_IN, "distance of neighbouring pixels: one number, or [rows, columns]"),
        _line("detector_offset", "[0, 0]", "(up, right seen from the source) of the detector's centre from the central ray"),
        _line("axis_shift", "0", "of source and detector to the right: a rotation axis off centre"),
    ]
    turn = [
        "angles:",
        _line("file", _quoted(angles.file), "") if angles else _line("arc", FILL_IN, f"360 for a full turn{views}; or step, values, file"),
        _line("rotation", "counter_clockwise", "of the source around the object, seen from above; or clockwise"),
    ]
    return geometry, turn


def _truth(item: Found | None) -> list[str]:
    lines = ["truth:   # a volume to score against, in the same box", _line("file", _quoted(item.file) if item else "truth.nii.gz", "")]
    if item and item.key:
        lines.append(_line("key", _quoted(item.key), ""))
    lines.append(_line("axes", "[z, y, x]", "order of the axes in the file, the fastest last"))
    lines.append(_line("unit", "attenuation", "per length_unit, or HU"))
    return lines if item else [f"# {line}" for line in lines]


def _line(key: str, value: str, comment: str, indent: str = "  ") -> str:
    text = f"{indent}{key}: {value}"
    return f"{text:34} # {_printable(comment)}" if comment else text


def _printable(text: str) -> str:
    """Return one line of a comment; what is not printable in a foreign file or name becomes '?'."""
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))


def _quoted(text: str) -> str:
    """Return the text quoted for YAML."""
    plain = re.fullmatch(r"[A-Za-z][\w./-]*", text) and text.lower() not in ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
    return text if plain else json.dumps(text)
