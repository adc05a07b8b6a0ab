"""Progress of a sweep: bars on a terminal, plain lines everywhere else; benchmark.sweep.notebook draws it in a notebook."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from benchmark.plan.plan import Plan
from benchmark.records.record import RunRecord, RunSpec
from benchmark.records.titles import case_title, decibels, outcome, run_title
from benchmark.scan.case import Case

KNOWN = ("event", "run_id", "step", "total", "seconds", "seconds_left", "validation")  # of an event; all else is the method's
LINE_INTERVAL = 15.0  # [s] between progress lines of one run


def progress_text(event: dict[str, Any]) -> str:
    """Return a line such as 'step 120/500, loss 0.00123, held-out 31.20 dB, fit 38.10 dB (step 100), 12 s, 38 s to go'."""
    step, total, seconds, left = (event.get(name, 0) for name in ("step", "total", "seconds", "seconds_left"))
    parts = [f"step {step}/{total}" if total else f"step {step}"]
    extra = {key: value for key, value in event.items() if key not in KNOWN and value is not None}
    parts += [f"{key} {value:.4g}" if isinstance(value, int | float) else f"{key} {value}" for key, value in extra.items()]
    if decibels(scores := event.get("validation", {})):
        parts.append(f"{decibels(scores)} (step {scores['step']})")
    parts.append(f"{seconds:.0f} s")
    if left:
        parts.append(f"{left:.0f} s to go")
    return ", ".join(parts)


class PlainDisplay:
    """Plain lines: one per start and end of a run, one every LINE_INTERVAL in between. For logs, pipes and CI."""

    def __init__(self, console: Console, plan: Plan | None = None) -> None:
        self.console = console
        self._plan = plan
        self._several = False  # cases
        self._names: dict[str, str] = {}  # of loaded cases, by case key
        self.total = self.position = 0
        self._places: dict[str, int] = {}  # run id -> its number
        self._next_line: dict[str, float] = {}  # run id -> time of its next progress line
        self._titles: dict[str, str] = {}  # run id -> its title, in front of what its method prints
        self._notes: set[str] = set()  # already printed

    def __enter__(self) -> PlainDisplay:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def line(self, text: str) -> None:
        """Print one unwrapped line."""
        self.console.print(escape(text), soft_wrap=True, highlight=False)

    def loading(self, spec: RunSpec, done: int, total: int) -> None:
        self._several = total > 1
        self.line(f"loading data {done + 1}/{total}: {case_title(spec, self.name(spec))}")

    def name(self, spec: RunSpec) -> str:
        """Return the name of a run's case as far as it is known."""
        return self._names.get(spec.case_key) or (self._plan.name(spec) if self._plan is not None else "")

    def loaded(self, spec: RunSpec, case: Case) -> None:
        self._names[spec.case_key] = case.name
        words = self._plan.cases.get(spec.case_key) if self._plan is not None else None
        if words is None or not words.outline:  # else it has been said
            self.line(f"{case.name}: {case.outline}" if self._several else case.outline)

    def sweep_started(self, total: int, finished: int) -> None:
        self.total, self.position = total, finished
        self.line(f"{total} runs" + (f", {finished} of them finished earlier" if finished else ""))

    def place(self, run_id: str) -> str:
        """Return '[3/40]'; a run keeps its number when it is tried again."""
        if run_id not in self._places:
            self.position += 1
            self._places[run_id] = self.position
        return f"[{self._places[run_id]}/{self.total}]"

    def run_started(self, spec: RunSpec) -> None:
        self._next_line[spec.id] = time.monotonic() + LINE_INTERVAL
        self._titles[spec.id] = title = f"{self.place(spec.id)} {run_title(spec, self.name(spec))}"
        self.line(f"{title} ...")

    def progress(self, event: dict[str, Any]) -> None:
        run_id = event["run_id"]
        if event.get("event") == "output":
            for text in event["lines"]:
                self.line(f"{self._titles.get(run_id, self.place(run_id))} | {text}")
        elif event.get("event") == "note":
            self.line(f"{self.place(run_id)}   {event['text']}")
        elif event.get("event") == "validated" or time.monotonic() >= self._next_line.get(run_id, 0.0):
            self._next_line[run_id] = time.monotonic() + LINE_INTERVAL
            self.line(f"{self.place(run_id)}   {progress_text(event)}")

    def run_finished(self, record: RunRecord) -> None:
        self.line(f"{self.place(record.run_id)} {run_title(record.spec, record.case or self.name(record.spec))}: {outcome(record)}")
        if record.info.get("note"):
            self.note(f"{record.spec.method}: {record.info['note']}")

    def note(self, text: str) -> None:
        if text not in self._notes:
            self._notes.add(text)
            self.line(f"note: {text}")

    def warning(self, text: str) -> None:
        self.line(f"warning: {text}")


class LiveDisplay(PlainDisplay):
    """Plain lines for finished runs; below them a bar for the sweep and one for each run under way."""

    def __init__(self, console: Console, plan: Plan | None = None) -> None:
        super().__init__(console, plan)
        self._bars = self._make_bars()
        self._sweep: TaskID | None = None
        self._runs: dict[str, TaskID] = {}

    def _make_bars(self) -> Progress:
        return Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[text]}"),
            console=self.console,
            transient=True,
        )

    def __enter__(self) -> LiveDisplay:
        self._bars.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bars.stop()

    def loading(self, spec: RunSpec, done: int, total: int) -> None:
        self._several = total > 1
        self._overall("loading data", done, total, case_title(spec, self.name(spec)))

    def _overall(self, description: str, done: int, total: int, text: str = "") -> None:
        if self._sweep is None:
            self._sweep = self._bars.add_task("", text="")
        self._bars.update(self._sweep, description=description, completed=done, total=total, text=escape(text))

    def sweep_started(self, total: int, finished: int) -> None:
        super().sweep_started(total, finished)
        self._overall("sweep", finished, total)

    def run_started(self, spec: RunSpec) -> None:
        title = run_title(spec, self.name(spec))
        self._titles[spec.id] = f"{self.place(spec.id)} {title}"
        self._runs[spec.id] = self._bars.add_task(escape(title), total=None, text="starting")

    def progress(self, event: dict[str, Any]) -> None:
        if event.get("event") in ("note", "output"):
            super().progress(event)
        elif event["run_id"] in self._runs:
            step, total = event.get("step", 0), event.get("total") or None
            self._bars.update(self._runs[event["run_id"]], completed=step, total=total, text=escape(progress_text(event)))

    def run_finished(self, record: RunRecord) -> None:
        if record.run_id in self._runs:
            self._bars.remove_task(self._runs.pop(record.run_id))
        super().run_finished(record)
        self._overall("sweep", self.position, self.total)


def make_display(console: Console, plan: Plan | None = None) -> PlainDisplay:
    """Return bars in a notebook and on a terminal, plain lines otherwise; the plan knows names of cases that are not loaded yet."""
    if console.is_jupyter:
        from benchmark.sweep.notebook import NotebookDisplay

        return NotebookDisplay(console, plan)
    return LiveDisplay(console, plan) if console.is_terminal else PlainDisplay(console, plan)
