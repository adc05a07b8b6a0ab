"""Weights files of pretrained methods: content, training scans, and cases that must not be scored with them.

A run with weights is not comparable with a run that knows only its scan. Its identity holds the digest of the file, its
record the training scans, and tables neither rank it nor set it in bold.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmark.errors import InputError
from benchmark.plugins.specs import MethodSpec
from benchmark.records.record import RunSpec
from benchmark.runtime.checkpoint import Checkpoint
from benchmark.scan.case import Case


@dataclasses.dataclass(frozen=True)
class Weights:
    """Content of a weights file and its digest.

    fitted_to: for each training scan its `scan` (digest), `dataset`, `case` and `source` (see `source_of`).
    """

    path: Path
    digest: str
    method: str
    revision: int
    seed: int
    steps: int
    fitted_to: tuple[dict[str, str], ...]

    @classmethod
    def read(cls, path: Path) -> Weights:
        """Read a weights file. Raise InputError for anything but a file written by `fit`."""
        expected = "weights that `python -m benchmark fit` has written"
        try:
            found = Checkpoint.read(path)
        except InputError as error:
            raise InputError(str(path), expected=expected, found=error.found) from error
        if "fitted_to" not in found.facts or found.facts.get("unfinished"):
            raise InputError(str(path), expected=expected, found="the checkpoint of a fit or a run under way")
        facts = found.facts
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        return cls(path, digest, facts["method"], facts["revision"], facts["seed"], found.step, tuple(facts["fitted_to"]))

    def check(self, spec: MethodSpec) -> None:
        """Raise InputError unless the weights belong to this method in its present revision."""
        if (self.method, self.revision) != (spec.name, spec.revision):
            raise InputError(
                f"{spec.name}.weights",
                expected=f"weights of {spec.name}, revision {spec.revision}",
                found=f"those of {self.method}, revision {self.revision}, in {self.path}",
                fix=f"Fit again: python -m benchmark fit {spec.name} --scans DIR --output FILE.",
            )

    def facts(self) -> dict[str, Any]:
        """Return the weights' facts for the record."""
        return {"digest": self.digest, "steps": self.steps, "seed": self.seed, "scans": list(self.fitted_to)}

    def refusal(self, spec: RunSpec, case: Case) -> str:
        """Return the reason not to score a case with these weights (fitted to it, or to other views of its object), or ''."""
        source = source_of(spec.dataset, spec.dataset_params, case)
        for known in self.fitted_to:
            if known["scan"] == case.scan.digest:
                return f"its weights were fitted to this very scan (digest {known['scan']})"
            if known["source"] == source:
                return f"its weights were fitted to the same thing ({known['source']})"
        return ""


def source_of(dataset: str, params: Mapping[str, Any], case: Case) -> str:
    """Return the object of a scan, independent of views, size and noise.

    That is the file of origin (and the part of the file, if it shows several objects), or the dataset's own name.
    """
    if not params.get("path"):
        return f"{dataset}: {case.name}"
    path = str(Path(params["path"]).resolve())
    return f"{path}, {case.part}" if case.part else path
