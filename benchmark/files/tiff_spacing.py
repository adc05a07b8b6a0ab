"""Voxel spacing of TIFF stacks, as ImageJ and OME write it."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError
from benchmark.files.tiff_chain import check_chain
from benchmark.files.units import mm_per

Triple = tuple[float, float, float]
MICROMETRE = "\u00b5m"  # the unit of OME where none is named


def tiff_spacing(path: Path) -> Triple | None:
    """Return the spacing (z, y, x) [mm] that a stack states completely, else None. Raise InputError for an unknown unit of length."""
    import tifffile

    try:
        check_chain(path)
        with tifffile.TiffFile(path) as file:
            imagej, ome = file.imagej_metadata or {}, file.ome_metadata or ""
            tags = file.pages[0].tags  # type: ignore[union-attr]
            resolutions = [tags[name].value if name in tags else None for name in ("YResolution", "XResolution")]
    except Exception:  # a broken file raises anything; the reader of its pages says so
        return None
    lengths = _ome(path, ome) if ome else _imagej(path, imagej, resolutions)
    if lengths is None or not all(np.isfinite(lengths)) or min(lengths) <= 0:
        return None
    return lengths


def _imagej(path: Path, content: dict[str, Any], resolutions: list[Any]) -> Triple | None:
    """Read pixels per unit along y and x, and the distance of slices, in ImageJ's own unit."""
    named = str(content.get("unit", ""))
    unit = mm_per(f"{path}: unit", re.sub(r"\\u00b5", MICROMETRE[0], named, flags=re.IGNORECASE)) if named else None
    depth = content.get("spacing")
    if unit is None or not isinstance(depth, int | float) or not all(isinstance(pair, tuple) and min(pair) > 0 for pair in resolutions):
        return None
    (above, below), (across, over) = resolutions
    return (float(depth) * unit, below / above * unit, over / across * unit)


def _ome(path: Path, text: str) -> Triple | None:
    match = re.search(r"<Pixels\b[^>]*>", text)
    found = dict(re.findall(r'(PhysicalSize\w+)="([^"]*)"', match.group(0))) if match else {}
    lengths = []
    for axis in "ZYX":
        try:
            length = float(found[f"PhysicalSize{axis}"])
        except (KeyError, ValueError):
            return None
        unit = mm_per(f"{path}: PhysicalSize{axis}Unit", html.unescape(found.get(f"PhysicalSize{axis}Unit", MICROMETRE)))
        if unit is None:
            raise InputError(f"{path}: PhysicalSize{axis}Unit", expected="a unit of length", found="none")
        lengths.append(length * unit)
    return (lengths[0], lengths[1], lengths[2])
