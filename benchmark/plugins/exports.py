"""Exported names of a package, grouped by purpose and imported on first use."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Exports:
    """Exported names of the module `owner`: by purpose, each with its defining module.

    Single source of the names at run time (`attribute`), the stub for type checkers and editors, and the pages of
    the reference (docs/stubs.py and docs/site.py write both). A name whose module is `owner` itself is a submodule.
    """

    owner: str
    groups: Mapping[str, Mapping[str, str]]

    @property
    def modules(self) -> dict[str, str]:
        """Return the defining module of every name."""
        return {name: module for group in self.groups.values() for name, module in group.items()}

    @property
    def names(self) -> list[str]:
        """Return all names, sorted: the owner's `__all__` and `__dir__`."""
        return sorted(self.modules)

    def attribute(self, name: str) -> Any:
        """Import the object behind a name: the owner's `__getattr__`. Raise AttributeError for names that are not exported."""
        module = self.modules.get(name)
        if module is None:
            raise AttributeError(f"module '{self.owner}' has no attribute '{name}'")
        if module == self.owner:
            return importlib.import_module(f"{module}.{name}")
        return getattr(importlib.import_module(module), name)
