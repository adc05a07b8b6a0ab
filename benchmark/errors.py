"""Errors a user can act on: where, what was expected, what was found, what to do about it."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """A user's mistake (or a broken file): printed in one piece without a traceback, exit code 2.

    Parameters: `where` names the field, file or option; `expected` and `found` say what was wrong;
    `fix` says what to do. All but `where` may be empty.
    """

    def __init__(self, where: str, *, expected: str = "", found: str = "", fix: str = "") -> None:
        self.where, self.expected, self.found, self.fix = where, expected, found, fix
        super().__init__(where)

    def __str__(self) -> str:
        said = [f"{word} {text}" for word, text in (("expected", self.expected), ("found", self.found)) if text]
        text = f"{self.where}: {', '.join(said)}" if said else self.where
        return f"{text}. {self.fix}" if self.fix else text

    def at(self, place: str) -> InputError:
        """The same error, its place inside of another; once where it says so already."""
        moved = copy.copy(self)
        moved.where = self.where if f"{self.where}:".startswith(f"{place}:") else f"{place}: {self.where}"
        return moved

    def __reduce__(self):  # all fields survive copies and pickling between processes
        return _rebuild, (type(self), self.__dict__)


def _rebuild(kind: type[InputError], fields: dict[str, str]) -> InputError:
    error = kind.__new__(kind)
    error.__dict__.update(fields)
    error.args = (error.where,)
    return error


class MissingDependency(RuntimeError):
    """An optional part is not installed or not usable; the text holds the line that installs it."""


def one_line(error: BaseException) -> str:
    """Somebody else's error in at most 200 characters of one line; its type if it says nothing."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def unknown_name(where: str, found: str, valid: Iterable[str]) -> InputError:
    """The error for a name that does not exist: lists the valid ones and the nearest match."""
    valid = sorted(valid)
    near = difflib.get_close_matches(found, valid, n=1)
    hint = f"Did you mean '{near[0]}'?" if near else ""
    return InputError(where, expected=f"one of {', '.join(valid)}", found=f"'{found}'", fix=hint)
