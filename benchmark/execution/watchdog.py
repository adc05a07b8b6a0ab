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
    """Watch over a process that leads its own session. Use as a context manager; without a limit it does nothing.

    A thread of this process looks, so that neither the method's threads nor compiled code hold it up. `before_kill` is called once
    between the finding and the kill.
    """

    def __init__(self, leader: int, limit: int | None, before_kill: Callable[[], None] = lambda: None) -> None:
        self.limit, self.before_kill = limit, before_kill
        self.peak = 0  # [bytes] seen so far
        self.excess = 0  # [bytes] in use when the run was ended; 0 = it was not
        self._tree = ProcessTree(leader)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watchdog:
        if self.limit is not None:
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        if self.limit is not None:
            self._thread.join()
            self._tree.kill()  # processes that have left the session

    @property
    def reason(self) -> str:
        """Reason of the end in words, such as 'used 2.1 GB of 2 GB'."""
        assert self.limit is not None
        limit = amount(self.limit).replace(".0 ", " ")
        used = f"{math.ceil(self.excess / 1e8) / 10:.1f} GB" if self.limit >= 1e9 else amount(self.excess)
        return f"used {used} of {limit}"

    def _watch(self) -> None:
        assert self.limit is not None
        next_search = 0.0
        while not self._over.wait(POLL):
            if time.monotonic() >= next_search:
                began = time.monotonic()
                self._tree.update()
                now = time.monotonic()
                next_search = now + max(SEARCH, (now - began) / SHARE)
            used = self._tree.memory(self.limit)
            self.peak = max(self.peak, used)
            if used > self.limit:
                self.excess = used
                self.before_kill()
                self._tree.update()
                self._tree.kill()
                return
