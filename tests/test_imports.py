"""What the sources import beyond what import-linter checks (pyproject.toml), and what importing the plug-in interface costs."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.plugins.identity import imports

ROOT = Path(__file__).resolve().parent.parent
PLUG_INS = ("methods", "datasets")  # links in a clone, folders in a source distribution
SOURCES = ("benchmark", *(f"benchmark/{folder}" for folder in PLUG_INS))
FORMATS = {"nibabel", "tifffile", "PIL", "SimpleITK", "pydicom"}
HEAVY = {"torch", "pandas", "matplotlib", "seaborn", "scipy", "skimage", "rich", "typer"} | FORMATS


def sources(folder: str) -> list[Path]:
    """Python files of a folder of the repository; those of plug-ins are not part of benchmark."""
    own = {ROOT / "benchmark" / name for name in PLUG_INS} if folder == "benchmark" else set()
    return [path for path in sorted((ROOT / folder).rglob("*.py")) if not own & set(path.parents)]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def own_imports(path: Path) -> list[str]:
    found = imports(ast.parse(path.read_bytes()), module_name(path), is_package=path.name == "__init__.py")
    return [name for name in found if within(name, "benchmark")]


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def test_the_reader_of_imports_sees_every_way_to_import():
    text = "import a.b\nfrom c import d\nfrom . import e\nfrom ..f import g\ndef h():\n    import i\nimportlib.import_module('j')"
    assert sorted(imports(ast.parse(text), "p.q.r", is_package=False)) == ["a.b", "c.d", "i", "j", "p.f.g", "p.q.e"]
    assert list(imports(ast.parse("from . import e"), "p.q", is_package=True)) == ["p.q.e"]


def test_the_harness_imports_no_method_and_no_dataset():
    plug_ins = ("benchmark.methods", "benchmark.datasets", "methods", "datasets")
    found = [
        f"{path.name} imports {name}"
        for path in sources("benchmark")
        for name in imports(ast.parse(path.read_bytes()), module_name(path), is_package=path.name == "__init__.py")
        if any(within(name, folder) for folder in plug_ins)
    ]
    assert found == []


def test_the_harness_names_no_method():
    """A harness that knows a method by its name would treat it differently."""
    from benchmark.plugins import registry

    names = {path.stem for path in (ROOT / "benchmark" / "methods").iterdir() if not path.name.startswith(("_", "."))}
    names -= {"naf", "gaussians"}  # also a published protocol and file format, and a number that methods log
    found = []
    for path in sources("benchmark"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in names:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: '{node.value}'")
    assert found == []
    assert registry.FOLDERS == ("benchmark.methods", "benchmark.datasets")


def modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    return set(done.stdout.split())


PLUGIN = """
from benchmark.api import Case, ConeBeamGeometry, DatasetParams, DatasetSpec, Field, InputError, MethodSpec, Params, Scan, hookimpl

class Mine(Params):
    steps: int = Field(3, ge=1, description="steps")

@hookimpl
def register_methods():
    return [MethodSpec(name="mine", target="mine.reconstruct:reconstruct", params=Mine, summary="a method")]

Mine(steps=4), register_methods()
"""


def test_import_benchmark_costs_next_to_nothing():
    """Every script and every command pays for it. The least of three: other processes may want the machine, too."""
    loaded = modules_after("import benchmark")
    assert "benchmark" in loaded and not (HEAVY | {"pydantic", "numpy", "benchmark.python", "benchmark.errors"}) & loaded
    code = "import time; began = time.perf_counter(); import benchmark; print(time.perf_counter() - began)"
    times = [float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT).stdout) for _ in range(3)]
    assert min(times) < 0.3


@pytest.mark.parametrize("code", ["import benchmark.api", PLUGIN], ids=["api", "plug-in"])
def test_the_api_and_a_plugin_that_describes_itself_cost_little(code):
    """Listing methods imports every plug-in: none may bring torch, or another plug-in, along."""
    loaded = modules_after(code)
    assert "benchmark.api" in loaded  # something was imported at all
    assert not HEAVY & loaded
    assert not {
        name for name in loaded if within(name, "benchmark.methods") or within(name, "benchmark.datasets") or within(name, "benchmark.cli")
    }


def test_heavy_names_of_the_api_bring_their_own_parts_only_when_asked_for():
    loaded = modules_after("import benchmark.api\nbenchmark.api.Projector")
    assert "torch" in loaded and not {"matplotlib", "pandas", "seaborn", "skimage", "typer"} & loaded


def declared(tree: ast.Module) -> dict[str, str]:
    """The module that each name of benchmark.api comes from, as the imports of its stub say."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module is not None]
    return {alias.name: str(node.module) for node in nodes for alias in node.names}


@pytest.mark.parametrize("owner", ["benchmark", "benchmark.api"])
def test_every_name_is_the_one_that_type_checkers_see(owner):
    """At run time names come from a table, for type checkers from the stub: both must name the same objects."""
    module = importlib.import_module(owner)
    tree = ast.parse(Path(module.__file__).with_suffix(".pyi").read_text())
    places = declared(tree)
    assert list(module.__all__) == sorted(set(module.__all__)) and set(module.__all__) <= places.keys()
    for name in module.__all__:
        assert getattr(module, name) is getattr(importlib.import_module(places[name]), name), name
    unlisted = {name for name, place in places.items() if within(place, "benchmark")} - {*module.__all__, "Exports"}
    assert unlisted == set()
    with pytest.raises(AttributeError, match=f"module '{owner}' has no attribute 'nonsense'"):
        module.nonsense  # noqa: B018


def test_the_command_line_starts_without_the_heavy_parts():
    loaded = modules_after("from benchmark.cli import main")
    assert not (HEAVY - {"rich", "typer"}) & loaded
