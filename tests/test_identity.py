"""The identity of a method's code: what changes its digest and what does not, and that nothing is imported or run for it."""

from __future__ import annotations

import importlib
import os
import py_compile
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from benchmark.api import MethodSpec, Params
from benchmark.plugins import identity as identities
from benchmark.plugins.identity import changed, identity
from benchmark.plugins.registry import registry

SOLVE = '''"""A solver."""
from __future__ import annotations
from typing import TYPE_CHECKING
from . import steps
if TYPE_CHECKING:
    from .typed import Words


def solve(scan, params, run):
    """Solve."""
    from .deep import inner  # on demand

    return steps.go(inner, 2)
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package `own_ct` whose modules would end the process if one of them ran."""
    root = tmp_path / "own_ct"
    files = {
        "__init__.py": "import os\nos._exit(5)\n",
        "solve.py": SOLVE,
        "steps.py": "raise SystemExit\ndef go(inner, count): return count\n",
        "deep/__init__.py": "from .inner import inner\n",
        "deep/inner.py": "inner = 1\n",
        "typed.py": "Words = str\n",
        "aside.py": "unused = 1\n",
        "kernel.cu": "// a kernel\n",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(exist_ok=True, parents=True)
        (root / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    return root


def digest(target: Any = "own_ct.solve:solve") -> str:
    return identity(MethodSpec(name="own", target=target))["digest"]


def edit(path: Path, text: str) -> None:
    """Write a file with another time stamp, however coarse the clock."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    os.utime(path, ns=(before + 10**9,) * 2)


def test_comments_docstrings_formatting_and_hints_change_nothing(package):
    first = digest()
    assert len(first) == 16 and "own_ct" not in sys.modules
    text = SOLVE.replace('"""Solve."""', '"""Solve\n\n    at length."""\n    # said').replace(
        "(inner, 2)", "(\n        inner,\n        2,\n    )"
    )
    edit(package / "solve.py", text.replace("Words", "Other"))
    edit(package / "typed.py", "Other = int\n")
    edit(package / "aside.py", "unused = 2\n")
    assert digest() == first


@pytest.mark.parametrize("name", ["__init__.py", "solve.py", "steps.py", "deep/__init__.py", "deep/inner.py"])
def test_a_change_in_any_module_that_is_reached_is_seen(package, name):
    first = digest()
    edit(package / name, (package / name).read_text() + "\nadded = 1\n")
    assert digest() != first
    edit(package / name, (package / name).read_text() + "\nadded = (\n")  # not Python
    assert digest() not in ("", first)


def test_kernels_count_by_their_bytes(package):
    first = digest()
    edit(package / "kernel.cu", "// a Kernel\n")
    assert digest() != first


def test_a_value_is_not_its_name(package):
    edit(package / "deep/inner.py", "inner = 1\n")
    number = digest()
    edit(package / "deep/inner.py", "inner = '1'\n")
    assert digest() != number
    edit(package / "deep/inner.py", "inner = True\n")
    assert digest() != number


def test_sources_in_an_archive_compiled_or_absent(package, tmp_path, monkeypatch):
    archive = tmp_path / "zipped.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("zipped_ct/__init__.py", "")
        file.writestr("zipped_ct/solve.py", SOLVE)
        file.writestr("zipped_ct/steps.py", "")
    py_compile.compile(str(package / "steps.py"), str(tmp_path / "compiled_ct.pyc"))
    (tmp_path / "binary_ct.abi3.so").write_bytes(b"\x7fELF not really")
    (tmp_path / "space" / "ct").mkdir(parents=True)
    (tmp_path / "space" / "ct" / "solve.py").write_text("from . import other\n")
    monkeypatch.syspath_prepend(str(archive))
    importlib.invalidate_caches()
    found = [digest(f"{module}:solve") for module in ("zipped_ct.solve", "compiled_ct", "binary_ct", "space.ct.solve")]
    assert all(len(value) == 16 for value in found) and len(set(found)) == 4
    gone = identity(MethodSpec(name="own", target="nowhere_ct.solve:solve"))
    assert gone["digest"] == "" and gone["reason"] == "its source is not available: no file of nowhere_ct.solve"
    assert identity(MethodSpec(name="own", target="sys:exit"))["digest"] == ""


def test_functions_of_a_session_have_no_digest_and_those_of_a_script_have_its(monkeypatch, tmp_path):
    space: dict[str, Any] = {"__name__": "__main__"}
    exec("def solve(scan, params, run): return None", space)
    main = sys.modules["__main__"]
    monkeypatch.delattr(main, "__file__", raising=False)
    facts = identity(MethodSpec(name="own", target=space["solve"]))
    assert facts["digest"] == "" and "defined in a session" in facts["reason"]
    (tmp_path / "script.py").write_text("def solve(): pass\n")
    monkeypatch.setattr(main, "__file__", str(tmp_path / "script.py"), raising=False)
    assert len(digest(space["solve"])) == 16


def test_parameters_and_skip_in_modules_of_their_own_count(package, monkeypatch):
    class OwnParams(Params):
        pass

    OwnParams.__module__ = "own_ct.aside"
    method = MethodSpec(name="own", target="own_ct.solve:solve", params=OwnParams)
    first = identity(method)["digest"]
    edit(package / "aside.py", "unused = 3\n")
    assert identity(method)["digest"] != first


def test_of_the_harness_the_rooms_count_in_which_numbers_are_made():
    reached = {}
    for name in ("fdk", "naf"):
        closure = identities._Closure("benchmark", [f"benchmark.methods.{name}.reconstruct"])
        closure.digest()
        reached[name] = set(closure.digests)
    assert {"benchmark.methods.fdk", "benchmark.reconstruction.fdk", "benchmark.scan.geometry", "benchmark.kernels/cpu/fdk.cpp"} <= reached[
        "fdk"
    ]
    assert {"benchmark.fields.hash_grid", "benchmark.kernels/shared/hash_grid.h"} <= reached["naf"]
    assert not any(name.startswith(("benchmark.methods.fdk", "benchmark.reconstruction.fdk")) for name in reached["naf"])
    rooms = {name.split(".")[1].partition("/")[0] for names in reached.values() for name in names}
    assert rooms == set(identities.OWN_ROOMS)


def test_every_built_in_method_has_an_identity():
    facts = {name: identity(method) for name, method in registry().methods.items()}
    ours = {name: values for name, values in facts.items() if values["module"].startswith("benchmark.methods.")}
    assert len(ours) > 8 and all(len(values["digest"]) == 16 and values["distribution"] == "seed-ct" for values in ours.values())
    assert len({values["digest"] for values in ours.values()}) >= len(ours) - 1  # sart and ossart are one module


def test_only_two_digests_tell_of_a_change():
    assert changed({"digest": "a"}, {"digest": "b"})
    assert not any(
        changed(*pair) for pair in [({"digest": "a"}, {"digest": "a"}), ({}, {"digest": "b"}), ({"digest": "a"}, {"digest": ""})]
    )
