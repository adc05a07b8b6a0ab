"""Small packages made on the spot, for tests of the download: pip takes them from a folder, no network involved."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

from benchmark.storage.download import Package

# A source distribution that builds itself: pip asks for its metadata even with --no-deps.
BACKEND = """
import os
def prepare_metadata_for_build_wheel(directory, settings=None):
    folder = os.path.join(directory, "{name}-{version}.dist-info")
    os.mkdir(folder)
    with open(os.path.join(folder, "METADATA"), "w") as file:
        file.write("Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    return os.path.basename(folder)
def build_wheel(*args, **kwargs):
    raise SystemExit("never built")
"""
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


def make_wheel(folder: Path, name: str, version: str, files: dict[str, bytes]) -> Package:
    """A wheel with these files, put into the folder."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as content:
        for member, data in files.items():
            content.writestr(member, data)
        content.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        content.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        content.writestr(f"{info}/RECORD", "")
    return Package(name, version, "wheel", hashlib.sha256(path.read_bytes()).hexdigest())


def make_sdist(folder: Path, name: str, version: str, files: dict[str, bytes]) -> Package:
    """A source distribution with these files, put into the folder."""
    path = folder / f"{name}-{version}.tar.gz"
    own = {
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        "pyproject.toml": PYPROJECT.encode(),
        "backend.py": BACKEND.format(name=name, version=version).encode(),
    }
    with tarfile.open(path, "w:gz") as content:
        for member, data in {**own, **files}.items():
            entry = tarfile.TarInfo(f"{name}-{version}/{member}")
            entry.size = len(data)
            content.addfile(entry, io.BytesIO(data))
    return Package(name, version, "sdist", hashlib.sha256(path.read_bytes()).hexdigest())
