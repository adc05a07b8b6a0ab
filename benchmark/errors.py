"""Errors a user can act on: where, what was expected, what was found, what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """A user's mistake (or a broken file): printed in one piece without a traceback, exit code 2.

    Parameters: `where` names the field, file or option; `expected` and `found` say what was wrong;
    `fix` says what to do. All but `where` may be empty.
    """

    def __init__(self, where: str, *, expected: str = "", found: str = "", fix: str = "") -> None:
        self.where, self.expected, self.found, self.fix = where, expected, found, fix
        parts = [where]
        if expected:
            parts.append(f"expected {expected}")
        if found:
            parts.append(f"found {found}")
        text = ": ".join([parts[0], ", ".join(parts[1:])]) if len(parts) > 1 else where
        super().__init__(f"{text}. {fix}" if fix else text)

    def __reduce__(self):  # keyword-only fields survive pickling between processes
        return _rebuild, (type(self), self.where, self.expected, self.found, self.fix)


def _rebuild(kind: type[InputError], where: str, expected: str, found: str, fix: str) -> InputError:
    return kind(where, expected=expected, found=found, fix=fix)


class MissingDependency(RuntimeError):
    """An optional part is not installed or not usable; the text holds the line that installs it."""


def unknown_name(where: str, found: str, valid: Iterable[str]) -> InputError:
    """The error for a name that does not exist: lists the valid ones and the nearest match."""
    valid = sorted(valid)
    near = difflib.get_close_matches(found, valid, n=1)
    hint = f"Did you mean '{near[0]}'?" if near else ""
    return InputError(where, expected=f"one of {', '.join(valid)}", found=f"'{found}'", fix=hint)
