"""Read tables of numbers that people and their tools write as text: headers, index columns, semicolons, tabs, decimal commas.

A table that can be read in two ways is an error that names both; nothing is guessed from a single line.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np

from benchmark.errors import InputError, note
from benchmark.files.series import in_order, series
from benchmark.storage.text import read_text

MOST_BYTES = 64 << 20
COMMENT = re.compile("#|%|//")
POINT = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
COMMA = re.compile(r"[-+]?([0-9]+(,[0-9]+)?|,[0-9]+)([eE][-+]?[0-9]+)?")
WRITTEN = re.compile(r"[-+]?[0-9.,]+([eE][-+]?[0-9]+)?")  # a number, whatever comma and point mean
NOT_FINITE = re.compile(r"[-+]?(nan|inf|infinity)", re.IGNORECASE)
COUNTS = r"#|i|n|no\.?|nr\.?|id|index|number|view|frame|proj(ection)?|image"  # headers of an index column
UNITS = {  # names in headers
    "degrees": r"deg|degrees?|\N{DEGREE SIGN}",
    "radians": r"rad|radians?",
    "mm": r"mm|millimet(?:er|re)s?",
    "cm": r"cm|centimet(?:er|re)s?",
    "um": r"um|[\N{MICRO SIGN}\N{GREEK SMALL LETTER MU}]m|microns?|micromet(?:er|re)s?",
    "m": r"(?<=[\[(])m(?=[\])])|met(?:er|re)s?",
}
BRACKETS = re.compile("[][(){}]")  # of lists that programs print
SUFFIX = re.compile(rf"(?<=[0-9.])\s*({UNITS['degrees']}|{UNITS['radians']})(?![A-Za-z])", re.IGNORECASE)  # 15.0 deg
KEEP = "Keep only the numbers, one row a line, or save the table as .npy."
NAME_IT = " Or name the column that counts in a header line, such as 'index angle'."


@dataclasses.dataclass(frozen=True)
class _Line:
    number: int  # from 1
    text: str  # without comment


@dataclasses.dataclass(frozen=True, eq=False)
class _Reading:
    """The numbers of a text under one meaning of the comma: values [row, column], the line of each row, the words of the last header."""

    decimal: str
    values: np.ndarray
    words: list[list[str]]
    lines: list[int]
    header: list[str]
    names: str  # the first of the names or times that stand before the numbers

    def __str__(self) -> str:
        name = "decimal commas" if self.decimal == "," else "columns separated by commas"
        first = " ".join(f"{value:g}" for value in self.values[0][:4])
        return f"{len(self.values)} x {self.values.shape[1]} numbers with {name} ({first} ...)"


def read_table(path: Path, rows: int | None = None, columns: int | None = None, name: str = "", unit: str = "") -> np.ndarray:
    """Return the numbers of a text, float64 [row, column].

    `rows` and `columns` are what the caller expects, where it knows; they decide between decimal commas and commas between columns. Where
    one column is expected, an index column (0, 1, 2, ... or 1, 2, 3, ...) before it is left out, and of several columns the one is
    taken whose header alone matches the pattern `name`; both are said in a note. Raise InputError, naming the line, for everything else,
    and for a header that names another unit than `unit` (a key of UNITS).
    """
    text = read_text(path, most_bytes=MOST_BYTES, single_bytes=True).replace("\N{MINUS SIGN}", "-")
    text = text.rstrip("\x1a")  # the end of a text in DOS
    parts = ((number, _bare(COMMENT.split(line, maxsplit=1)[0].strip())) for number, line in enumerate(text.split("\n"), 1))
    lines = [_Line(number, content) for number, content in parts if content]
    if not lines:
        raise InputError(str(path), expected="finite numbers", found="none")
    readings, problems = [], []
    for decimal in ".," if any("," in line.text for line in lines) else ".":
        try:
            reading = _reading(path, lines, decimal)
            readings.append((reading, *_wanted(path, reading, rows, columns, name, unit)))
        except InputError as error:
            problems.append(error)
    if not readings:
        raise min(problems, key=lambda error: ": line" in error.where)  # a wrong shape tells more than a word that is no number
    if len(readings) == 2 and columns == 1:
        points, commas = readings
        if _padded_second(points[0]):
            readings = [commas]
        elif points[0].header and re.fullmatch(COUNTS, points[0].header[0], re.IGNORECASE) and _is_index(points[0]):
            readings = [points]
    if len(readings) == 2 and not np.array_equal(readings[0][1], readings[1][1]):
        found = f"{readings[0][0]} or {readings[1][0]}"
        raise InputError(str(path), expected="a table with one meaning", found=found, fix="Write decimal points, or separate columns by ;.")
    reading, values, said, header = readings[0]
    if reading.decimal == "," and not any(re.search("[;\t]", line.text) for line in lines):
        said = " and ".join(filter(None, [f"the commas are read as decimal commas ({values.flat[0]:g} ...)", said]))
    above = header or "\n".join(text.split("\n")[: reading.lines[0] - 1])
    _check_unit(path, f"{above} {' '.join(set(SUFFIX.findall(text)))}", unit)
    if said:
        note(f"{path}: {said}")
    return values


def _bare(line: str) -> str:
    """Return a line of numbers without brackets around them and units of angle behind them; any other line as it is."""
    found = SUFFIX.sub("", BRACKETS.sub(" ", line)).strip()
    if found == line or not re.fullmatch(r"[-+0-9.,;:\seE]*", found):
        return line
    return found.strip(" ,")


def _reading(path: Path, lines: list[_Line], decimal: str) -> _Reading:
    """Return the table below the headers. Raise InputError, naming the line, where text interrupts it or a row has another length."""
    hard = any(re.search("[;\t]", line.text) and re.search("[0-9]", line.text) for line in lines)
    gap = re.compile(r"\s*[;\t]\s*|\s+" if hard or decimal == "," else r"\s*,\s*|\s+")
    pattern = COMMA if decimal == "," else POINT
    rows = [_fields(line.text, gap) for line in lines]
    names, rows = _without_names(path, rows)
    numeric = [all(pattern.fullmatch(word) or NOT_FINITE.fullmatch(word) for word in row) for row in rows]
    if not any(numeric):
        raise InputError(f"{path}: line {lines[0].number}", expected="numbers", found=f"'{lines[0].text[:60]}'", fix=KEEP)
    if not numeric[-1]:
        last = len(lines) - 1 - numeric[::-1].index(True)
        found = f"'{lines[last + 1].text[:60]}' below numbers"
        raise InputError(f"{path}: line {lines[last + 1].number}", expected="numbers", found=found, fix=KEEP)
    first = len(lines) - (numeric[::-1].index(False) if False in numeric else len(lines))
    table = range(first, len(lines))
    _check_header(path, lines, rows, numeric, first)
    width = len(rows[first])
    for index in table:
        if len(rows[index]) != width:
            expected = f"{width} numbers, as in line {lines[first].number}"
            raise InputError(
                f"{path}: line {lines[index].number}", expected=expected, found=f"{len(rows[index])}: '{lines[index].text[:60]}'"
            )
    values = np.array([[float(word.replace(",", ".")) for word in rows[index]] for index in table])
    for place in np.argwhere(~np.isfinite(values))[:1]:
        where = f"{path}: line {lines[first + place[0]].number}"
        raise InputError(where, expected="finite numbers", found="NaN or Inf")
    header = _fields(lines[first - 1].text, re.compile(r"\s*[;\t,]\s*")) if first else []
    if len(header) != width and first:
        header = lines[first - 1].text.split()
    header = header[-width:] if names else header
    header = header if len(header) == width else []
    return _Reading(decimal, values, [rows[i] for i in table], [lines[i].number for i in table], header, names)


def _fields(text: str, gap: re.Pattern[str]) -> list[str]:
    """Return the words of a line without quotes, the colon after an index, and an empty field at the end."""
    words = [re.fullmatch(r"\"?(.*?)\"?:?", word).group(1) for word in gap.split(text.strip())]  # type: ignore[union-attr]
    return words[:-1] if len(words) > 1 and not words[-1] else words


def _without_names(path: Path, rows: list[list[str]]) -> tuple[str, list[list[str]]]:
    """Return the first name, and the rows without the names of images or times before their numbers; '' and the rows without such.

    Raise InputError for numbered names in another order than that of the images.
    """
    counts = [next((place for place, word in enumerate(row) if WRITTEN.fullmatch(word) or NOT_FINITE.fullmatch(word)), 0) for row in rows]
    last = counts[-1]
    first = len(rows) - next((place for place, count in enumerate(counts[::-1]) if count != last), len(rows))
    if not last or len(rows) - first < 2 or any(re.fullmatch("[A-Za-z_ ]*", "".join(row[:last])) for row in rows[first:]):
        return "", rows
    names = [Path(" ".join(row[:last])) for row in rows[first:]]
    if names != in_order(names):
        try:
            sorted_ = series(str(path), names)
        except InputError:
            sorted_ = in_order(names)
        place = next((place for place, (name, other) in enumerate(zip(names, sorted_, strict=False)) if name != other), None)
        if place is not None:
            fix = "Sort the rows as the images are sorted."
            raise InputError(str(path), expected=f"{sorted_[place]} in row {place + 1}", found=f"{names[place]}", fix=fix)
    return str(names[0]), [row if index < first else row[last:] for index, row in enumerate(rows)]


def _check_header(path: Path, lines: list[_Line], rows: list[list[str]], numeric: list[bool], first: int) -> None:
    """Raise InputError for numbers among the header lines, except for a line below a text that states the number of rows."""
    above = [index for index in range(first) if numeric[index]]
    stated = len(above) == 1 and above[0] > 0 and str(len(lines) - first) in rows[above[0]]
    if above and not stated:
        line = lines[next(index for index in range(above[0], first) if not numeric[index])]
        raise InputError(f"{path}: line {line.number}", expected="numbers", found=f"'{line.text[:60]}' between numbers", fix=KEEP)


def _wanted(path: Path, reading: _Reading, rows: int | None, columns: int | None, name: str, unit: str) -> tuple[np.ndarray, str, str]:
    """Return the expected part of a reading, a note where something is left out, and its header if one of several columns was chosen.

    Raise InputError for other shapes.
    """
    values, (count, width) = reading.values, reading.values.shape
    said, header = f"the names or times before the numbers ({reading.names} ...) are left out" if reading.names else "", ""
    if columns == 1 and width == 1 and rows is not None and count == rows + 1 and reading.words[0][0] == str(rows):
        values, said = values[1:], f"the first line, {rows}, is the number of the others"
    if columns == 1 and width > 1:
        named = [index for index, word in enumerate(reading.header) if name and re.search(name, word, re.IGNORECASE)]
        if len(named) > 1:  # such as theta_deg and theta_rad
            named = [index for index in named if unit in _units(reading.header[index], unit)] or named
        if len(named) == 1:
            header = reading.header[named[0]]
            values, said = values[:, named], f"the column '{header}' is used"
        elif count * width == rows and _even(values):
            values = values.reshape(-1, 1)
        elif width == 2 and not named and _is_index(reading):
            values, said = values[:, 1:], f"the first column counts the rows, the second one ({values[0, 1]:g} ...) is used"
    if (columns is not None and values.shape[1] != columns) or (rows is not None and len(values) != rows):
        expected = " of ".join(f"{number} {word}" for number, word in ((rows, "rows"), (columns, "numbers")) if number is not None)
        found = f"{count} of {width} in lines {reading.lines[0]} to {reading.lines[-1]}"
        first = "" if reading.lines[0] > 1 else " If line 1 is a header, put # before it."
        raise InputError(str(path), expected=expected, found=found, fix=KEEP + first + NAME_IT * (columns == 1 and width > 1))
    return values, said, header


def _check_unit(path: Path, header: str, unit: str) -> None:
    """Raise InputError if a header names only other units of the same kind."""
    named = _units(header, unit)
    if unit in UNITS and named and unit not in named:
        key = "angle_unit" if unit in ("degrees", "radians") else "length_unit"
        fix = f"Set {key} or convert the numbers; without a unit in its header the file is taken as {unit}."
        raise InputError(str(path), expected=f"{unit}, as {key} in scan.yaml says", found=f"{' and '.join(named)} in the header", fix=fix)


def _units(header: str, unit: str) -> list[str]:
    """Return the units of the kind of `unit` that a header names."""
    kind = [name for name in UNITS if (name in ("degrees", "radians")) == (unit in ("degrees", "radians"))]
    return [name for name in kind if re.search(rf"(?<![A-Za-z])(?:{UNITS[name]})(?![A-Za-z])", header, re.IGNORECASE)]


def _even(values: np.ndarray) -> bool:
    """Return True for one row, and for rows that continue each other in even steps."""
    steps = np.diff(values.ravel())
    return len(values) == 1 or bool(np.allclose(steps, steps[0], rtol=0.01, atol=0))


def _is_index(reading: _Reading) -> bool:
    """Return True if the first column is written in whole numbers that count 0, 1, 2, ... or 1, 2, 3, ..."""
    first = reading.values[:, 0]
    whole = all(word[0].isdecimal() for word in reading.words)
    return len(first) > 1 and whole and first[0] in (0, 1) and bool((np.diff(first) == 1).all())


def _padded_second(reading: _Reading) -> bool:
    """Return True if numbers behind the comma have leading zeros, as decimals do and whole numbers do not."""
    return reading.decimal == "." and reading.values.shape[1] == 2 and any(re.match("0[0-9]", row[1]) for row in reading.words)
