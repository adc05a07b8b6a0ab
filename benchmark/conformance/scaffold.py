"""Starting package of a new method: installs, runs, and passes its own test."""

from __future__ import annotations

import importlib.util
import keyword
import re
from pathlib import Path

from benchmark.errors import InputError
from benchmark.storage import atomic
from benchmark.storage.writable import prove_folder

TEMPLATES = Path(__file__).parent / "package"


def write_package(name: str, folder: Path) -> list[Path]:
    """Write <folder>/<name>/ with a method of this name; return its files. Raise InputError for a bad name or an existing folder.

    The package itself lies in src/: otherwise Python, started in the folder above, would import the outer folder as the package.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    module = name.replace("-", "_")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", module) or keyword.iskeyword(module):
        raise InputError("name", expected="letters, digits, '-' and '_', a letter first", found=repr(name), fix="For example: my_method.")
    home = folder / module
    if home.exists():
        raise InputError(str(home), expected="a folder that does not exist yet", found="one", fix="Choose another name or DIR.")
    if importlib.util.find_spec(module) is not None:
        raise InputError("name", expected="a name that no installed module has", found=f"'{module}'", fix="Choose another name.")
    prove_folder(folder, str(folder), "Choose another DIR.")
    templates = Environment(loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, keep_trailing_newline=True)
    title = "".join(part.capitalize() for part in module.split("_"))
    written = []
    for template in sorted(TEMPLATES.rglob("*.j2")):
        relative = str(template.relative_to(TEMPLATES))
        path = home / relative.removesuffix(".j2").replace("METHOD", module)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = templates.get_template(relative).render(module=module, title=title, distribution=module.replace("_", "-"))
        atomic.create(path, text.encode())
        written.append(path)
    return written
