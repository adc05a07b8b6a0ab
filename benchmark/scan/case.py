"""The case: a scan, and the truth and held-out views that only the harness sees."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import InputError
from benchmark.scan.geometry import ConeBeamGeometry
from benchmark.scan.scan import MEASURED, Scan
from benchmark.storage import mapped

ENDINGS = re.compile(r"(\.ome)?\.[a-z]+[0-9]?(\.gz|\.bz2)?$", re.IGNORECASE)  # of files: .nii.gz, .npy, not .05 and not .12um


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
    def outline(self) -> str:
        """Describe the data in one line: '50 views of 512 x 512, volume 256 x 256 x 256 (0.5 mm), 24 views held out'."""
        return outline(self.scan.geometry, self.heldout.geometry.views if self.heldout else 0, self.scan.length_unit)

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


def outline(geometry: ConeBeamGeometry, heldout: int, length_unit: str, averaged: int = 1) -> str:
    """Describe a scan in one line: views and pixels (columns x rows), voxels and their edges (x, y, z), and the number of held-out views.

    Its pixels are means of `averaged` x `averaged` measured ones.
    """
    rows, columns = geometry.detector_shape
    pixels = f"{columns * averaged} x {rows * averaged}" + (f" (averaged to {columns} x {rows})" if averaged > 1 else "")
    edges = [f"{edge:.4g}" for edge in geometry.volume_spacing[::-1]]
    edges = edges[:1] if len(set(edges)) == 1 else edges
    voxels = f"{' x '.join(map(str, geometry.volume_shape[::-1]))} ({' x '.join(edges)} {length_unit})"
    views, others = (f"{count} view{'s' * (count != 1)}" for count in (geometry.views, heldout))
    return f"{views} of {pixels}, volume {voxels}, {others if heldout else 'no views'} held out"


def case_name(path: Path) -> str:
    """Return the name of the case in a file or folder: its name without its ending, 'ct' for ct.nii.gz; 'ct.1' and dates stay."""
    named = path if path.name.strip(".") else path.resolve()
    return ENDINGS.sub("", named.name) or named.name


def file_name(case_name: str) -> str:
    """Return a case's name, which may come from a file, in a form safe for file names; ordinary names are unchanged."""
    return re.sub(r'[/\\:*?"<>|\x00-\x1f\x7f]+', "-", case_name)[:100].strip(" .-") or "case"
