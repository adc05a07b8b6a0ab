"""DICOM files as they come on discs: which of them are slices, and of which series."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmark.errors import InputError
from benchmark.files.dicom_slice import Slice, read_header, slices_of

MOST_FILES = 20_000
MOST_ENTRIES = 100_000  # of all folders below the given one
DEEPEST = 8
SUFFIXES = (".dcm", ".dicom", ".ima")
CT_CLASSES = tuple(f"1.2.840.10008.5.1.4.1.1.2{end}" for end in ("", ".1", ".2"))  # single slices, enhanced, converted to enhanced
DIRECTORY = "1.2.840.10008.1.3.10"  # media storage directory: the file DICOMDIR
MOST_NAMED = 10
OLD = re.compile(rb"\x08\x00[\x00-\x18]\x00(?:UL\x04\x00|CS.\x00|UI.\x00|[\x04-\x40]\x00\x00\x00)", re.DOTALL)  # group 8 without a preamble


def is_dicom(path: Path) -> bool:
    """Return True if a file begins with the DICOM signature, or as the files of old archives do; or if its name ends in .dcm."""
    if not path.is_file() or path.name.startswith("."):
        return False
    with path.open("rb") as file:
        block = file.read(132)
    return path.suffix.lower() in SUFFIXES or block[128:] == b"DICM" or OLD.match(block) is not None


def holds_dicom(folder: Path) -> bool:
    """Return True if a folder, or one below it, has a DICOM file."""
    return next(_below(folder), None) is not None


def find_slices(path: Path) -> tuple[list[Slice], str]:
    """Return the slices of the only series of CT in a folder and those below it, and a note on what was left out.

    A file stands for its series in its folder. Reports, DICOMDIR, scouts and copies are left out; so are other modalities if there is
    CT. Raise InputError for several series, naming them.
    """
    folder = path if path.is_dir() else path.parent
    wanted = None if path.is_dir() or _is_directory(read_header(path)) else path
    headers: dict[Path, Any] = {}
    left: dict[str, int] = {}
    within: set[Path] = set()  # folders with slices
    for found in _below(folder):
        if found.parent != folder and folder in within:
            break  # the folder itself has slices
        header = read_header(found)
        kind = _left_out(header)
        if kind:
            left[kind] = left.get(kind, 0) + 1
            continue
        headers[found] = header
        within.add(found.parent)
        if len(headers) > MOST_FILES:
            break
    if not headers or len(headers) > MOST_FILES:
        raise InputError(str(folder), expected=f"1 .. {MOST_FILES} DICOM files of slices", found=f"{len(headers)}{_said(left)}")
    if wanted is not None and wanted not in headers:
        raise InputError(str(wanted), expected="a slice of a volume", found="a scout, a report or another file without slices")
    chosen = _chosen(folder, headers, wanted, left)
    copies = _copies(chosen)
    left.update({"copies": len(copies)} if copies else {})
    slices = [one for found in chosen if found not in copies for one in slices_of(found, headers[found])]
    return slices, _said(left)


def _below(folder: Path) -> Iterator[Path]:
    """Yield the DICOM files of a folder, then those of the folders below it."""
    count = 0
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(folders) if len(Path(root).relative_to(folder).parts) < DEEPEST else []
        for name in sorted(names):
            count += 1
            if count > MOST_ENTRIES:
                return
            if is_dicom(Path(root, name)):
                yield Path(root, name)


def _is_directory(header: Any) -> bool:
    return str(getattr(header.file_meta, "MediaStorageSOPClassUID", "")) == DIRECTORY


def _left_out(header: Any) -> str:
    """Return what a file is that is no slice of a volume; '' for a slice, and for a damaged file, which is not passed over."""
    if _is_directory(header):
        return "DICOMDIR"
    kind = header.get("SOPClassUID")
    if header.get("Rows") is None and kind and "Image Storage" not in str(getattr(kind, "name", kind)):
        return "files without pixels"
    kinds = header.get("ImageType") or ()
    return "scouts" if "LOCALIZER" in (kinds if isinstance(kinds, str) else [str(word).upper() for word in kinds]) else ""


def _chosen(folder: Path, headers: dict[Path, Any], wanted: Path | None, left: dict[str, int]) -> list[Path]:
    """Return the files of one series: of the wanted file, or the only one of CT."""
    series: dict[str, list[Path]] = {}
    for path, header in headers.items():
        series.setdefault(str(header.get("SeriesInstanceUID", "")), []).append(path)
    if wanted in headers:
        return series[str(headers[wanted].get("SeriesInstanceUID", ""))]
    found = series
    for tag, wished, kind in (("Modality", ("CT",), "files of other modalities"), ("SOPClassUID", CT_CLASSES, "captured pages")):
        fit = {name: paths for name, paths in found.items() if str(headers[paths[0]].get(tag, "")) in wished}
        if fit and len(fit) < len(found):
            left[kind] = sum(len(paths) for name, paths in found.items() if name not in fit)
        found = fit or found
    if len(found) == 1:
        return next(iter(found.values()))
    lines = [f"{paths[0].relative_to(folder)} ({len(paths)} files{_described(headers[paths[0]])})" for paths in found.values()]
    more = f" and {len(lines) - MOST_NAMED} more" if len(lines) > MOST_NAMED else ""
    fix = "Give one file of the series as the path (it stands for its series), or put each series into a folder of its own."
    raise InputError(str(folder), expected="one DICOM series", found=f"{len(found)}: {', '.join(lines[:MOST_NAMED])}{more}", fix=fix)


def _described(header: Any) -> str:
    text = str(header.get("SeriesDescription", "") or "")
    return f", {text:.40}" if text.isprintable() and text else ""


def _copies(paths: list[Path]) -> set[Path]:
    """Return the files that equal an earlier one byte for byte."""
    sizes: dict[int, list[Path]] = {}
    for path in paths:
        sizes.setdefault(path.stat().st_size, []).append(path)
    heads: dict[tuple[int, bytes], list[Path]] = {}
    for size, same in sizes.items():
        for path in same if len(same) > 1 else ():
            with path.open("rb") as file:
                heads.setdefault((size, hashlib.sha256(file.read(1 << 14)).digest()), []).append(path)
    seen: set[bytes] = set()
    copies: set[Path] = set()
    for same in heads.values():
        for path in same if len(same) > 1 else ():
            with path.open("rb") as file:
                digest = hashlib.sha256(file.read()).digest()
            copies.update({path} if digest in seen else ())
            seen.add(digest)
    return copies


def _said(left: dict[str, int]) -> str:
    return f", left out: {', '.join(f'{count} {kind}' for kind, count in left.items())}" if left else ""
