"""Processes that start in a moment: forked from a server that has imported torch and the rest already (two seconds for each otherwise)."""

from __future__ import annotations

import functools
import multiprocessing
import os
import subprocess
import sys
import tempfile
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PARTS = [
    "tiny",
    "kernels_loaded",
    "torch",
    "pandas",
    "nibabel",
    "skimage.metrics",
    "scipy.stats",
    "scipy.ndimage",
    "benchmark.cli.main",
    "benchmark.sweep.sweep",
]
PARTS += ["benchmark.records.frame", "benchmark.metrics.scorer", "benchmark.report.console"]


@functools.cache
def processes() -> ForkServerContext:
    """`Process`, `Barrier` and the like."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PARTS)
    return context


def benchmark(*arguments: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """`python -m benchmark ...` in a folder, as subprocess.run() would do it."""
    with tempfile.TemporaryDirectory() as said:
        command = started(*arguments, folder=folder, environment=environment, said=Path(said))
        command.join(300)
        assert command.exitcode is not None, "still running after 300 s"
        return subprocess.CompletedProcess(arguments, command.exitcode, Path(said, "output").read_text(), Path(said, "errors").read_text())


def started(*arguments: str, folder: Path, environment: dict[str, str], said: Path) -> ForkServerProcess:
    """`python -m benchmark ...` in a folder, at work; what it says goes to the files `output` and `errors`."""
    command = processes().Process(target=_command, args=(arguments, folder, environment, said / "output", said / "errors"))
    command.start()
    return command


def _command(arguments: tuple[str, ...], folder: Path, environment: dict[str, str], output: Path, errors: Path) -> None:
    from benchmark.cli.main import main

    for number, path in ((1, output), (2, errors)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[:] = [*filter(None, environment.get("PYTHONPATH", "").split(os.pathsep)), *sys.path]
    sys.argv = [str(ROOT / "benchmark" / "__main__.py"), *arguments]
    sys.exit(main())
