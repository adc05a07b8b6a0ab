"""Choice of finished runs that a sweep does again, and its memory: an interrupted choice goes on where it stopped.

<folder>/.rerun-<hash of the choice>.json     the attempts that were there when the choice was made, until all are done again
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.errors import unknown_name
from benchmark.plugins.identity import changed, identity
from benchmark.plugins.registry import Registry
from benchmark.records.record import RunRecord, RunSpec
from benchmark.records.results import latest_record
from benchmark.storage import atomic
from benchmark.storage.checked_json import UNREADABLE, read_checked, with_digest

WORDS = ("changed", "failed", "all")


@dataclasses.dataclass(frozen=True)
class Rerun:
    """Finished runs to do again: those whose code has changed, all, or those of some methods ('naf' or 'naf:fast').

    Failed and skipped runs are always tried again; the word 'failed' chooses no others.
    """

    words: tuple[str, ...] = ()

    @classmethod
    def of(cls, choice: str | Iterable[str] | None, specs: Sequence[RunSpec]) -> Rerun:
        """Read a choice: words and names, as a list or with commas. Raise InputError for a name that no run of the plan has."""
        parts = choice.split(",") if isinstance(choice, str) else list(choice or ())
        words = sorted({part.strip() for part in parts if part.strip()})
        known = {*WORDS, *(name for spec in specs for name in _names(spec))}
        for word in words if choice is not None else ():
            if word not in known:
                raise unknown_name("--rerun", word, known)
        if choice is not None and not words:
            raise unknown_name("--rerun", "", known)
        return cls(tuple(words))

    @property
    def lasting(self) -> bool:
        """Return True if the choice holds after a run was done again, so that only a memory tells which are done."""
        return any(word not in ("changed", "failed") for word in self.words)

    def wants(self, spec: RunSpec, *, code_changed: bool) -> bool:
        """Return True if this finished run is chosen."""
        return "all" in self.words or (code_changed and "changed" in self.words) or any(name in self.words for name in _names(spec))

    def file(self, folder: Path) -> Path:
        """Return the path of the choice's memory in a results folder."""
        return folder / f".rerun-{hashlib.sha256(','.join(self.words).encode()).hexdigest()[:8]}.json"


NOTHING = Rerun()


class Code:
    """Identities of the installed methods' code, each read once."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._known: dict[str, dict[str, Any]] = {}

    def changed_since(self, record: RunRecord) -> bool:
        """Return True if the method's code is not that of the record; False if one of the two is unknown."""
        name = record.spec.method
        method = self.registry.methods.get(name)
        if method is None or not record.plugin.get("digest"):
            return False
        if name not in self._known:
            self._known[name] = identity(method)
        return changed(record.plugin, self._known[name])


class Again:
    """The chosen runs of one sweep, each with the attempt that it replaces."""

    def __init__(self, folder: Path, rerun: Rerun, code: Code) -> None:
        self.folder, self.rerun, self.code = folder, rerun, code
        self.since = ""  # time at which an interrupted choice was made
        self.attempts: dict[str, int] = {}  # run id -> number of the attempt to replace
        self._remembered = self._recall() if rerun.lasting else {}

    def pending(self, run_id: str) -> bool:
        """Return True if a finished run is chosen and has not been done again; its record is looked at as it is on disk now."""
        if not self.rerun.words:
            return False
        number, record = latest_record(self.folder, run_id)
        if record is None or record.status != "ok":
            return False
        before = self._remembered.get(run_id, number)
        wanted = self.rerun.wants(record.spec, code_changed=self.code.changed_since(record))
        if not wanted or self.replaced(before, number, record):
            return False
        self.attempts[run_id] = before
        return True

    @staticmethod
    def replaced(before: int, number: int, record: RunRecord) -> bool:
        """Return True if the latest attempt is a later one; a later look at the same volume (`reevaluate`) is none."""
        return number > before and not record.reevaluated

    def remember(self) -> None:
        """Write down what is still to do, if only that tells. Raise StorageError."""
        if self.rerun.lasting and self.attempts:
            self.since = self.since or datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
            facts = {"choice": list(self.rerun.words), "since": self.since, "attempts": {**self._remembered, **self.attempts}}
            atomic.replace(self.rerun.file(self.folder), with_digest(facts).encode())

    def forget(self) -> None:
        """Remove the memory: everything chosen is done."""
        if self.rerun.lasting:
            self.rerun.file(self.folder).unlink(missing_ok=True)

    def _recall(self) -> dict[str, int]:
        """Return the attempts of an interrupted choice; none if there is no readable memory."""
        try:
            values = read_checked(self.rerun.file(self.folder))
            attempts: Mapping[str, Any] = values["attempts"]
            self.since = str(values["since"])
            return {str(run_id): int(number) for run_id, number in attempts.items()}
        except UNREADABLE:
            return {}


def _names(spec: RunSpec) -> tuple[str, str]:
    return spec.method, f"{spec.method}:{spec.preset}"
