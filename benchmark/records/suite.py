"""Purpose of a results folder's cases: which of them methods were set on, and which method is the baseline of comparisons."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from benchmark.errors import InputError, one_line
from benchmark.storage import atomic
from benchmark.storage.checked_json import read_checked, with_digest

FILE = "suite.json"


class Suite(BaseModel):
    """The declaration of a plan that holds for all its runs, stored as suite.json in the results folder.

    `tuning` names the datasets or cases that methods were set on: they never count in a ranking. `baseline` names the method that
    others are compared with; '' = none was declared.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str = ""
    tuning: tuple[str, ...] = ()
    baseline: str = ""

    def joined(self, later: Suite) -> Suite:
        """Return this declaration with a later one: a case that either names counts as tuned on."""
        tuning = tuple(dict.fromkeys((*self.tuning, *later.tuning)))
        return Suite(name=later.name or self.name, tuning=tuning, baseline=later.baseline or self.baseline)

    def tuned_on(self, dataset: str, case: str) -> bool:
        """Return True for a dataset or case that methods were set on."""
        return dataset in self.tuning or case in self.tuning


def read_suite(folder: Path) -> Suite:
    """Return the declaration of a results folder; an empty one if there is none. Raise InputError for a damaged file."""
    path = folder / FILE
    try:
        return Suite.model_validate(read_checked(path)) if path.exists() else Suite()
    except (OSError, ValueError) as error:
        raise InputError(
            str(path),
            expected="what a sweep wrote",
            found=f"a file that cannot be read ({one_line(error)})",
            fix="Remove it and repeat the `run` that wrote it: no run is made again.",
        ) from error


def write_suite(folder: Path, suite: Suite) -> None:
    """Add a plan's declaration to that of a results folder. Raise InputError for a damaged file, StorageError if writing fails."""
    before = read_suite(folder)
    after = before.joined(suite)
    if after != before:
        atomic.replace_text(folder / FILE, with_digest(after.model_dump(mode="json")))
