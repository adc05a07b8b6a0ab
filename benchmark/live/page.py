"""Page of a folder in which sweeps run: tables and charts of the results so far, and beside it a script with the runs under way."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import threading
import time
from pathlib import Path

from benchmark.records.results import Results
from benchmark.storage.json_values import dumps
from benchmark.sweep.claims import Claims
from benchmark.sweep.pulse import living_sweeps

INTERVAL = 1.0  # [s] between looks
SHARE = 0.1  # of a core that making pages may take
NICE = 10
SCRIPT = "now.js"  # its name beside the page


class LivePage:
    """Page and script of a folder as of the latest look. Pages are made by a thread of low priority, seldom if they take long."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.page = ""  # the latest page; '' until the first is made
        self.script = ""
        self.problem = ""  # why the latest page could not be made
        self._observer = Claims(folder)
        self._made = ("", "")  # digest of the records, page: by the maker
        self._beat = 0
        self._not_before = 0.0  # time of the next page
        self._maker: threading.Thread | None = None

    def look(self) -> int:
        """Bring page and script up to date, the page perhaps a little later. Return the number of sweeps alive in the folder."""
        sweeps = living_sweeps(self._observer)
        if time.monotonic() >= self._not_before and (self._maker is None or not self._maker.is_alive()):
            self._maker = threading.Thread(target=self._make, daemon=True)
            self._maker.start()
        self._beat += 1
        version, self.page = self._made
        facts = {"beat": self._beat, "page": version, "sweeps": sweeps, "problem": self.problem, "ended": False}
        self.script = script(facts)
        return len(sweeps)

    def settle(self, seconds: float) -> None:
        """Wait for a page that is being made."""
        if self._maker is not None:
            self._maker.join(seconds)

    def _make(self) -> None:
        """Make the page, if there are new records since the last time."""
        _step_back()
        try:
            from benchmark.report import page  # of pandas and more

            version = self._records()
            if version != self._made[0]:
                self._made = (version, page.page(Results(self.folder), [], live=version))
            self.problem = ""
        except Exception as error:  # of a reader of half a world; the sweep goes on
            self.problem = f"The page could not be made: {type(error).__name__}: {error}"
        self._not_before = time.monotonic() + max(INTERVAL, time.thread_time() / SHARE)

    def _records(self) -> str:
        """Return a digest of the names of all records: they are never changed, only added."""
        names = sorted(str(path.relative_to(self.folder)) for path in self.folder.glob("runs/*/attempt-*.json"))
        return hashlib.sha256("\n".join(["", *names]).encode("utf-8", "surrogateescape")).hexdigest()[:12]


def script(facts: dict[str, object]) -> str:
    """Return facts as a script, which a page may load even where it is a file and may fetch nothing."""
    return f"sweepNow({dumps(facts)});\n"


def _step_back() -> None:
    """Give the present thread a low priority, where threads have one of their own: runs come first."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
