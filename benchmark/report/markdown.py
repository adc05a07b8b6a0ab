"""Tables as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmark.storage.visible import markdown_text


def table(heads: Sequence[str], words: Sequence[bool], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; columns of `words` are aligned on the left, numbers on the right. No text is markup, but for ** around cells."""
    lines = [heads, ["---" if word else "---:" for word in words], *rows]
    return "\n".join("| " + " | ".join(map(markdown_text, line)) + " |" for line in lines)


def bold(text: str, strong: bool = True) -> str:
    """Return a text set in bold, if it is `strong`."""
    return f"**{text}**" if strong else text
