"""Draft of a scan.yaml: the values that a reader of a scanner's own files found, each with its source."""

from __future__ import annotations

import collections
import dataclasses
import glob
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError

FILL_IN = "FILL_IN"
SCANNER = ("source_to_origin", "source_to_detector", "detector_pitch", "detector_offset", "axis_shift", "source_height", "angles")
IMAGES = (".tif", ".tiff", ".bmp", ".png", ".raw", ".edf", ".his")


@dataclasses.dataclass(frozen=True)
class Entry:
    """One line of scan.yaml: a key of a section ('' for the keys outside any) with its value, and where the value comes from."""

    section: str
    key: str
    value: Any
    source: str


@dataclasses.dataclass
class ScanDraft:
    """Values for scan.yaml from the files that a scanner left beside its images; `new-scan` writes them.

    A reader calls `set` for each value it finds and `table` for one row per view. Keys, units and signs are those of scan.yaml
    (docs/data/scan_yaml.md). Keys that are not set are looked for among the files (`projections.file`) or left to the user as FILL_IN.
    """

    entries: list[Entry] = dataclasses.field(default_factory=list)
    tables: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    notes: list[str] = dataclasses.field(default_factory=list)
    images: tuple[int, int, int] | None = None  # [view, row, column] as the scanner's files state it

    def set(self, key: str, value: Any, source: str) -> None:
        """Set `section.key` (or a key outside any section) to a number, text, list or mapping; `source` becomes its comment.

        Setting a key again replaces its value.
        """
        section, _, name = key.rpartition(".")
        self.drop(key)
        self.entries.append(Entry(section, name, value, source))

    def table(self, key: str, name: str, rows: np.ndarray, source: str) -> None:
        """Set `section.key` to the file `name`, which `new-scan` writes beside scan.yaml with one row of numbers per view.

        Names that end in .npy may hold any array.
        """
        self.tables[name] = np.asarray(rows)
        self.set(key, name, source)

    def leave(self, key: str, reason: str) -> None:
        """Leave a key to the user (FILL_IN), with the reason as its comment."""
        self.set(key, FILL_IN, reason)

    def note(self, text: str) -> None:
        """Add a line for the user that `new-scan` prints and writes at the top."""
        self.notes.append(text)

    def orbit(self, vectors: np.ndarray, shape: tuple[int, int], source: str, sources: Mapping[str, str] | None = None) -> None:
        """Set the geometry and the angles from twelve numbers per view [view, 4, 3], in the file's length unit.

        They are source, detector centre, step from column to column and step from row to row as stored, x y z each, z the rotation axis.
        A circle about z with an upright detector becomes distances, offsets and angles, which FDK needs; any other orbit a file of
        vectors. `shape` (rows, columns) decides which deviations from a circle matter: more than a tenth of a pixel. `source` says where
        they come from, `sources` where single keys (such as source_to_origin or angles) do. Raise InputError for numbers that are not
        finite.
        """
        origin = {**dict.fromkeys(SCANNER, source), **(sources or {})}
        vectors = np.asarray(vectors, dtype=np.float64)
        if vectors.ndim != 3 or vectors.shape[1:] != (4, 3) or not np.isfinite(vectors).all():
            raise InputError(source, expected="finite numbers [view, 4, 3]", found=f"shape {vectors.shape}")
        top, right = vectors[:, 3, 2].sum() < 0, _to_the_left(vectors)
        self.set("projections.first_row", "top" if top else "bottom", source)
        self.set("projections.first_column", "right" if right else "left", source)
        upright = vectors.copy()
        upright[:, 3] *= -1 if top else 1
        upright[:, 2] *= -1 if right else 1
        circle = _circle(upright, shape)
        if circle is None:
            self.table("geometry.vectors", "scan_vectors.txt", vectors.reshape(-1, 12), source)
            return
        for key in SCANNER[:4]:
            self.set(f"geometry.{key}", circle[key], origin[key])
        for key in SCANNER[4:6]:
            if np.ndim(circle[key]):
                self.table(f"geometry.{key}", f"scan_{key}.txt", circle[key], origin[key])
            elif circle[key]:
                self.set(f"geometry.{key}", circle[key], origin[key])
        self.set("angle_unit", "degrees", "of the file of angles")
        self.table("angles.file", "scan_angles.txt", np.degrees(circle["angles"]), origin["angles"])
        self.set("angles.rotation", "counter_clockwise", origin["angles"])

    def drop(self, key: str) -> None:
        """Forget the value of `section.key`."""
        section, _, name = key.rpartition(".")
        self.entries = [entry for entry in self.entries if (entry.section, entry.key) != (section, name)]

    def get(self, key: str) -> Any:
        """Return the value of `section.key`, None if it is not set."""
        section, _, name = key.rpartition(".")
        return next((entry.value for entry in self.entries if (entry.section, entry.key) == (section, name)), None)


def _to_the_left(vectors: np.ndarray) -> bool:
    """Return whether columns run to the left as seen from the source, z up."""
    source, centre, u, _ = vectors.transpose(1, 0, 2)
    right = np.cross(centre - source, [0.0, 0.0, 1.0])
    return bool(np.einsum("vx,vx->v", right, u).sum() < 0)


def _circle(vectors: np.ndarray, shape: tuple[int, int]) -> dict[str, Any] | None:
    """Return a circular orbit's distances, offsets, shifts and angles [rad]; None if a pixel would move by more than a tenth."""
    source, centre, u, v = vectors.transpose(1, 0, 2)
    angles = np.arctan2(-u[:, 0], u[:, 1])
    zero = np.zeros_like(angles)
    out = np.stack([np.cos(angles), np.sin(angles), zero], -1)
    along = np.stack([-np.sin(angles), np.cos(angles), zero], -1)
    pitch = float(np.linalg.norm(v, axis=1).mean()), float(np.linalg.norm(u, axis=1).mean())
    off = centre - source

    def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.asarray(np.einsum("vx,vx->v", a, b))

    found = {
        "source_to_origin": dot(source, out),
        "source_to_detector": -dot(off, out),
        "offset": np.stack([off[:, 2], dot(off, along)], -1),
        "axis_shift": dot(source, along),
        "source_height": source[:, 2],
    }
    mean = {key: value.mean(0) for key, value in found.items()}
    if min(mean["source_to_origin"], mean["source_to_detector"]) <= 0:
        return None
    least = 0.1 * min(pitch)
    seen = {
        "source_to_origin": shape[1] * pitch[1] / mean["source_to_origin"],
        "source_to_detector": shape[1] * pitch[1] / mean["source_to_detector"],
    }
    crooked = [
        *(np.abs(found[key] - mean[key]).max() * max(1.0, seen[key]) for key in seen),
        np.abs(found["offset"] - mean["offset"]).max(),
        np.abs(v - [0, 0, pitch[0]]).max() * shape[0] / 2,
        np.abs(u - pitch[1] * along).max() * shape[1] / 2,
    ]
    if max(crooked) > least:
        return None
    shifts = {key: float(mean[key]) if np.ptp(found[key]) < least else found[key] for key in ("axis_shift", "source_height")}
    return {
        **{key: float(mean[key]) for key in seen},
        "detector_pitch": [_rounded(number) for number in pitch],
        "detector_offset": [_rounded(number, least) for number in mean["offset"]],
        **{key: value if np.ndim(value) else _rounded(value, least) for key, value in shifts.items()},
        "angles": np.unwrap(angles),
    }


def _rounded(number: float, least: float = 1.0) -> float:
    """Return the number without the noise of float arithmetic: 0 for less than a hundred-thousandth of `least`."""
    return 0.0 if abs(number) < 1e-5 * least and least != 1.0 else float(f"{number:.10g}")


def numbered_images(folder: Path, prefix: str = "", endings: Sequence[str] = IMAGES, within: str = "") -> tuple[str, int]:
    """Return the pattern (for `projections.file`) and the number of images named prefix, digits, ending; others are left out.

    `within` names a folder inside `folder`. An empty prefix takes the largest series of numbered names. Raise InputError if there is none.
    """
    place = folder / within
    series: collections.Counter[tuple[str, str]] = collections.Counter()
    for path in place.iterdir() if place.is_dir() else ():
        name = re.fullmatch(rf"({re.escape(prefix) or '.*?'})\d+", path.stem)
        if name and path.suffix.lower() in endings and not path.name.startswith(".") and path.is_file():
            series[name[1], path.suffix] += 1
    if not series:
        wanted = f"{prefix}0000{endings[0]}, {prefix}0001{endings[0]}, ..."
        raise InputError(str(place), expected=f"images named {wanted}", found="none", fix="Put the projections there.")
    (start, ending), count = series.most_common(1)[0]
    pattern = f"{glob.escape(start)}[0-9]*{ending}"
    return f"{within}/{pattern}" if within else pattern, count
