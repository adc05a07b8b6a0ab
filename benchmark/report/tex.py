"""Text for LaTeX."""

from __future__ import annotations

import re

from benchmark.storage.visible import one_line_of

_NAMED = {"\\": "textbackslash", "~": "textasciitilde", "^": "textasciicircum", "<": "textless", ">": "textgreater", "|": "textbar"}
_TEX = {**{sign: f"\\{name}{{}}" for sign, name in _NAMED.items()}, **{sign: f"\\{sign}" for sign in "&%$#_{}"}}


def escape(text: str) -> str:
    """Return plain text escaped for LaTeX, in one visible line."""
    return re.sub(f"[{re.escape(''.join(_TEX))}]", lambda match: _TEX[match.group()], one_line_of(text))


def numbers(text: str) -> str:
    """Return a text with the sign in front of intervals, and the intervals of numbers, as LaTeX."""
    return re.sub(r"(?<=\d) ± ([\d.]+)", r" {\\scriptsize $\\pm$ \1}", text).replace("±", r"$\pm$")
