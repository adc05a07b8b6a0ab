"""What helps to debug a method: the memory limit, its output, where it crashed, where it hung."""

from __future__ import annotations

import dataclasses
import io
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import greedy_plugin
import pytest
from rich.console import Console
from tiny import Watcher, tiny_plan, tiny_registry

from benchmark.execution.options import Options
from benchmark.machine.process_tree import ProcessTree
from benchmark.records.record import RunRecord
from benchmark.sweep.progress import LiveDisplay, PlainDisplay
from benchmark.sweep.sweep import Sweep

LIMIT = 700_000_000
HERE = Options(device="cpu", threads=1)


def run(folder: Path, how: str, options: Options = HERE, display: Any = None, **params: Any) -> RunRecord:
    registry = tiny_registry()
    registry.add(greedy_plugin, "greedy")
    plan = tiny_plan(registry, folder, {"greedy": {"how": how, **params}})
    (record,) = Sweep(registry, plan, options, display or Watcher()).run().records
    return record


# -- memory -------------------------------------------------------------------------------------------------------------


def test_a_leak_ends_the_run_at_its_limit_with_the_amounts_and_the_place(tmp_path):
    record = run(tmp_path, "leak", dataclasses.replace(HERE, memory_bytes=LIMIT), megabytes=8000)
    assert record.status == "failed"
    assert record.reason.startswith("used ") and " MB of 700 MB (--memory) (greedy_plugin.py:" in record.reason
    assert record.peak_memory_mb is not None and LIMIT < record.peak_memory_mb * 2**20 < 2 * LIMIT
    assert "in take" in record.log_tail and not list(tmp_path.glob("runs/*/volume*"))


def test_children_of_a_run_count_with_it(tmp_path):
    record = run(tmp_path, "children", dataclasses.replace(HERE, memory_bytes=LIMIT), megabytes=1200)
    assert record.status == "failed" and "of 700 MB" in record.reason
    assert not [name for name in os.listdir("/proc") if name.isdigit() and _command(name).count("spawn_main")]


def test_a_daemon_counts_with_its_run_and_ends_with_it(tmp_path):
    record = run(tmp_path, "daemon", dataclasses.replace(HERE, memory_bytes=LIMIT), megabytes=1200)
    assert record.status == "failed" and "of 700 MB" in record.reason
    daemon = record.log_tail.split()[record.log_tail.split().index("daemon") + 1]
    assert not _command(daemon)


@pytest.mark.parametrize(("how", "megabytes"), [("forks", 400), ("mapped", 900), ("leak", 200)])
def test_no_false_alarm(tmp_path, how, megabytes):
    record = run(tmp_path, how, dataclasses.replace(HERE, memory_bytes=LIMIT), megabytes=megabytes)
    assert (record.status, record.reason) == ("ok", "")


def test_a_limit_below_what_the_process_needs_to_start_is_said(tmp_path):
    record = run(tmp_path, "leak", dataclasses.replace(HERE, memory_bytes=10_000_000))
    assert record.status == "failed"
    assert record.reason.endswith(" MB of 10 MB before the method began (--memory): allow it more")


def _command(pid: str) -> str:
    try:
        return Path("/proc", pid, "cmdline").read_text()
    except OSError:
        return ""


# -- output -------------------------------------------------------------------------------------------------------------


class Clocked(Watcher):
    """A display that knows when it was told."""

    def progress(self, event: dict[str, Any]) -> None:
        self.events.append(("progress", {**event, "at": time.monotonic()}))


@pytest.mark.parametrize("in_process", [False, True])
def test_what_a_method_prints_appears_while_it_runs(tmp_path, in_process):
    watcher = Clocked()
    record = run(tmp_path, "print", dataclasses.replace(HERE, show_output=True, in_process=in_process), watcher)
    events = [event for event in watcher.named("progress") if event["event"] == "output"]
    lines = [line for event in events for line in event["lines"] if line]
    steps = ["step 0 [bold]", "step 1 [bold]", "step 2 [bold]"]
    assert lines[:2] == ["to the standard output", "to the standard error"] and lines[-3:] == steps
    assert in_process or "from compiled code" in lines
    assert len(lines) < 12 and "99 %" in lines  # a progress bar is one line a look
    when = [next(event["at"] for event in events if step in event["lines"]) for step in steps]
    assert when[2] - when[0] > 0.4  # as printed, not at the end
    assert "step 2" in record.log_tail
    assert not [event for event in watcher.named("progress") if event["event"] == "began"]


@pytest.mark.parametrize("kind", [PlainDisplay, LiveDisplay])
def test_output_carries_the_title_of_its_run(tmp_path, kind):
    written = io.StringIO()
    with kind(Console(file=written, width=200, force_terminal=kind is LiveDisplay, color_system=None)) as display:
        run(tmp_path, "print", dataclasses.replace(HERE, show_output=True), display)
    assert "[1/1] tiny 8, 4 views: greedy | step 2 [bold]\n" in written.getvalue()


def test_output_is_not_passed_on_unasked(tmp_path):
    watcher = Watcher()
    assert run(tmp_path, "print", HERE, watcher).status == "ok"
    assert {event["event"] for event in watcher.named("progress")} <= {"progress", "note"}


# -- crashes and time-outs ----------------------------------------------------------------------------------------------


def line_of(text: str) -> int:
    lines = Path(greedy_plugin.__file__).read_text().splitlines()
    return 1 + next(number for number, line in enumerate(lines) if line.strip() == text)


def test_a_crash_names_the_line_of_the_method_and_keeps_the_whole_traceback(tmp_path):
    place = f"greedy_plugin.py:{line_of('return 1 / number')} in divided"
    shallow, deep = run(tmp_path / "a", "divide"), run(tmp_path / "b", "deep")
    assert shallow.reason == deep.reason == f"ZeroDivisionError: division by zero ({place})"
    assert "noise 499" in shallow.log_tail and "Traceback (most recent call last)" in shallow.log_tail
    assert deep.log_tail.count("in deep_again") == 200 and "Traceback (most recent call last)" in deep.log_tail


def test_a_crash_in_compiled_code_names_the_line_that_called_it(tmp_path):
    record = run(tmp_path, "segfault")
    assert record.reason == f"crashed (SIGSEGV) (greedy_plugin.py:{line_of('ctypes.string_at(0)')} in reconstruct)"


@pytest.mark.parametrize(("how", "line"), [("sleep", "time.sleep(60)"), ("compiled", 're.match("(a+)+$", 40 * "a" + "b")')])
def test_a_time_out_tells_where_the_run_was(tmp_path, how, line):
    record = run(tmp_path, how, dataclasses.replace(HERE, timeout=4))
    assert record.reason == f"time-out: still running after 4 s (greedy_plugin.py:{line_of(line)} in reconstruct)"
    assert f"line {line_of(line)} in reconstruct" in record.log_tail and "in _watch" not in record.log_tail
    assert "in watch" in record.log_tail  # the thread that follows the parent: all threads are there


def test_a_process_tree_has_its_children_and_is_ended_whole():
    script = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import os, time; os.setsid(); time.sleep(60)'])"
    leader = subprocess.Popen([sys.executable, "-c", f"{script}; time.sleep(60)"], start_new_session=True)
    tree, deadline = ProcessTree(leader.pid), time.monotonic() + 20
    while len(tree.members) < 2 and time.monotonic() < deadline:
        tree.update()
        time.sleep(0.05)
    (child,) = tree.members - {leader.pid}
    leader.kill()
    leader.wait()
    tree.update()
    assert tree.members == {child}  # it has no parent any more
    tree.kill()
    deadline = time.monotonic() + 20
    while tree.members and time.monotonic() < deadline:
        tree.update()
    assert not tree.members
