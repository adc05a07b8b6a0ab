"""How much physics a run asked for, counted where the kernels are called, for every method alike.

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
    """Start from zero: a run begins."""
    _counts.clear()


def resume(counts: Mapping[str, int]) -> None:
    """Go on from what an earlier process had counted; what this one has counted until now does not count."""
    _counts.clear()
    _counts.update(counts)


def totals() -> dict[str, int]:
    """All counters since the last reset."""
    return {name: int(amount) for name, amount in sorted(_counts.items())}


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """Nothing inside counts: the harness looks."""
    before = _counts.copy()
    try:
        yield
    finally:
        _counts.clear()
        _counts.update(before)
