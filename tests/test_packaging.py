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
