"""Words of strangers on pages: cut to a length, without control characters, under file names that are only letters and digits."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from benchmark.records.record import RunRecord

NAME, TEXT = 120, 4000  # longest name of a method or a case, and longest text [characters]


def clean(text: str, longest: int = TEXT) -> str:
    """Return a text that is safe to look at: unprintable characters become U+FFFD, a long text is cut, and a hash keeps it distinct."""
    if len(text) > longest:
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:6]
        text = f"{text[: longest - 10]} ... {digest}"
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "\N{REPLACEMENT CHARACTER}" for letter in text)


def cleaned(value: Any, longest: int = TEXT) -> Any:
    """Return a value of JSON's types with clean texts and keys."""
    if isinstance(value, str):
        return clean(value, longest)
    if isinstance(value, Mapping):
        return {clean(str(key), NAME): cleaned(item, longest) for key, item in value.items()}
    return [cleaned(item, longest) for item in value] if isinstance(value, list | tuple) else value


def tamed(record: RunRecord) -> RunRecord:
    """Return a record whose words are clean. What leads to its files stays: its run id and its data digest."""
    spec = record.spec
    names = {name: clean(getattr(spec, name), NAME) for name in ("dataset", "method", "preset")}
    names |= {name: cleaned(getattr(spec, name), 300) for name in ("dataset_params", "method_params")}
    words = {name: cleaned(getattr(record, name), 300) for name in ("engine", "device", "environment", "plugin", "info", "pretrained")}
    words |= {
        "case": clean(record.case, NAME),
        "tags": tuple(clean(tag, 40) for tag in record.tags),
        "started": clean(record.started, 40),
        "reason": clean(record.reason),
        "log_tail": clean(record.log_tail),
        "metrics": {clean(name, 60): value for name, value in record.metrics.items()},
    }
    return record.model_copy(update={**words, "spec": spec.model_copy(update=names)})


def file_names(front: str, names: Iterable[str]) -> dict[str, str]:
    """Return the file name of a page for each name: 'method-fdk.html'. They differ for every file system and are none of its own."""
    found: dict[str, str] = {}
    taken = {front}
    for name in names:
        stem = "-".join(filter(None, [front, re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60]]))
        plain, digest = stem, hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        length = 8
        while stem in taken:  # a stranger's name may be that of another one with its digest
            stem, length = f"{plain}-{digest[:length]}", length + 1
        taken.add(stem)
        found[name] = f"{stem}.html"
    return found
