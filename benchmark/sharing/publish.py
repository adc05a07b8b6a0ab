"""Publish results folders as a static site."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmark.errors import InputError
from benchmark.plugins.registry import Registry
from benchmark.records.results import Results
from benchmark.sharing.merge import merge
from benchmark.sharing.site import Site
from benchmark.storage import atomic, litter
from benchmark.storage.checked_json import UNREADABLE

MANIFEST = "site.json"  # names the files that this program wrote


@dataclasses.dataclass(frozen=True)
class Published:
    """Outcome of `publish`: the files written, differences between the folders, and what was left out."""

    paths: list[Path]
    conflicts: list[str]
    problems: list[str]


def publish(sources: Sequence[Path], output: Path, registry: Registry, title: str = "") -> Published:
    """Write the site of one or many results folders into `output`, which may hold an earlier site.

    The folders are merged and checked first, in a temporary folder (hard links, if it is on the same disk). Raise InputError for a source
    that is no results folder and for an output that holds other files, StorageError if writing fails.
    """
    sources = [source.resolve() for source in sources]  # a message then names them by paths that nothing else is written like
    earlier = _earlier(output)
    with _scratch(_place(sources, output)) as scratch:
        folder = scratch / "results"
        merged = merge(sources, folder)
        conflicts = [_by_name(text, sources) for text in merged.conflicts]
        problems = [_by_name(text, sources) for text in merged.problems]
        names = " + ".join(source.name for source in sources)
        site = Site(Results(folder), registry, title or names, [*conflicts, *problems])
        files = site.files()
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise atomic.StorageError(output, error) from error
    manifest = {"files": sorted({*earlier, *files})}
    atomic.replace_text(output / MANIFEST, json.dumps(manifest, indent=1))  # first: a killed publication can be repeated
    for name, text in sorted(files.items(), key=lambda item: item[0] == "index.html"):  # the index last: its links lead somewhere
        atomic.replace_text(output / name, text)
    for name in set(earlier) - set(files):
        (output / name).unlink(missing_ok=True)
    atomic.replace_text(output / MANIFEST, json.dumps({"files": sorted(files)}, indent=1))
    return Published([output / name for name in files], conflicts, site.notes[len(conflicts) :])


def _earlier(output: Path) -> list[str]:
    """Return the files of an earlier site. Raise InputError for a folder of something else."""
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return []
    try:
        names = json.loads((output / MANIFEST).read_bytes())["files"]
        return [str(name) for name in names if Path(str(name)).name == name and str(name).endswith((".html", ".csv"))]
    except UNREADABLE as error:
        fix = "Choose another --output."
        raise InputError(
            "--output", expected="a new folder, or an earlier site", found=f"{output}, which holds other files", fix=fix
        ) from error


def _place(sources: Sequence[Path], output: Path) -> Path:
    """Return the folder of the output, whose disk is likely that of the sources; that of the system if it is not there or lies in one."""
    place = output.resolve().parent
    inside = any(source in (place, *place.parents) for source in sources)
    return place if place.is_dir() and not inside else Path(tempfile.gettempdir())


@contextlib.contextmanager
def _scratch(place: Path) -> Iterator[Path]:
    """Yield a new folder in another one, removed in the end; those of killed publications are removed, too. Raise StorageError."""
    for path in place.glob(".seed-*-publish"):
        if litter.is_litter(path):
            litter.remove(path)
    folder = litter.temporary(place / "publish")
    try:
        folder.mkdir()
    except OSError as error:
        raise atomic.StorageError(folder, error) from error
    try:
        yield folder
    finally:
        litter.remove(folder)


def _by_name(text: str, sources: Sequence[Path]) -> str:
    """Return a message with the names of folders instead of their places on this machine."""
    for source in sources:
        text = text.replace(str(source), source.name)
    return text
