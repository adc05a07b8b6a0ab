"""Recognition of the scanner that left its files in a folder."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path

from benchmark.errors import InputError, MissingDependency, one_line, unknown_name
from benchmark.machine.environment import needs
from benchmark.plugins.isolation import call
from benchmark.plugins.specs import ScanFormatSpec
from benchmark.scan_folder.draft import ScanDraft


@dataclasses.dataclass(frozen=True)
class Recognised:
    """File of a scanner, its format, and what the format's reader found in it."""

    format: str
    file: Path
    draft: ScanDraft


def recognised(path: Path, formats: Mapping[str, ScanFormatSpec], chosen: str | None = None) -> Recognised | None:
    """Read the file that a scanner left in a folder, or that `path` itself is; None if no format recognises any.

    `chosen` names the format. Raise InputError if several formats or several files are possible, and what the reader raises.
    """
    if chosen is not None and chosen not in formats:
        raise unknown_name("format", chosen, formats)
    folder = path if path.is_dir() else path.parent
    specs = [formats[chosen]] if chosen else list(formats.values())
    found = [(spec, file) for spec in specs for file in _files(spec, folder) if path.is_dir() or file.resolve() == path.resolve()]
    if not found:
        if chosen or not path.is_dir():
            wanted = f"files of the format {chosen}" if chosen else f"a file of one of the formats {', '.join(formats)}"
            raise InputError(str(path), expected=wanted, found="none")
        return None
    names = sorted({spec.name for spec, _ in found})
    if len(names) > 1:
        seen = "; ".join(f"{spec.name} ({file.name})" for spec, file in found)
        raise InputError(str(path), expected="files of one scanner", found=seen, fix=f"Choose one: --format {names[0]}")
    if len(found) > 1:
        seen = ", ".join(file.name for _, file in found)
        fix = f"Name one: python -m benchmark new-scan {shlex.quote(str(found[0][1]))}"
        raise InputError(str(path), expected=f"one file of the format {names[0]}", found=seen, fix=fix)
    spec, file = found[0]
    missing = needs(spec.requires)
    if missing:
        raise MissingDependency(f"{file.name}: {missing}")
    try:
        draft = call(spec.read, file)
    except (InputError, MissingDependency):
        raise
    except Exception as error:  # of a plug-in
        raise InputError(str(file), expected=f"a file of the format {spec.name}", found=one_line(error)) from error
    if not isinstance(draft, ScanDraft):
        raise InputError(f"scan format {spec.name}", expected="a ScanDraft from read()", found=type(draft).__name__)
    return Recognised(spec.name, file, draft)


def _files(spec: ScanFormatSpec, folder: Path) -> list[Path]:
    try:
        return list(call(spec.recognises, folder))
    except (InputError, OSError):
        return []  # a file that only resembles one of this format
    except Exception as error:  # of a plug-in
        raise InputError(f"scan format {spec.name}", expected="recognises() to return files", found=one_line(error)) from error
