"""The case: a scan, and the truth and held-out views that only the harness sees."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmark.errors import InputError
from benchmark.scan.scan import MEASURED, Scan
from benchmark.storage import mapped


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """One problem of a dataset: the scan that methods see, and the truth and held-out views that only the harness sees.

    `truth` is float32 [z, y, x] [1/mm] on the scan's grid. Raise InputError for a truth of another shape or not finite, for held-out
    views of another kind, and for views in both the training and the held-out set.
    """

    name: str
    scan: Scan
    truth: np.ndarray | None = None
    heldout: Scan | None = None
    truth_note: str = ""  # where the truth comes from, e.g. "FDK of all 240 views"
    training_views: tuple[int, ...] = ()  # indices into the full acquisition
    heldout_views: tuple[int, ...] = ()
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # input of some metrics (JSON values), see MetricSpec.needs
    part: str = ""  # the part of the dataset's path that it shows, if there are several, e.g. 'frame 5'
    notes: tuple[str, ...] = ()  # sentences for the user about these data; the sweep prints them, the page shows them

    def __post_init__(self) -> None:
        if self.truth is not None:
            truth, shape = np.asarray(self.truth), self.scan.geometry.volume_shape
            fits = truth.shape == shape
            truth = mapped.contiguous(truth) if fits else truth
            if not fits or mapped.not_finite(truth):
                found = "NaN or Inf" if fits else f"shape {truth.shape}"
                raise InputError(f"case '{self.name}': truth", expected=f"a finite volume [z, y, x] = {shape}", found=found)
            object.__setattr__(self, "truth", truth)
        if self.heldout is not None and self.heldout.composite != self.scan.composite:
            kinds = MEASURED[self.scan.composite], MEASURED[self.heldout.composite]
            raise InputError(f"case '{self.name}': heldout", expected=f"{kinds[0]}, as in the scan", found=kinds[1])
        if set(self.training_views) & set(self.heldout_views):
            raise InputError(f"case '{self.name}': views", expected="held-out views disjoint from the training views", found="an overlap")

    @property
    def digest(self) -> str:
        """Hash of both scans, of the truth and of `facts['published']`; names, all notes, view indices and other facts do not count."""
        content = hashlib.sha256(self.scan.digest.encode())
        if self.truth is not None:
            mapped.update(content, self.truth)
        content.update(b"" if self.heldout is None else self.heldout.digest.encode())
        if "published" in self.facts:  # else a stored case of an earlier sweep without this fact would be used instead
            content.update(json.dumps(dict(self.facts["published"]), sort_keys=True).encode())
        return content.hexdigest()[:16]


def file_name(case_name: str) -> str:
    """Return a case's name, which may come from a file, in a form safe for file names; ordinary names are unchanged."""
    return re.sub(r'[/\\:*?"<>|\x00-\x1f\x7f]+', "-", case_name)[:100].strip(" .-") or "case"
