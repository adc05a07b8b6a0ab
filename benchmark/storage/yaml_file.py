"""YAML as plain data: no tags, no aliases, no duplicate keys, bounded in size and depth, errors with file and line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from benchmark.errors import InputError
from benchmark.storage.text import decoded

MOST_CHARACTERS = 4 << 20
MOST_VALUES = 200_000
DEPTH = 50
LONGEST_NUMBER = 400  # characters; the largest float has 309 digits
FLOAT, INT, MERGE = (f"tag:yaml.org,2002:{name}" for name in ("float", "int", "merge"))


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses duplicate keys (plain YAML silently keeps the last one), explicit tags, aliases and merge keys.

    By aliases a short text can stand for any amount of data."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = self.values = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        self.values += 1
        if isinstance(event, yaml.AliasEvent):
            raise self.refusal(f"the alias *{event.anchor} is not allowed here, write the value again", event)
        if event.tag is not None:
            raise self.refusal(f"the tag {event.tag!r} is not allowed here", event)
        if self.depth > DEPTH:
            raise self.refusal(f"more than {DEPTH} levels", event)
        if self.values > MOST_VALUES:
            raise self.refusal(f"more than {MOST_VALUES} values", event)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        if isinstance(node, yaml.ScalarNode) and node.tag in (FLOAT, INT) and len(node.value) > LONGEST_NUMBER:
            raise self.refusal(f"a number of {len(node.value)} characters", event)
        return node

    @staticmethod
    def refusal(problem: str, event: Any) -> yaml.MarkedYAMLError:
        return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be a plain word", problem_mark=key_node.start_mark)
            if key_node.tag == MERGE:
                raise yaml.MarkedYAMLError(problem="the merge key << is not allowed here", problem_mark=key_node.start_mark)
            if key_node.value in seen:
                raise yaml.MarkedYAMLError(problem=f"the key '{key_node.value}' appears twice", problem_mark=key_node.start_mark)
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


# YAML 1.1, which PyYAML implements, reads 1e5 as a word; YAML 1.2 reads it as a number.
_Loader.add_implicit_resolver(FLOAT, re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"), list("-+.0123456789"))


def read_yaml(path: Path) -> dict[str, Any]:
    """Read the mapping in a YAML file ({} if it is empty). Raise InputError for anything else."""
    try:
        with path.open("rb") as file:
            text = decoded(file.read(4 * MOST_CHARACTERS + 4), f"config {path}")  # of up to four bytes each
    except FileNotFoundError:
        raise InputError(f"config {path}", expected="a YAML file", found="no such file") from None
    except OSError as error:
        raise InputError(f"config {path}", expected="a readable YAML file", found=str(error)) from None
    content = parse_yaml(text, f"config {path}")
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"config {path}", expected="keys and values (key: value)", found=type(content).__name__)
    return {str(key): value for key, value in content.items()}


def parse_yaml(text: str, where: str) -> Any:
    """Parse a YAML text. Raise InputError, naming the line, if it is invalid."""
    if len(text) > MOST_CHARACTERS:
        raise InputError(where, expected=f"a YAML text of at most {MOST_CHARACTERS >> 20} million characters", found="a longer one")
    try:
        return yaml.load(text, Loader=_Loader)  # a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{where}, line {mark.line + 1}, column {mark.column + 1}" if mark else where
        raise InputError(place, expected="valid YAML", found=getattr(error, "problem", None) or str(error)) from None
    except (ValueError, RecursionError) as error:  # an impossible date, nesting without end
        raise InputError(where, expected="valid YAML", found=str(error)) from None
