"""A process that reads damaged files, in children that may die: `python fuzz_readers.py FOLDER BEGIN END`; a line for each file that was
no plain error, and at the end the count and the most memory of a child [MiB].
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import fabio
import nibabel
import numpy as np
import olefile
import pydicom.pixels
import SimpleITK
import tifffile
import torch
from fuzz import damaged

from benchmark.errors import InputError, MissingDependency
from benchmark.files.door import open_stack, read_rows
from benchmark.files.pickles import read_plain_pickle
from benchmark.files.swc import read_swc
from benchmark.files.volume import read_volume_file
from benchmark.runtime.checkpoint import Checkpoint
from benchmark.scan_folder.description import read_description
from benchmark.storage.yaml_file import read_yaml

IMPORTED = (fabio, nibabel, olefile, pydicom, SimpleITK, tifffile, torch)  # before a child is forked
CHUNK, SECONDS, MEMORY = 200, 30, 2 << 30


def read(path: Path) -> None:
    """Read a file as the program would, to its last number."""
    kind = path.suffix
    if kind == ".pickle":
        read_plain_pickle(path)
    elif kind == ".pt":
        Checkpoint.read(path)
    elif kind in (".csv", ".txt"):
        read_rows(path)
    elif kind == ".swc":
        read_swc(path)
    elif path.name == "scan.yaml":
        read_description(path.parent)
    elif kind == ".yaml":
        read_yaml(path)
    elif kind == ".raw":
        read_volume_file(path.with_suffix(".mhd"))
    elif kind in (".dcm", ".nii", ".gz", ".nrrd", ".mha", ".mhd", ".nhdr"):
        read_volume_file(path)
    else:
        open_stack(path).load()


def attempts(folder: Path, begin: int, end: int) -> Iterator[tuple[int, str, bytes]]:
    """Number, name and content of each damaged file."""
    originals = [(path.name, path.read_bytes()) for path in sorted(folder.iterdir()) if path.is_file()]
    for number in range(begin, end):
        rng = random.Random(number)
        name, content = originals[number % len(originals)]
        yield number, name, damaged(content, rng)


def child(folder: Path, scratch: Path, begin: int, end: int, report: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for descriptor in (1, 2):  # libraries write there
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
    for number, name, content in attempts(folder, begin, end):
        os.write(report, f"{number} begun\n".encode())
        path = scratch / name
        path.write_bytes(content)
        signal.alarm(SECONDS)
        try:
            read(path)
        except (InputError, MissingDependency):
            pass
        except BaseException as error:
            os.write(report, f"{number} {name} {type(error).__name__}: {' '.join(str(error).split())[:150]}\n".encode("utf-8", "replace"))
        signal.alarm(0)
        path.write_bytes((folder / name).read_bytes())  # a header is read with data that are whole, and data with such a header
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    os.write(report, f"{end} memory {taken}\n".encode())


def main() -> None:
    folder, begin, end = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    scratch = folder.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    for path in folder.iterdir():  # the data of detached headers
        if path.is_file():
            (scratch / path.name).write_bytes(path.read_bytes())
    most, next_one, output = 0, begin, sys.stdout
    while next_one < end:
        stop = min(end, next_one + CHUNK)
        readable, writable = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(readable)
            with contextlib.suppress(BaseException):
                child(folder, scratch, next_one, stop, writable)
            os._exit(0)
        os.close(writable)
        last = next_one
        with open(readable, encoding="utf-8") as lines:
            for line in lines:
                number, _, said = line.rstrip().partition(" ")
                last = int(number)
                if said.startswith("memory"):
                    most = max(most, int(said.split()[1]))
                elif said != "begun":
                    output.write(f"{line.rstrip()}\n")
        status = os.waitpid(pid, 0)[1]
        if status:
            output.write(f"{last} died of signal {status & 127}\n")
            stop = last + 1
        next_one = stop
        print(f"up to {next_one}, at most {most} MiB", file=sys.stderr, flush=True)
        output.flush()
    output.write(f"{end - begin} read, at most {most} MiB\n")


if __name__ == "__main__":
    np.seterr(all="ignore")
    main()
