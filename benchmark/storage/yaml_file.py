"""YAML as plain data: no tags, no duplicate keys, errors with file and line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from benchmark.errors import InputError
from benchmark.storage.text import decoded

FLOAT = "tag:yaml.org,2002:float"


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses duplicate keys (plain YAML silently keeps the last one) and explicit tags."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if getattr(event, "tag", None) is not None:
            raise yaml.MarkedYAMLError(problem=f"the tag {event.tag!r} is not allowed here", problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be a plain word", problem_mark=key_node.start_mark)
            if key_node.value in seen and key_node.value != "<<":
                raise yaml.MarkedYAMLError(problem=f"the key '{key_node.value}' appears twice", problem_mark=key_node.start_mark)
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


# YAML 1.1, which PyYAML implements, reads 1e5 as a word; YAML 1.2 reads it as a number.
_Loader.add_implicit_resolver(FLOAT, re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"), list("-+.0123456789"))


def read_yaml(path: Path) -> dict[str, Any]:
    """Read the mapping in a YAML file ({} if it is empty). Raise InputError for anything else."""
    try:
        text = decoded(path.read_bytes(), f"config {path}")
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
    try:
        return yaml.load(text, Loader=_Loader)  # a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{where}, line {mark.line + 1}, column {mark.column + 1}" if mark else where
        raise InputError(place, expected="valid YAML", found=getattr(error, "problem", None) or str(error)) from None
    except (ValueError, RecursionError) as error:  # an impossible date, nesting without end
        raise InputError(where, expected="valid YAML", found=str(error)) from None
