"""Text of strangers in outputs: control characters are shown, not obeyed, and no cell of a table is a formula."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

LONGEST = 2000  # characters of one text in an output
# controls (a terminal obeys escape sequences), halves of letters, and signs that turn the direction of the text that follows
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_FORMULA = re.compile(r"[=@\t\r]|[+-](?!$|\s)")


def visible(text: str, most: int | None = None) -> str:
    """Return text with control characters written as \\x1b; line ends and tabs stay. A byte that is no text is written as \\xff.

    A text of more than `most` characters is cut in its middle.
    """
    if most is not None and len(text) > most:
        text = f"{text[: most // 2]} ... {text[-most // 2 :]}"
    return _HIDDEN.sub(_shown, text)


def one_line_of(text: str, most: int = LONGEST) -> str:
    """Return text as one visible line of about `most` characters."""
    return visible(" ".join(text.splitlines()), most)


def markdown_text(text: str) -> str:
    """Return text as one visible line that Markdown takes for neither HTML nor a border of a table."""
    return one_line_of(text).replace("|", "\\|").replace("<", "&lt;")


def csv_text(table: pd.DataFrame) -> str:
    """Return a table as csv without an index: texts in single lines, an apostrophe before those that a spreadsheet would calculate."""
    return str(table.map(_cell).rename(columns=_cell).to_csv(index=False))


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = one_line_of(value)
    return f"'{text}" if _FORMULA.match(value) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _shown(match: re.Match[str]) -> str:
    number = ord(match.group())
    if 0xDC80 <= number <= 0xDCFF:  # a byte of a file name
        number -= 0xDC00
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
