"""What the sources import beyond what import-linter checks (pyproject.toml), and what importing the plug-in interface costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.conformance.imports import imports

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("benchmark", "methods", "datasets")  # folders of this repository
FORMATS = {"nibabel", "tifffile", "PIL", "SimpleITK", "pydicom"}
HEAVY = {"torch", "pandas", "matplotlib", "seaborn", "scipy", "skimage", "rich", "typer"} | FORMATS


def sources(folder: str) -> list[Path]:
    """Python files of a folder of the repository; rglob follows no links, so that methods/ is not also part of benchmark/."""
    return sorted((ROOT / folder).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return name if parts[0] == "benchmark" else f"benchmark.{name}"


def own_imports(path: Path) -> list[str]:
    found = imports(path.read_text(), module_name(path), is_package=path.name == "__init__.py")
    return [name for name in found if within(name, "benchmark")]


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def test_the_reader_of_imports_sees_every_way_to_import():
    text = "import a.b\nfrom c import d\nfrom . import e\nfrom ..f import g\ndef h():\n    import i\nimportlib.import_module('j')"
    assert sorted(imports(text, "p.q.r", is_package=False)) == ["a.b", "c.d", "i", "j", "p.f.g", "p.q.e"]
    assert list(imports("from . import e", "p.q", is_package=True)) == ["p.q.e"]


def test_the_harness_imports_no_method_and_no_dataset():
    plug_ins = ("benchmark.methods", "benchmark.datasets", "methods", "datasets")
    found = [
        f"{path.name} imports {name}"
        for path in sources("benchmark")
        for name in imports(path.read_text(), module_name(path), is_package=path.name == "__init__.py")
        if any(within(name, folder) for folder in plug_ins)
    ]
    assert found == []


def test_the_harness_names_no_method():
    """A harness that knows a method by its name would treat it differently."""
    from benchmark.plugins import registry

    names = {path.stem for path in (ROOT / "methods").iterdir() if not path.name.startswith(("_", "."))}
    names -= {"naf"}  # also the name of a published protocol and file format
    found = []
    for path in sources("benchmark"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in names:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: '{node.value}'")
    assert found == []
    assert registry.FOLDERS == ("benchmark.methods", "benchmark.datasets")


def modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    return set(done.stdout.split())


def test_the_api_costs_little():
    loaded = modules_after("import benchmark.api")
    assert not HEAVY & loaded
    assert not {
        name for name in loaded if within(name, "benchmark.methods") or within(name, "benchmark.datasets") or within(name, "benchmark.cli")
    }


def test_every_name_of_the_api_can_be_had():
    from benchmark import api

    for name in api.__all__:
        assert getattr(api, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        api.nonsense  # noqa: B018


def test_the_command_line_starts_without_the_heavy_parts():
    loaded = modules_after("from benchmark.cli import main")
    assert not (HEAVY - {"rich", "typer"}) & loaded
