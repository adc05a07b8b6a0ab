"""Writes the stubs beside benchmark, benchmark.api and benchmark.fields, from their tables of exports.

python docs/stubs.py          writes them
python docs/stubs.py --check  exits with 1 if one of them is not what would be written
"""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the stubs describe the tree that they lie in

import benchmark  # noqa: E402
import benchmark.api  # noqa: E402
import benchmark.fields  # noqa: E402
from benchmark.plugins.exports import Exports  # noqa: E402

OWNERS = {"benchmark.api": benchmark.api.EXPORTS, "benchmark.fields": benchmark.fields.EXPORTS, "benchmark": benchmark.EXPORTS}


def stub(exports: Exports) -> str:
    """The stub of a module of exports: what type checkers and editors read."""
    lines = [f"# Written by docs/stubs.py (make docs) from the table of {exports.owner}.", "# ruff: noqa"]
    for title, group in exports.groups.items():
        lines += ["", f"# {title}", *(f"from {module} import {name} as {name}" for name, module in group.items())]
    names = "".join(f'    "{name}",\n' for name in exports.names)
    version = ["__version__: str"] if exports.owner == "benchmark" else []
    lines += ["", "from benchmark.plugins.exports import Exports", "", *version, "EXPORTS: Exports"]
    return "\n".join([*lines, f"__all__ = [\n{names}]\n"])


def outputs() -> dict[Path, str]:
    """Every file that this writes, with its text."""
    found = {}
    for owner, exports in OWNERS.items():
        source = Path(inspect.getsourcefile(importlib.import_module(owner)) or "")
        found[source.with_suffix(".pyi")] = stub(exports)
    return found


def main() -> int:
    stale = [path for path, text in outputs().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        print(f"{path.relative_to(ROOT)}: {'not up to date' if '--check' in sys.argv else 'written'}")
        if "--check" not in sys.argv:
            path.write_text(outputs()[path], encoding="utf-8")
    return int(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
