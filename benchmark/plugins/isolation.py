"""Isolation of plug-ins in this process: what their code sets globally is restored when it ends, so that it changes nothing for others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from benchmark.machine import global_state
from benchmark.machine.first_import import AfterImport
from benchmark.machine.global_state import Change, State
from benchmark.plugins.specs import Target, resolve

_lock = threading.RLock()
_open: list[State] = []  # of the blocks under way, in any thread
_own = threading.local()  # depth: of the blocks of this thread


@contextmanager
def isolated() -> Iterator[list[Change]]:
    """Restore the global state at the end of the block; the list then holds what had changed.

    A block that begins while another thread is inside one restores the state of that one's beginning: the present state may be a plug-in's.
    """
    changes: list[Change] = []
    depth = getattr(_own, "depth", 0)
    with _lock:
        before = _open[0] if _open and not depth else global_state.state()
        _open.append(before)
    _own.depth = depth + 1
    unloaded: State = {}
    try:
        with ExitStack() as hooks:
            for library in ("torch", "matplotlib"):
                hook = AfterImport(library, lambda module: unloaded.update(global_state.library_state(module.__name__)))
                hook.start()
                hooks.callback(hook.stop)
            yield changes
    finally:
        _own.depth = depth
        with _lock:
            _open.pop(next(place for place, state in enumerate(_open) if state is before))
            changes += global_state.restore(before, {**global_state.UNTOUCHED, **unloaded})


def call(target: Target, *values: Any, **named: Any) -> Any:
    """Import a plug-in's target, call it and return its result, isolated. Raise any error of the plug-in."""
    with isolated():
        return resolve(target)(*values, **named)
