"""Text for LaTeX."""

from __future__ import annotations

import re
from collections.abc import Iterable

from benchmark.storage.visible import one_line_of

_NAMED = {"\\": "textbackslash", "~": "textasciitilde", "^": "textasciicircum", "<": "textless", ">": "textgreater", "|": "textbar"}
_TEX = {**{sign: f"\\{name}{{}}" for sign, name in _NAMED.items()}, **{sign: f"\\{sign}" for sign in "&%$#_{}"}}


def escape(text: str) -> str:
    """Return plain text escaped for LaTeX, in one visible line."""
    return re.sub(f"[{re.escape(''.join(_TEX))}]", lambda match: _TEX[match.group()], one_line_of(text))


def numbers(text: str) -> str:
    """Return a text with the sign in front of intervals, and the intervals of numbers, as LaTeX."""
    return re.sub(r"(?<=\d) ± ([\d.]+)", r" {\\scriptsize $\\pm$ \1}", text).replace("±", r"$\pm$")


def table(kind: str, look: str, title: str, caption: str, name: str, columns: str, body: Iterable[str], below: Iterable[str] = ()) -> str:
    """Return a table of booktabs; `kind` is 'table', or 'table*' for one as wide as the page, and `look` sets its letters and gaps.

    `title` and `caption` are plain text, the rest is LaTeX: `columns` of the tabular, lines of its `body`, lines `below` it.
    """
    lines = [
        f"\\begin{{{kind}}}",
        f"  \\centering{look}\\setlength{{\\belowcaptionskip}}{{4pt}}",
        f"  \\caption[{{{escape(title)}}}]{{{numbers(escape(caption))}}}",
        f"  \\label{{tab:{name}}}",
        f"  \\begin{{tabular}}{{{columns}}}",
        r"    \toprule",
        *body,
        r"    \bottomrule",
        r"  \end{tabular}",
        *below,
        f"\\end{{{kind}}}",
    ]
    return "\n".join(lines)
