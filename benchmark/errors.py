"""Errors a user can act on: where, what was expected, what was found, what to do about it."""

from __future__ import annotations

import contextlib
import contextvars
import copy
import difflib
import logging
import re
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, ValidationError


class InputError(ValueError):
    """A user's mistake or a damaged file. The command line prints it in one piece, without a traceback, and exits with code 2.

    `where` names the field, file or option; `expected` and `found` say what was wrong; `fix` says what to do.
    """

    def __init__(self, where: str, *, expected: str = "", found: str = "", fix: str = "") -> None:
        self.where, self.expected, self.found, self.fix = where, expected, found, fix
        super().__init__(where)

    def __str__(self) -> str:
        said = [f"{word} {text}" for word, text in (("expected", self.expected), ("found", self.found)) if text]
        text = f"{self.where}: {', '.join(said)}" if said else self.where
        return f"{text}. {self.fix}" if self.fix else text

    def at(self, place: str) -> InputError:
        """Return the same error with `place` put before its own place, once."""
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


def note(text: str) -> None:
    """Tell the user what was decided about their files, such as which of them are left out: a warning of the logger 'benchmark'.

    The command line prints it once, on the standard error. A case that is loaded keeps it (`collected_notes`).
    """
    collected = _collected.get()
    if collected is None:
        logging.getLogger("benchmark").warning("note: %s", text)
    elif text not in collected:
        collected.append(text)


_collected: contextvars.ContextVar[list[str] | None] = contextvars.ContextVar("collected", default=None)


@contextlib.contextmanager
def collected_notes() -> Iterator[list[str]]:
    """Collect the notes of the block, each once, instead of telling them."""
    found: list[str] = []
    token = _collected.set(found)
    try:
        yield found
    finally:
        _collected.reset(token)


class MissingDependency(RuntimeError):
    """An optional dependency is missing or not usable; the text holds the command that installs it. A run that raises it is skipped."""


def one_line(error: BaseException) -> str:
    """Return another library's error as one line of at most 200 characters; its type where it has no text."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def unknown_name(where: str, found: str, valid: Iterable[str]) -> InputError:
    """Return the error for a name that does not exist; it lists the valid names and the nearest match."""
    valid = sorted(valid)
    near = difflib.get_close_matches(found, valid, n=1)
    hint = f"Did you mean '{near[0]}'?" if near else ""
    return InputError(where, expected=f"one of {', '.join(valid)}", found=f"'{found}'", fix=hint)


class Mistakes:
    """A list of 'path: expected, found' lines without repetitions."""

    def __init__(self) -> None:
        self.errors: list[InputError] = []

    def add(self, where: str, *, expected: str = "", found: Any = "", fix: str = "") -> None:
        """Note one mistake; `found` is shown as it is if it is a string, else as its repr."""
        self.note(InputError(where, expected=expected, found=found if isinstance(found, str) else repr(found), fix=fix))

    def note(self, error: InputError) -> None:
        """Note an error raised or created elsewhere."""
        if str(error) not in map(str, self.errors):
            self.errors.append(error)

    def unknown(self, where: str, found: str, valid: Iterable[str]) -> None:
        """Note a key or name that does not exist."""
        self.note(unknown_name(where, found, valid))

    def check_keys(self, where: str, found: Iterable[Any], valid: Iterable[str]) -> None:
        """Note every key that is not valid; the path of the mistake ends in the key."""
        valid = list(valid)
        for key in found:
            if key not in valid:
                self.unknown(f"{where}.{key}" if where else str(key), str(key), valid)

    def raise_if_any(self, source: str) -> None:
        """Raise one InputError that holds every line."""
        if len(self.errors) == 1:
            raise self.errors[0].at(source)
        if self.errors:
            raise InputError("\n  ".join([f"{source}: {len(self.errors)} mistakes", *map(str, self.errors)]))


def wrong_fields(error: ValidationError) -> str:
    """Return pydantic's errors of a stored file in one line, 'scan.noise: Input should be a valid number; ...', of three fields at most."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    said = [f"{'.'.join(map(str, detail['loc']))[:80]}: {detail['msg'][:120]}" for detail in details[:3]]
    return "; ".join([*said, *([f"and {len(details) - 3} more"] if len(details) > 3 else [])])


def validation_mistakes(mistakes: Mistakes, error: ValidationError, model: type[BaseModel], where: str, origins: dict[str, str]) -> None:
    """Translate pydantic's errors. `origins` maps a key to the place it was written, if that is not `where`."""
    by_key: dict[str, list[Any]] = {}
    for detail in error.errors(include_url=False):
        by_key.setdefault(str(detail["loc"][0]) if detail["loc"] else "", []).append(detail)
    for key, details in by_key.items():
        place = origins.get(key) or (f"{where}.{key}" if key else where)
        first = details[0]
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, InputError):  # in this project's form already
            mistakes.note(cause.at(place))
        elif first["type"] == "extra_forbidden":
            mistakes.unknown(place, key, model.model_fields)
        elif first["type"] == "missing":
            mistakes.add(place, expected=f"a value ({_meaning(model, key)})", found="none")
        elif first["type"] == "literal_error":
            near = difflib.get_close_matches(str(first["input"]), re.findall(r"'([^']*)'", first["ctx"]["expected"]), n=1)
            mistakes.add(place, expected=f"one of {first['ctx']['expected']}", found=repr(first["input"]), fix=_did_you_mean(near))
        else:
            wanted = " or ".join(dict.fromkeys(_words(detail["msg"]) for detail in details))
            value = first["input"] if len(first["loc"]) <= 1 else _input_of(error, key, first["input"])
            mistakes.add(place, expected=wanted, found=repr(value) if key else "")


def _input_of(error: ValidationError, key: str, fallback: Any) -> Any:
    """Return the whole value of a key if the error concerns a part of it or one branch of a union."""
    same = [detail["input"] for detail in error.errors(include_url=False) if str(detail["loc"][0]) == key]
    return next((value for value in same if isinstance(value, list | tuple | dict)), fallback)


def _meaning(model: type[BaseModel], key: str) -> str:
    field = model.model_fields.get(key)
    return field.description if field is not None and field.description else "required"


def _did_you_mean(near: list[str]) -> str:
    return f"Did you mean '{near[0]}'?" if near else ""


def _words(message: str) -> str:
    """Shorten 'Input should be greater than 0' to 'greater than 0'."""
    for prefix in ("Input should be ", "Value error, "):
        message = message.removeprefix(prefix)
    return message
