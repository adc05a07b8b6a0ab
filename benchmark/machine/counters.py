"""Counters of the work of a run, kept where the kernels are called, for every method alike.

ray_samples: points at which a field was evaluated along rays; forward_views and adjoint_views: views of A and of its transpose (or of
another backprojection) applied to a volume. One addition per kernel call: no measurable cost.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping

_counts: Counter[str] = Counter()


def count(name: str, amount: int) -> None:
    """Add to a counter of this process."""
    _counts[name] += amount


def reset() -> None:
    """Set all counters to zero at the start of a run."""
    _counts.clear()


def resume(counts: Mapping[str, int]) -> None:
    """Continue from the counts of an earlier process; the counts of this process so far are dropped."""
    _counts.clear()
    _counts.update(counts)


def totals() -> dict[str, int]:
    """Return all counters since the last reset."""
    return {name: int(amount) for name, amount in sorted(_counts.items())}


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """Count nothing inside the block: it is the harness's own work."""
    before = _counts.copy()
    try:
        yield
    finally:
        _counts.clear()
        _counts.update(before)
