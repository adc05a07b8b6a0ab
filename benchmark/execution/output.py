"""Output of a method, passed on line by line while its process writes the log."""

from __future__ import annotations

import re
from pathlib import Path

from benchmark.execution.options import OUTPUT_EVENT, OnEvent

BLOCK = 1 << 16  # [bytes] at one look
LAST_BLOCKS = 64  # after the end of the process
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\].*?(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # colours, cursors, bells


class Output:
    """Reader of a growing log. A line that a program writes again and again (`\\r`, progress bars) is passed on once a look."""

    def __init__(self, log: Path, on_event: OnEvent) -> None:
        self.log, self.on_event = log, on_event
        self._file = log.open("rb") if log.exists() else None
        self._rest = b""

    def look(self) -> bool:
        """Pass on the complete lines written since the last look; return False if there is nothing new."""
        if self._file is None:
            self._file = self.log.open("rb")
        block = self._file.read(BLOCK)
        if not block:
            return False
        *lines, self._rest = (self._rest + block).split(b"\n")
        if len(self._rest) > BLOCK or b"\r" in self._rest:
            lines, self._rest = [*lines, self._rest], b""
        self._pass_on(lines)
        return True

    def close(self) -> None:
        """Pass on the rest, but of a flood only some megabytes."""
        for _ in range(LAST_BLOCKS):
            if not self.look():
                break
        else:
            self._rest += b" (more was written than is shown)"
        if self._rest:
            self._pass_on([self._rest])
        if self._file is not None:
            self._file.close()

    def _pass_on(self, lines: list[bytes]) -> None:
        texts = [_CONTROL.sub("", line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace")).rstrip() for line in lines]
        if any(texts):
            self.on_event({"event": OUTPUT_EVENT, "lines": texts})
