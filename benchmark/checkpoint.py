"""A method's training state on disk: enough to go on as if nothing had happened, and to ask its field for more later."""

from __future__ import annotations

import dataclasses
import json
import pickle
from pathlib import Path
from typing import Any, Protocol

from benchmark import atomic
from benchmark.ct.geometry import ConeBeamGeometry
from benchmark.errors import InputError
from benchmark.plain import dumps
from benchmark.types import Params, resolve

FORMAT = 2  # 2: with counters and process time; of format 1, only the field can be asked
READABLE = (1, 2)


class Stateful(Protocol):
    """What a checkpoint can keep: `state_dict()` holds tensors, numbers, strings, None, and lists and dicts of them."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """facts: what was being done (method, field, params, params_model, seed, geometry, scan, all JSON values);
    step, seconds, cpu_seconds, counters and random (the run's generator): how far it had come; state: the method's own."""

    facts: dict[str, Any]
    step: int
    seconds: float
    random: dict[str, Any]
    state: dict[str, Any]
    cpu_seconds: float = 0.0
    counters: dict[str, int] | None = None  # None in files of format 1
    history: dict[str, Any] = dataclasses.field(default_factory=dict)  # what the harness has kept of the run

    @property
    def geometry(self) -> ConeBeamGeometry:
        return ConeBeamGeometry.from_dict(self.facts["geometry"])

    @property
    def params(self) -> Params:
        return resolve(self.facts["params_model"])(**self.facts["params"])

    def write(self, path: Path) -> None:
        """Replace `path` in one step. Raises StorageError."""
        import torch

        content = {**vars(self), "format": FORMAT, "facts": dumps(self.facts), "random": dumps(self.random)}
        with atomic.replacing(path) as temporary:
            torch.save(content, temporary)

    @classmethod
    def read(cls, path: Path) -> Checkpoint:
        """Raises InputError for anything that is not a checkpoint of this format; runs no code from the file."""
        import torch

        expected = "a checkpoint that `python -m benchmark run` has written"
        if not path.is_file():
            raise InputError(str(path), expected=expected, found="no such file")
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, OSError, KeyError) as error:
            raise InputError(str(path), expected=expected, found=f"a file that cannot be read ({type(error).__name__})") from error
        if not isinstance(content, dict) or content.get("format") not in READABLE:
            found = content.get("format") if isinstance(content, dict) else type(content).__name__
            raise InputError(str(path), expected=f"{expected}, format {FORMAT}", found=f"format {found}")
        return cls(
            facts=json.loads(content["facts"]),
            step=content["step"],
            seconds=content["seconds"],
            random=json.loads(content["random"]),
            state=content["state"],
            cpu_seconds=content.get("cpu_seconds", 0.0),
            counters=content.get("counters"),
            history=content.get("history", {}),
        )


class Checkpoints:
    """The checkpoint of one run: where it is, how often it is written, and whether one that lies there belongs to the run."""

    def __init__(self, path: Path, facts: dict[str, Any], every: float = 60.0) -> None:
        self.path, self.facts, self.every = path, json.loads(dumps(facts)), every  # every: seconds of method time

    def find(self) -> Checkpoint | None:
        """The run's own checkpoint, None if there is none.

        One of another run, broken, or without counters (the record would say too little) is left out: it will be replaced.
        """
        try:
            found = Checkpoint.read(self.path)
        except InputError:
            return None
        return found if found.facts == self.facts and found.counters is not None else None
