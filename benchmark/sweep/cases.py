"""Cases of a plan: loaded once before any run, so that bad data cost no hours."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmark.errors import InputError, MissingDependency
from benchmark.plugins.registry import Registry
from benchmark.records.record import RunSpec, Status
from benchmark.scan.case import Case
from benchmark.sweep.case_cache import CaseCache, size_in_bytes
from benchmark.sweep.display import Display

RECORD_BYTES = 100_000  # of one run's record, approximately


class Cases:
    """Cases by run spec, and the reasons for those that could not be loaded."""

    def __init__(self, registry: Registry) -> None:
        self._cache = CaseCache(registry)
        self._digests: dict[str, str] = {}  # by case key
        self._unavailable: dict[str, tuple[Status, str]] = {}  # by case key: status and reason of its runs

    def load_all(self, runs: Sequence[RunSpec], display: Display) -> None:
        """Load every case once. Raise one InputError for all bad data; any other error fails only the runs on that case."""
        first = {spec.case_key: spec for spec in reversed(runs)}
        keys = list(dict.fromkeys(spec.case_key for spec in runs))
        errors: list[str] = []
        notes: dict[str, None] = {}
        for index, key in enumerate(keys):
            spec = first[key]
            display.loading(spec, index, len(keys))
            try:
                case = self._cache.get(spec)
                self._digests[key] = case.digest
                notes |= {f"{case.name}: {note}": None for note in case.notes}
                display.loaded(spec, case)
            except InputError as error:
                errors.append(f"dataset {spec.dataset}: {error}")
            except MissingDependency as error:
                self._unavailable[key] = ("skipped", str(error))
            except Exception as error:  # a dataset's own code
                self._unavailable[key] = ("failed", f"loading {spec.dataset} failed: {type(error).__name__}: {error}")
        for note in notes:
            display.note(note)
        if errors:
            raise InputError("\n  ".join(dict.fromkeys(errors)))

    def with_digest(self, spec: RunSpec) -> RunSpec:
        """Return the run with the digest of its data, which is part of its identity."""
        return spec.model_copy(update={"data_digest": self._digests.get(spec.case_key, "")})

    def unavailable(self, spec: RunSpec) -> tuple[Status, str] | None:
        """Return status and reason of a run whose case could not be loaded; None for every other run."""
        return self._unavailable.get(spec.case_key)

    def get(self, spec: RunSpec) -> Case:
        """Return the case of a run. Raise any error of its dataset."""
        return self._cache.get(spec)

    def bytes_needed(self, todo: Sequence[RunSpec], lanes: int, snapshots: int) -> int:
        """Return the bytes that runs may take on disk: volumes, cases, and the scratch files of one run per lane."""
        total, scratch = 0, 0
        sizes: dict[str, tuple[int, int]] = {}  # by case key: of the case and of one volume
        for spec in todo:
            key = spec.case_key
            if key in self._unavailable:
                continue
            if key not in sizes:
                case = self.get(spec)
                sizes[key] = (size_in_bytes(case), 4 * math.prod(case.scan.geometry.volume_shape))
            case_bytes, volume_bytes = sizes[key]
            total += volume_bytes + RECORD_BYTES
            scratch = max(scratch, case_bytes + (snapshots + 2) * volume_bytes)
        return total + scratch * lanes + sum(case_bytes for case_bytes, _ in sizes.values())
