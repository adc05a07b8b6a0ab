"""Checkpoints: a method's training state on disk, to resume without a trace and to evaluate its field later."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import IO, Any, Protocol

from benchmark.errors import InputError, one_line
from benchmark.plugins.specs import MethodSpec, Params
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.storage import atomic
from benchmark.storage.json_values import dumps

FORMAT = 3  # 3: with a digest at the end; 2: with counters and process time; format 1 serves only to evaluate the field
READABLE = (1, 2, 3)
SEAL = b"seed checkpoint "  # before the digest, the last bytes of the file
DIGEST_BYTES = 32
KEPT, REFERENCES = "kept", "gt_projections"  # folders in a run's own: numbered checkpoints and pictures; what the pictures are beside
ZIP = b"PK\x03\x04"  # format of torch.save; for older formats, torch before 2.6 runs code even with weights_only


class Stateful(Protocol):
    """State that a checkpoint can keep: `state_dict()` holds tensors, numbers, strings, None, and lists and dicts of them."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Content of a checkpoint file.

    facts: the run (method, params, seed, geometry, scan, all JSON values); step, seconds, cpu_seconds, counters and random
    (the run's generator): progress; state: the method's own."""

    facts: dict[str, Any]
    step: int
    seconds: float
    random: dict[str, Any]
    state: dict[str, Any]
    cpu_seconds: float = 0.0
    counters: dict[str, int] | None = None  # None in files of format 1
    history: dict[str, Any] = dataclasses.field(default_factory=dict)  # the harness's own record of the run
    loop: int = 0  # index among the run's loops with a state

    @property
    def geometry(self) -> ConeBeamGeometry:
        """Geometry of the run. Raise InputError if the file does not contain it."""
        try:
            return ConeBeamGeometry.from_dict(self.facts["geometry"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError("geometry", expected="that of the scan", found=f"none that is one ({one_line(error)})") from error

    @property
    def method(self) -> MethodSpec:
        """Return the installed method that wrote the file: by name, else by its parameters' class. Raise InputError without one."""
        from benchmark.plugins.registry import registry

        name, model = self.facts.get("method"), self.facts.get("params_model")
        if name is None and model is not None:
            models = {f"{spec.params.__module__}:{spec.params.__qualname__}": spec.name for spec in registry().methods.values()}
            models |= {path.removeprefix("benchmark."): method for path, method in models.items()}  # where ours lay before version 0.2
            name = models.get(str(model), model)
        if name is None:
            fix = "Give a checkpoint that a run has written."
            raise InputError("method", expected="the name of the method that wrote the file", found="none", fix=fix)
        return registry().method(str(name))

    @property
    def params(self) -> Params:
        """Return the run's parameters. Raise InputError for parameters that the installed method does not accept."""
        method = self.method
        try:
            return method.params(**self.facts["params"])
        except (KeyError, TypeError, ValueError) as error:
            fix = f"Run {method.name} again, or install the version that wrote the file."
            raise InputError("params", expected=f"parameters of {method.name}", found=one_line(error), fix=fix) from error

    def write(self, path: Path) -> None:
        """Replace `path` atomically. Raise StorageError on failure."""
        import torch

        content = {**vars(self), "format": FORMAT, "facts": dumps(self.facts), "random": dumps(self.random)}
        with atomic.replacing(path) as temporary:
            torch.save(content, temporary)
            with temporary.open("r+b") as file:
                digest = _digest(file, temporary.stat().st_size)
                file.seek(0, os.SEEK_END)
                file.write(SEAL + digest)

    @classmethod
    def read(cls, path: Path) -> Checkpoint:
        """Read a checkpoint without running code from the file. Raise InputError for a damaged file and for any other content."""
        import torch

        expected = "a checkpoint that `python -m benchmark run` has written"
        if not path.is_file():
            raise InputError(str(path), expected=expected, found="no such file")
        try:
            with path.open("rb") as file:
                if file.read(len(ZIP)) != ZIP:
                    raise ValueError("not a file of torch.save")
                sealed = _checked(file)
                file.seek(0)
                content = torch.load(file, map_location="cpu", weights_only=True)
            if isinstance(content, dict) and content.get("format") == FORMAT and not sealed:
                raise ValueError("cut off")
        except Exception as error:  # a damaged archive raises anything
            raise InputError(str(path), expected=expected, found=f"a file that cannot be read ({one_line(error)})") from error
        if not isinstance(content, dict) or content.get("format") not in READABLE:
            found = content.get("format") if isinstance(content, dict) else type(content).__name__
            raise InputError(str(path), expected=f"{expected}, format {FORMAT}", found=f"format {found}")
        try:
            return cls(
                facts=dict(json.loads(content["facts"])),
                step=content["step"],
                seconds=content["seconds"],
                random=json.loads(content["random"]),
                state=content["state"],
                cpu_seconds=content.get("cpu_seconds", 0.0),
                counters=content.get("counters"),
                history=content.get("history", {}),
                loop=content.get("loop", 0),  # absent in older files
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(str(path), expected=expected, found=f"one that is not complete ({one_line(error)})") from error


class Checkpoints:
    """Checkpoint of one run: its path, its interval, and a check that an existing file belongs to the run."""

    def __init__(self, path: Path, facts: dict[str, Any], every: float = 60.0) -> None:
        self.path, self.facts, self.every = path, json.loads(dumps(facts)), every  # every: seconds of method time
        self.damage = ""  # of the file that was found

    def numbered(self, step: int) -> Path:
        """Return the path of the checkpoint that is kept of a step; its folder exists."""
        folder = self.path.with_name(KEPT)
        folder.mkdir(exist_ok=True)
        return folder / f"checkpoint-{step:06d}.pt"

    def find(self) -> Checkpoint | None:
        """Return the run's own checkpoint, or None.

        A checkpoint that is damaged (`damage` then says how), belongs to another run or to other code of the method, or has no counters
        (needed for the record) is ignored and later replaced.
        """
        try:
            found = Checkpoint.read(self.path)
        except InputError as error:
            self.damage = str(error) if self.path.exists() else ""
            return None
        same_code = not (found.facts.get("code") and self.facts.get("code")) or found.facts["code"] == self.facts["code"]
        same_run = same_code and _identity(found.facts) == _identity(self.facts)
        return found if same_run and found.counters is not None else None


def _digest(file: IO[bytes], size: int) -> bytes:
    """Return the SHA-256 of the first `size` bytes of a file."""
    file.seek(0)
    found = hashlib.sha256()
    while size > 0 and (block := file.read(min(size, 1 << 20))):
        found.update(block)
        size -= len(block)
    return found.digest()


def _checked(file: IO[bytes]) -> bool:
    """Return True if a file ends in its digest. Raise ValueError for another one, or for a wrong checksum in a file without digest."""
    before = file.seek(0, os.SEEK_END) - len(SEAL) - DIGEST_BYTES
    file.seek(max(0, before))
    tail = file.read()
    if tail.startswith(SEAL):
        if tail[len(SEAL) :] != _digest(file, before):
            raise ValueError("its content is not what was written")
        return True
    file.seek(0)
    damaged = zipfile.ZipFile(file).testzip()  # torch compares no checksums
    if damaged is not None:
        raise ValueError(f"damaged: {damaged}")
    return False


def _identity(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts without the code, which older files lack, and its places, which they name: a module may move, its method stays."""
    return {name: value for name, value in facts.items() if name not in ("params_model", "field", "code")}
