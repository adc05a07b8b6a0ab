"""What the packaging files say agrees with the code and with each other."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest
import yaml

import benchmark
from benchmark.cli import main
from benchmark.machine import environment
from benchmark.plugins import registry

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
VERSION = re.findall(r'^version = "(.*)"$', PYPROJECT, re.MULTILINE)[0]


def test_the_version_is_that_of_the_checkout(capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark.__version__ == environment.environment()["benchmark"] == VERSION
    assert main.main(["--version"]) == 0
    assert capsys.readouterr().out == f"seed-ct {VERSION}\n"


def test_an_unknown_attribute_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'benchmark' has no attribute 'versions'"):
        getattr(benchmark, "versions")  # noqa: B009


@pytest.mark.parametrize("text", ["", '[project]\nname = "another"\nversion = "9"\n'])
def test_outside_a_checkout_the_version_is_that_of_the_installed_distribution(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    monkeypatch.setattr(environment, "HOME", tmp_path)
    installed = {"seed-ct": "1.2.3"}

    def version(name: str) -> str:
        try:
            return installed[name]
        except KeyError:
            raise metadata.PackageNotFoundError(name) from None

    monkeypatch.setattr(metadata, "version", version)
    assert environment.project_version.__wrapped__() == "1.2.3"
    installed.clear()
    assert environment.project_version.__wrapped__() == "0+unknown"


def test_changelog_and_citation_are_of_this_version() -> None:
    released = re.findall(r"^## \[([\d.]+)\] - (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert released[0] == (citation["version"], str(citation["date-released"])) and released[0][0] == VERSION
    assert citation["license"] == "Apache-2.0" and 'license = "Apache-2.0"' in PYPROJECT


def test_the_notice_names_every_dataset_that_others_made() -> None:
    notice = " ".join((ROOT / "NOTICE").read_text(encoding="utf-8").split())
    for name, spec in registry.load().datasets.items():
        if spec.licence:
            assert re.search(rf"\b{name}\b", notice) and spec.licence.split(" (")[0].split(",")[0] in notice
            assert spec.cite.partition("doi ")[2] in notice
    for path in [*ROOT.glob("datasets/**/*.np[yz]")]:
        assert path.relative_to(ROOT).as_posix() in notice


def sources() -> list[Path]:
    """Code and documents that may tell how to install something."""
    folders = ("benchmark", "benchmark/methods", "benchmark/datasets", "benchmark/configs", "docs")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    named = [path for path in paths if path.suffix in (".py", ".md", ".j2", ".yaml", ".toml")]
    return [*named, *ROOT.glob("*.md"), ROOT / "Makefile", *(ROOT / ".ci").iterdir()]


def test_every_extra_that_an_install_line_names_exists() -> None:
    table = PYPROJECT.partition("[project.optional-dependencies]")[2].partition("\n\n[")[0]
    extras = set(re.findall(r"^(\w+) = \[", table, re.MULTILINE))
    lines = [(path, line) for path in sources() for line in path.read_text(encoding="utf-8").splitlines()]
    named = [(path, name) for path, line in lines for name in re.findall(r"(?:seed-ct|[\"' ]\.)\[([\w,]+)\]['\"]", line)]
    assert {"medical", "photographs", "zarr", "dask", "tensorboard"} < {name for _, name in named} and "dev" in extras
    assert [(path.name, name) for path, names in named for name in names.split(",") if name not in extras] == []
    # `pip install -e` works in a checkout alone: such lines belong to the development environment and to packages of one's own.
    assert [path.name for path, line in lines if re.search(r"(-e|--editable) ['\"]\.\[(?!dev\])", line)] == []


def test_dev_takes_every_other_extra() -> None:
    table = PYPROJECT.partition("[project.optional-dependencies]")[2].partition("\n\n[")[0]
    extras = set(re.findall(r"^(\w+) = \[", table, re.MULTILINE)) - {"dev"}
    assert set(re.findall(r'"seed-ct\[(.*)\]"', table)[0].split(",")) == extras


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("distributed", "pip install 'seed-ct[dask]'"),
        ("h5py", "pip install 'seed-ct[photographs]'"),
        ("nowhere", "pip install nowhere"),
        ("tigre", "pip install git+https://github.com/CERN/TIGRE.git"),
    ],
)
def test_the_line_that_installs_a_module(module: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["dask>=2024; extra == 'dask'", "distributed>=2024; extra == 'dask'", "h5py; extra == 'photographs'", "h5py; extra == 'dev'"]
    monkeypatch.setattr(metadata, "requires", lambda name: wanted)
    environment._extras.cache_clear()
    assert environment.install_hint(module) == line
    environment._extras.cache_clear()
