"""Progress of a sweep in a notebook: a block of HTML that is replaced in place, with bars and the lines of finished runs."""

from __future__ import annotations

import html
import time
from typing import Any

from rich.progress import Progress, Task, TaskID
from rich.text import Text

from benchmark.sweep.progress import LiveDisplay

INTERVAL = 0.3  # [s] between drawings
MOST_LINES = 200  # shown; earlier ones are counted
STYLE = "max-height: 20em; overflow: auto; margin: 0; white-space: pre-wrap"


class NotebookDisplay(LiveDisplay):
    """The lines of a LiveDisplay and its bars, in the output of the notebook's cell."""

    _bars: HtmlBars

    def _make_bars(self) -> Progress:
        return HtmlBars(console=self.console, auto_refresh=False)

    def line(self, text: str) -> None:
        """Add one line to the block."""
        self._bars.add_line(text)


class HtmlBars(Progress):
    """Bars of rich, drawn as HTML by IPython: needs no widgets, and the last state stays in a stored notebook."""

    def start(self) -> None:
        from IPython.display import HTML, display

        self._lines: list[str] = []
        self._drawn = time.monotonic()
        self._handle: Any = display(HTML(self.to_html()), display_id=True)

    def stop(self) -> None:
        self.refresh()

    def refresh(self) -> None:
        """Draw the present state."""
        from IPython.display import HTML

        self._drawn = time.monotonic()
        if self._handle is not None:
            self._handle.update(HTML(self.to_html()))

    def update(self, task_id: TaskID, **values: Any) -> None:
        super().update(task_id, **values)
        self._refresh_soon()

    def add_line(self, text: str) -> None:
        """Add a line below the bars."""
        self._lines.append(text)
        self._refresh_soon()

    def _refresh_soon(self) -> None:
        if time.monotonic() - self._drawn >= INTERVAL:
            self.refresh()

    def to_html(self) -> str:
        """Return the bars and the last lines; texts are escaped."""
        earlier = len(self._lines) - MOST_LINES
        lines = [*([f"{earlier} earlier lines"] if earlier > 0 else []), *self._lines[-MOST_LINES:]]
        body = f'<pre style="{STYLE}">{html.escape(chr(10).join(lines))}</pre>' if lines else ""
        return "".join(map(_bar, self.tasks)) + body


def _bar(task: Task) -> str:
    """Return one bar with its words; a bar without a total moves by itself."""
    title, text = (html.escape(Text.from_markup(words).plain) for words in (task.description, str(task.fields.get("text", ""))))
    share = f' max="{task.total:g}" value="{task.completed:g}"' if task.total else ""
    count = f"{task.completed:g}/{task.total:g}" if task.total else ""
    return f"<div><progress{share}></progress> {' '.join(filter(None, [title, count, text]))}</div>"
