"""Cache of cases in memory, since many runs share one."""

from __future__ import annotations

from collections import OrderedDict

from benchmark.plan.sources import load_case
from benchmark.plugins.registry import Registry
from benchmark.records.record import RunSpec
from benchmark.scan.case import Case

CAPACITY = 1 << 30  # [bytes] of cases kept at once


class CaseCache:
    """Cache that loads cases by run spec; above CAPACITY, the least recently used ones are dropped."""

    def __init__(self, registry: Registry, capacity: int = CAPACITY) -> None:
        self.registry, self.capacity = registry, capacity
        self._cases: OrderedDict[str, Case] = OrderedDict()

    def get(self, spec: RunSpec) -> Case:
        """Return the case of a run. Raise MissingDependency if a module of the dataset is missing, InputError for
        bad parameters or data, and any error of the dataset.
        """
        key = spec.case_key
        if key not in self._cases:
            self._cases[key] = load_case(self.registry.dataset(spec.dataset), spec.dataset_params)
        self._cases.move_to_end(key)
        while len(self._cases) > 1 and sum(map(size_in_bytes, self._cases.values())) > self.capacity:
            self._cases.popitem(last=False)
        return self._cases[key]


def size_in_bytes(case: Case) -> int:
    """Return the bytes of a case's arrays."""
    scans = [case.scan, *([case.heldout] if case.heldout else [])]
    arrays = [case.truth, *(scan.projections for scan in scans), *(array for scan in scans for array in scan.beside.values())]
    return sum(array.nbytes for array in arrays if array is not None)
