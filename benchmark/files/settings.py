"""Read the settings that scanners write: `key = value` lines in `[sections]`."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from pathlib import Path

from benchmark.errors import InputError
from benchmark.storage.text import read_text

MOST = 16 << 20  # [bytes] of a file of settings
_NUMBER = re.compile(r"[-+]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][-+]?\d+)?")


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of one text file: `key = value` or `key: value` lines, in sections or without.

    Case and repeated spaces of keys do not matter. The first of two equal keys counts. Numbers may have decimal commas. Methods
    raise InputError that names the file and the key, for a key that is missing (without a default) and for a wrong value.
    """

    path: Path
    values: Mapping[tuple[str, str], str]  # by (section, key)

    @classmethod
    def read(cls, path: Path, most: int | None = None) -> Settings:
        """Read a text in UTF-8, UTF-16 or Latin-1, or the header in the first `most` bytes of a file of numbers."""
        found: dict[tuple[str, str], str] = {}
        section = ""
        for line in (read_text(path, most_bytes=MOST, single_bytes=True) if most is None else _head(path, most)).split("\n"):
            line = line.strip()
            if line.startswith("[") and "]" in line:
                section = _plain(line[1 : line.index("]")])
                continue
            match = re.match(r"([^=:#;][^=]*?)\s*=\s*(.*)$", line) or re.match(r"([^=:#;][^:]*?)\s*:\s*(.*)$", line)
            if match:
                found.setdefault((section, _plain(match[1])), match[2].strip())
        return cls(path, found)

    def has(self, key: str, section: str | None = None) -> bool:
        """Return whether the key has a value, in this section or (None) in any."""
        return bool(self._find(key, section))

    def text(self, key: str, section: str | None = None, default: str | None = None) -> str:
        """Return the value of a key as text."""
        found = self._find(key, section)
        if found:
            return found
        if default is None:
            raise InputError(f"{self.path}: {key}", expected="a value", found="none", fix="The file is not complete.")
        return default

    def number(
        self, key: str, section: str | None = None, default: float | None = None, *, positive: bool = False, unit: str = ""
    ) -> float:
        """Return the value of a key as a finite number; `positive` refuses zero and less. Nothing but `unit` may stand behind it."""
        if default is not None and not self._find(key, section):
            return default
        text = self.text(key, section)
        match = _NUMBER.match(text)
        rest = text[match.end() :].strip() if match else text
        value = float(match[0].replace(",", ".")) if match else math.nan
        if not math.isfinite(value) or rest.casefold() not in ("", unit.casefold()):  # 1.234,5: which is the decimal sign?
            raise InputError(f"{self.path}: {key}", expected=f"a number{f' [{unit}]' if unit else ''}", found=f"{text!r:.60}")
        if positive and value <= 0:
            raise InputError(f"{self.path}: {key}", expected="a positive number", found=text)
        return value

    def numbers(self, key: str, section: str | None = None) -> list[float]:
        """Return the numbers of a list, separated by spaces, or by commas (then with decimal points)."""
        words = self.text(key, section).replace(",", " ").split()
        try:
            found = [float(word) for word in words]
        except ValueError as error:
            raise InputError(f"{self.path}: {key}", expected="numbers", found=f"{error}"[:100]) from None
        if not all(map(math.isfinite, found)):
            raise InputError(f"{self.path}: {key}", expected="finite numbers", found="NaN or Inf")
        return found

    def count(self, key: str, section: str | None = None) -> int:
        """Return the value of a key as a whole number, 1 or more."""
        value = self.number(key, section, positive=True)
        if value != int(value):
            raise InputError(f"{self.path}: {key}", expected="a whole number", found=f"{value:g}")
        return int(value)

    def source(self, *keys: str) -> str:
        """Return 'file: key, key' for the comment of a value that comes from these keys."""
        return f"{self.path.name}: {', '.join(keys)}"

    def _find(self, key: str, section: str | None) -> str:
        if section is not None:
            return self.values.get((_plain(section), _plain(key)), "")
        wanted = _plain(key)
        return next((value for (_, name), value in self.values.items() if name == wanted and value), "")


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _head(path: Path, count: int) -> str:
    try:
        with path.open("rb") as file:
            return file.read(count).decode("latin-1").replace("\r\n", "\n")
    except OSError as error:
        raise InputError(str(path), expected="a file that can be read", found=error.strerror or str(error)) from error
