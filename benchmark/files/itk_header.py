"""Headers of NRRD and MetaImage files, checked before ITK reads them: it trusts their data file, lengths and checksums."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmark.errors import InputError
from benchmark.files.compressed import check_packed
from benchmark.files.limits import check_array
from benchmark.files.units import mm_per

MOST_HEADER, MOST_LINE = 1 << 16, 1 << 14  # [bytes]
MOST_FIELD = 500  # [bytes] of an NRRD field; from 1000 on ITK's messages about it overflow, and the process dies
MOST_NAME = 250  # characters of a MetaImage's name; longer ones overflow ITK's buffer
NRRD = (".nrrd", ".nhdr")


@dataclasses.dataclass(frozen=True)
class Header:
    """Text of a header, the file with the numbers, and where they begin in it."""

    path: Path
    text: str
    data: Path
    start: int

    @classmethod
    def read(cls, path: Path) -> Header:
        """Raise InputError for a header too long, for spacings that ITK would silently make positive, and for numbers in other folders."""
        with path.open("rb") as file:
            block = file.read(MOST_HEADER)
        end = re.search(rb"\r?\n\r?\n" if path.suffix.lower() in NRRD else rb"^[ \t]*ElementDataFile[ \t]*=[^\n]*\n?", block, re.MULTILINE)
        if end is None and (path.stat().st_size >= MOST_HEADER or path.suffix.lower() not in NRRD):
            last = "" if path.suffix.lower() in NRRD else " that ends in ElementDataFile = ..."
            raise InputError(str(path), expected=f"a header of at most {MOST_HEADER >> 10} KiB{last}", found="no end of it")
        raw = block[: end.end()] if end else block
        _check_lines(path, re.split(rb"[\r\n]", raw))
        text = raw.decode("latin-1").replace("\r", "\n")
        data = _data_file(path, text)
        if path.suffix.lower() not in NRRD:
            _check_meta(path, text)
        found = cls(path, text, data, len(raw) if data == path else 0)
        words = found.field("ElementSpacing", "spacings").split()
        if any(re.fullmatch(r"-.*|[+]?0*[.]?0*(e.*)?|nan|inf", word, re.IGNORECASE) for word in words):
            raise InputError(str(path), expected="positive voxel spacings", found=" ".join(words))
        return found

    def field(self, *names: str) -> str:
        """Return the value of the first of these fields that is there; '' for none."""
        for name in names:
            match = re.search(rf"^\s*{name}\s*(?:=|:=|:)(.*)$", self.text, re.IGNORECASE | re.MULTILINE)
            if match:
                return match.group(1).strip()
        return ""

    def units(self) -> tuple[np.ndarray, np.ndarray, str]:
        """Return mm per unit along the axes of space [3] and of the array (fastest first) [3], and a note. Raise InputError if unknown."""
        space, index = np.ones(3), np.ones(3)
        said: dict[str, None] = {}
        for name, into in (("space units", space), ("units", index), ("DistanceUnits", space)):
            words = _words(self.field(name))
            words = words * 3 if name == "DistanceUnits" else words
            if words and len(words) != 3:
                raise InputError(f"{self.path}: {name}", expected="one unit for each axis", found=f"{len(words)}")
            for axis, word in enumerate(words):
                length = mm_per(f"{self.path}: {name}", word)
                into[axis] = length or 1.0
                said.update({word: None} if length not in (None, 1.0) else {})
        return space, index, f", lengths in {', '.join(said)} as its header says" if said else ""

    def check_data(self, shape: Sequence[int], dtype: np.dtype) -> None:
        """Raise InputError for numbers that are too many, cut off (ITK would return uninitialised memory) or damaged in their archive."""
        check_array(str(self.path), shape, np.dtype(np.float32))
        size = math.prod(shape) * dtype.itemsize
        encoding = self.field("encoding").lower()
        if self.field("CompressedData").lower().startswith("t") or encoding in ("gz", "gzip"):
            check_packed(str(self.path), self.data, self.start, "zlib", size)
        elif encoding in ("bz2", "bzip2"):
            check_packed(str(self.path), self.data, self.start, "bzip2", size)
        elif encoding in ("", "raw") and not self.field("BinaryData").lower().startswith("f"):
            check_array(str(self.path), shape, dtype, stored=self.data.stat().st_size - self.start)


def _check_lines(path: Path, lines: Sequence[bytes]) -> None:
    """Raise InputError for lines that are longer than the buffers of ITK's readers."""
    nrrd = path.suffix.lower() in NRRD
    for number, line in enumerate(lines, 1):
        free = not nrrd or line.startswith((b"#", b"content:")) or b":=" in line
        most = MOST_LINE if free else MOST_FIELD
        if len(line) > most:
            found = f"{len(line)}, in line {number}: {line[:40].decode('latin-1')!r} ..."
            raise InputError(str(path), expected=f"at most {most} characters in a line of its header", found=found)


def _check_meta(path: Path, text: str) -> None:
    """Raise InputError for a number of axes and a name of a MetaImage that would end the process: ITK takes both unchecked."""
    axes = re.findall(r"^\s*NDims\s*[=:][ \t]*(.*?)\s*$", text, re.MULTILINE)
    if len(axes) != 1 or not re.fullmatch(r"\d{1,2}", axes[0]):
        raise InputError(f"{path}: NDims", expected="one number of axes", found=", ".join(axes)[:40] or "none")
    longest = max(map(len, re.findall(r"^\s*Name\s*[=:][ \t]*(.*)$", text, re.MULTILINE)), default=0)
    if longest > MOST_NAME:
        raise InputError(f"{path}: Name", expected=f"at most {MOST_NAME} characters", found=f"{longest}")


def _words(text: str) -> list[str]:
    """Split units, quoted or not; a header may be UTF-8."""
    try:
        text = text.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        pass
    return re.findall(r'"([^"]*)"', text) or text.split()


def _data_file(path: Path, text: str) -> Path:
    """Return the file with the numbers: the header itself or a file in its folder. No other folder is allowed."""
    names = re.findall(r"^\s*(?:ElementDataFile\s*=|data ?file:)\s*(\S.*?)\s*$", text, re.IGNORECASE | re.MULTILINE)
    if len(names) > 1:
        raise InputError(str(path), expected="one file with the numbers", found=f"{len(names)} named")
    name = names[0] if names else "LOCAL"
    if name.upper() == "LOCAL":
        return path
    if name.upper().split()[0] == "LIST":
        raise InputError(str(path), expected="one file with the numbers", found="a list of files")
    if not name.isprintable() or len(name) > 255:
        raise InputError(str(path), expected="its numbers in a file beside it", found=f"{name!r:.80}")
    neighbour = path.parent / name
    if neighbour.resolve().parent != path.parent.resolve() or "%" in name:
        raise InputError(str(path), expected="its numbers in a file beside it", found=name)
    if not neighbour.is_file():
        raise InputError(str(path), expected=f"its numbers in {name} beside it", found="no such file")
    return neighbour
