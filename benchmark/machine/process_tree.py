"""Memory of a process and its descendants, as far as only their end would give it back.

Counted are anonymous pages, shared memory and swapped pages. Pages of mapped files, such as a scan on the disk or a library, are not: the
kernel drops them when memory is short, and they count again in every process that maps them. After a fork, pages that processes
share are counted once, by their proportional share (PSS).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

PROC = Path("/proc")
_OWN = ("RssAnon:", "RssShmem:", "VmSwap:")  # of /proc/PID/status: cheap, shared pages counted in full
_SHARE = ("Pss_Anon:", "Pss_Shmem:", "SwapPss:")  # of /proc/PID/smaps_rollup: exact, some milliseconds for each GB
_PS = ("ps", "-A", "-o", "pid=,ppid=,pgid=,rss=")  # where there is no /proc


class ProcessTree:
    """A process that leads its own session, and every process that descends from it, even without a living parent."""

    def __init__(self, leader: int) -> None:
        self.leader = leader
        self._members = {leader: _start(leader)}  # process id -> time of its start; numbers are given again
        self._sizes: dict[int, int] = {}  # [bytes] found by ps

    @property
    def members(self) -> set[int]:
        """Process ids of the tree, as of the last update."""
        return set(self._members)

    def update(self) -> None:
        """Look for new processes of the tree, and forget those that have ended."""
        if not PROC.is_dir():
            self._update_by_ps()
            return
        facts = {int(name): found for name in os.listdir(PROC) if name.isdigit() and (found := _facts(int(name)))}
        known = {pid: start for pid, start in self._members.items() if pid in facts and facts[pid][2] == start}
        children: dict[int, list[int]] = {}
        for pid, (parent, session, start) in facts.items():
            children.setdefault(parent, []).append(pid)
            if session == self.leader:
                known[pid] = start
        left = list(known)
        while left:
            for child in children.get(left.pop(), ()):
                if child not in known:
                    known[child] = facts[child][2]
                    left.append(child)
        self._members = known

    def _update_by_ps(self) -> None:
        done = subprocess.run(_PS, capture_output=True, text=True, check=False)
        rows = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
        members = {self.leader}
        for _ in rows:
            more = {pid for pid, parent, group, _ in rows if parent in members or group == self.leader}
            if more <= members:
                break
            members |= more
        self._sizes = {pid: size << 10 for pid, _, _, size in rows if pid in members}
        self._members = dict.fromkeys(self._sizes, 0)

    def memory(self, suspicious: float) -> int:
        """Return the memory of the tree [bytes]. Pages shared after a fork may count several times while the sum is below `suspicious`."""
        if not PROC.is_dir():
            return sum(self._sizes.values())
        total = sum(_sum(pid, "status", _OWN) for pid in self._members)
        if total < suspicious or len(self._members) == 1:
            return total
        shares = [_sum(pid, "smaps_rollup", _SHARE) for pid in self._members]
        return min(total, sum(shares)) if any(shares) else total

    def kill(self) -> None:
        """End every process of the tree at once."""
        if _start(self.leader) == self._members.get(self.leader, -1):  # else the number may be another's
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.leader, signal.SIGKILL)
        for pid, start in self._members.items():
            if pid != self.leader and _start(pid) == start:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)


def _facts(pid: int) -> tuple[int, int, int] | None:
    """Return parent, session and time of start of a process; None once it has ended."""
    try:
        text = (PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    fields = text[text.rfind(b")") + 2 :].split()  # behind the name, which may hold anything
    return (int(fields[1]), int(fields[3]), int(fields[19])) if fields[0] != b"Z" else None


def _start(pid: int) -> int:
    """Return the time of a process's start in ticks since the machine's; 0 if unknown."""
    found = _facts(pid)
    return found[2] if found else 0


def _sum(pid: int, file: str, names: tuple[str, ...]) -> int:
    """Return the sum of these lines of a file in /proc/PID [bytes]; 0 if it cannot be read."""
    try:
        lines = (PROC / str(pid) / file).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(names))
