"""The source distribution and the wheel, built from this tree, installed outside of it and used there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from pathlib import Path

import pytest
from packages import make_wheel

ROOT = Path(__file__).resolve().parent.parent
BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, 'build_' + sys.argv[1])(sys.argv[2]))"
DEPENDENCIES = "\n".join(path for path in sys.path if path.endswith("site-packages")) + "\n"  # those of this environment
IGNORED = shutil.ignore_patterns(".*", "build", "*.egg-info", "results", "__pycache__")
# A stranger's package called `datasets`: what counts is that both can be imported, whichever came first.
STRANGER = {"datasets/__init__.py": b"name = 'not ours'\n", "datasets/arrow_dataset.py": b""}


def python(home: Path) -> Path:
    """The interpreter of an environment."""
    return home / "bin" / "python"


def done(*command: str | Path, folder: Path, **variables: str) -> str:
    """What a command prints that must end well. It sees nothing of this tree but what is installed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | variables
    result = subprocess.run(list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def create(home: Path) -> Path:
    """Create an environment that has the dependencies of this one; return its folder of packages."""
    venv.create(home)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    (site / "dependencies.pth").write_text(DEPENDENCIES)
    return site


def pip(home: Path, *arguments: str | Path) -> None:
    """pip, offline, for another environment."""
    done(sys.executable, "-m", "pip", "--quiet", "--python", python(home), *arguments, folder=home)


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist of a copy of this tree, and the wheel made from the unpacked sdist alone."""
    folder = tmp_path_factory.mktemp("built")
    tree = folder / "tree"
    shutil.copytree(ROOT, tree, symlinks=True, ignore=IGNORED)
    shutil.copy(ROOT / ".pre-commit-config.yaml", tree)
    shutil.copytree(ROOT / ".ci", tree / ".ci")
    sdist = folder / done(sys.executable, "-c", BUILD, "sdist", folder, folder=tree).splitlines()[-1]
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (source,) = (folder / "unpacked").iterdir()
    wheel = folder / done(sys.executable, "-c", BUILD, "wheel", folder, folder=source).splitlines()[-1]
    return sdist, wheel


@pytest.fixture(scope="module")
def environment(distributions: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel; its dependencies are those of this one."""
    home = tmp_path_factory.mktemp("environment")
    create(home)
    pip(home, "install", "--no-deps", "--no-index", distributions[1])
    return home


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder full of names that a present folder could mislead us with."""
    for name in ("datasets", "methods", "configs", "results", "naf", "numpy", "pydantic", "sirt", "torch", "yaml"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise RuntimeError('imported the present folder\\'s {name}')\n")
    return tmp_path


def test_every_file_of_the_tree_is_in_both(distributions):
    sdist, wheel = distributions
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    linked = {"methods", "datasets", "configs"}
    for folder in ("benchmark", "docs", "examples", "tests", *linked):
        for path in (ROOT / folder).rglob("*"):
            name = path.relative_to(ROOT).as_posix()
            if path.is_file() and not {"__pycache__", "output"} & set(path.parts):
                assert (f"benchmark/{name}" if folder in linked else name) in packed
    assert {"LICENSE", "NOTICE", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "Makefile", "constraints.txt"} <= packed
    listed = done(sys.executable, "-m", "zipfile", "-l", wheel, folder=wheel.parent)
    installed = {line.split()[0] for line in listed.splitlines()[1:]}
    ours = {name for name in packed if name.startswith("benchmark/") and Path(name).suffix}
    assert ours == {name for name in installed if name.startswith("benchmark/")}
    assert {name.partition("/")[0] for name in installed if ".dist-info" not in name} == {"benchmark"}


def test_an_installed_wheel_lists_and_runs_in_any_folder(environment, elsewhere):
    call = (python(environment), "-m", "benchmark")
    facts = json.loads(done(*call, "list", "--json", folder=elsewhere))
    assert facts["problems"] == [] and {"zerorf", "naf", "fdk"} <= {item["name"] for item in facts["methods"]}
    place = done(python(environment), "-c", "import benchmark; print(benchmark.__file__)", folder=environment)
    assert place.startswith(str(environment))
    doctor = done(*call, "doctor", folder=elsewhere)
    assert "broken" not in doctor and str(ROOT) not in doctor
    done(*call, "run", "--datasets", "walnut_sample", "--methods", "fdk,sart", "--views", "10", "--size", "32", folder=elsewhere)
    table = (elsewhere / "results" / "quick" / "tables" / "runs.csv").read_text()
    assert table.count(",ok,") == 2
    assert (elsewhere / "results" / "quick" / "report.html").exists()


@pytest.mark.parametrize("first", ["theirs", "ours"])
def test_a_package_called_datasets_lives_beside_it(first, distributions, tmp_path):
    """Hugging Face's, for one: installed before or after, and uninstalled again, both go on working."""
    home = tmp_path / "environment"
    site = create(home)
    make_wheel(tmp_path, "datasets", "9.9", STRANGER)
    theirs, ours = tmp_path / "datasets-9.9-py3-none-any.whl", distributions[1]
    for wheel in (theirs, ours) if first == "theirs" else (ours, theirs):
        pip(home, "install", "--no-deps", "--no-index", wheel)
    here = (python(home), "-c")
    assert done(*here, "import datasets; print(datasets.name)", folder=home).strip() == "not ours"
    known = json.loads(done(python(home), "-m", "benchmark", "list", "--json", folder=tmp_path))
    assert known["problems"] == [] and "ball" in {item["name"] for item in known["datasets"]}
    pip(home, "uninstall", "--yes", "seed-ct")
    assert done(*here, "import datasets; print(datasets.name)", folder=home).strip() == "not ours"
    assert not (site / "benchmark").exists()


@pytest.mark.slow
def test_the_source_distribution_passes_its_own_tests(distributions, tmp_path):
    with tarfile.open(distributions[0]) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    arguments = ("-m", "not gpu and not network and not slow", "--deselect", "tests/test_distributions.py", "-n", "2", "--dist", "loadfile")
    done(sys.executable, "-m", "pytest", *arguments, folder=source)
