"""Watchdog on the memory of one run: it ends the run's processes once they take more than their limit."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from types import TracebackType

from benchmark.machine.memory import amount
from benchmark.machine.process_tree import ProcessTree

POLL = 0.05  # [s] between looks at the memory of known processes
SEARCH = 0.2  # [s] between searches for new ones, but longer where a search takes long
SHARE = 0.05  # most of one core that searches may take


class Watchdog:
    """Watch over a process that leads its own session, from `start` to the end of the context; without a limit it does nothing.

    A thread of this process looks, so that neither the method's threads nor compiled code hold it up.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self.peak = 0  # [bytes] seen so far
        self.excess = 0  # [bytes] in use when the run was ended; 0 = it was not
        self._tree: ProcessTree | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Watchdog:
        return self

    def start(self, leader: int, before_kill: Callable[[], None]) -> None:
        """Begin to watch; `before_kill` is called once, between the finding and the kill."""
        if self.limit is not None:
            self._tree = ProcessTree(leader)
            self._thread = threading.Thread(target=self._watch, args=(self._tree, self.limit, before_kill), daemon=True)
            self._thread.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        if self._thread is not None and self._tree is not None:
            self._thread.join()
            self._tree.kill()  # what has left the session

    @property
    def reason(self) -> str:
        """Reason of the end in words, such as 'used 2.1 GB of 2 GB'."""
        assert self.limit is not None
        limit = amount(self.limit).replace(".0 ", " ")
        used = f"{math.ceil(self.excess / 1e8) / 10:.1f} GB" if self.limit >= 1e9 else amount(self.excess)
        return f"used {used} of {limit}"

    def _watch(self, tree: ProcessTree, limit: int, before_kill: Callable[[], None]) -> None:
        next_search = 0.0
        while not self._over.wait(POLL):
            if time.monotonic() >= next_search:
                began = time.monotonic()
                tree.update()
                now = time.monotonic()
                next_search = now + max(SEARCH, (now - began) / SHARE)
            used = tree.memory(limit)
            self.peak = max(self.peak, used)
            if used > limit:
                self.excess = used
                before_kill()
                tree.update()
                tree.kill()
                return
