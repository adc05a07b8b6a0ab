"""The chain of pages in a TIFF file: each names the place of the next one, and a damaged one may name an earlier one."""

from __future__ import annotations

import struct
from pathlib import Path

from benchmark.errors import InputError
from benchmark.files.limits import MOST_VIEWS

FORMS = {42: ("I", 4, "H", 12), 43: ("Q", 8, "Q", 20)}  # TIFF and BigTIFF: an offset, where the first is, a count, bytes of a tag


def check_chain(path: Path) -> None:
    """Raise InputError for a chain without end, in which a reader never comes to the last page."""
    with path.open("rb") as file:
        head = file.read(4)
        order = "<" if head[:2] == b"II" else ">"
        if len(head) < 4 or (form := struct.unpack(f"{order}H", head[2:])[0]) not in FORMS:
            return  # left to the reader
        offset_type, first, count_type, tag = FORMS[form]
        width, seen = struct.calcsize(offset_type), set[int]()
        file.seek(first)
        while len(content := file.read(width)) == width and (offset := struct.unpack(order + offset_type, content)[0]):
            if offset in seen or len(seen) > MOST_VIEWS:
                raise InputError(str(path), expected="a last page", found="pages that follow one another in a circle")
            seen.add(offset)
            file.seek(offset)
            count = file.read(struct.calcsize(count_type))
            if len(count) < struct.calcsize(count_type):
                return
            file.seek(offset + len(count) + tag * struct.unpack(order + count_type, count)[0])
