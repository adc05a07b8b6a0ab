"""A results folder on a small disk of its own that fills up or becomes read-only. Runs as a program, in a mount namespace of its own:
`unshare --mount python small_disk.py FOLDER`, see test_interruptions.py.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny import Watcher, sweep

from benchmark.cli.main import main
from benchmark.errors import InputError
from benchmark.execution.options import Options
from benchmark.records.results import Results
from benchmark.storage.atomic import StorageError

HERE = Options(device="cpu", in_process=True, snapshots=2)


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Filler(Watcher):
    """Fills the disk at a moment of the sweep, but for so many bytes."""

    def __init__(self, folder: Path, moment: str, left: int = 0) -> None:
        super().__init__()
        self.folder, self.moment, self.left = folder, moment, left
        self.ballast = folder.parent / "ballast"

    def __getattr__(self, name: str) -> Any:
        def happened(*values: Any) -> None:
            if name == self.moment and not self.ballast.exists():
                fill(self.ballast, self.left)

        return happened


def fill(path: Path, left: int) -> None:
    """Write zeros until the disk is full, and give `left` bytes back."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    os.truncate(path, max(0, path.stat().st_size - left))


def attempt(folder: Path, moment: str, left: int = 0, method: Any = "grey:dark", **keys: Any) -> str:
    """What a sweep says on a disk that fills up; nothing that was there before may have changed."""
    before, filler = files(folder), Filler(folder, moment, left)
    try:
        records = sweep(folder, method, options=HERE, watcher=filler, **keys).records
        said = "; ".join(f"{record.status}: {record.reason}" for record in records)
    except (StorageError, InputError) as error:
        said = f"{type(error).__name__}: {error}"
    after = files(folder)
    filler.ballast.unlink()
    table = folder / "tables" / "runs.csv"
    assert {path: after[path] for path in before if path != table} == {path: before[path] for path in before if path != table}, moment
    assert Results(folder).problems == [] and not list(folder.glob("runs/*/*.claim")) and not list(folder.glob(".jobs/*"))
    return said


def called(*arguments: str) -> tuple[int, str]:
    """Exit code of a command and what it says."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(list(arguments))
    return code, said.getvalue()


def run(disk: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], check=True)
    folder = disk / "out"
    assert sweep(folder, "grey", options=HERE).exit_code == 0
    space = attempt(folder, "loading")
    assert "InputError" in space and "of free space for this sweep, found 0 bytes" in space, space
    for moment in ("sweep_started", "run_started", "progress"):
        said = attempt(folder, moment)
        assert "StorageError" in said and "could not be written (No space left on device)" in said and "unharmed" in said, (moment, said)
    said = attempt(folder, "progress", 60_000, {"noisy": {"how": "large"}}, size=32)  # room for a record, not for a volume
    assert said.startswith("failed: OSError: ") and "almost no space is left in" in said, said
    assert sweep(folder, "grey", "grey:dark", options=HERE).exit_code == 0
    before = files(folder)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(InputError, match="expected a folder that can be written, found Read-only file system"):
        sweep(folder, "grey", options=HERE)
    assert called("verify", str(folder), "--no-rerun")[0] == called("compare", str(folder), str(folder))[0] == 0
    for command in ("report", "reevaluate"):
        code, said = called(command, str(folder))
        assert code == 1 and "Read-only file system" in said and "Traceback" not in said, said
    assert files(folder) == before


if __name__ == "__main__":
    run(Path(sys.argv[1]))
