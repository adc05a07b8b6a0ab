"""A Griffe extension: in docstrings, `[z, y, x] [1/mm]` is a shape and a unit, not a link of Markdown."""

from __future__ import annotations

from typing import Any

import griffe


class Units(griffe.Extension):
    """Escape the bracket of every unit that follows a shape."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring:
            obj.docstring.value = obj.docstring.value.replace("] [", "] \\[")
