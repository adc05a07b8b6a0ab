"""Dockerfile and environment.yml: what they copy exists, what they run is what `make` runs, and their versions are those of the project."""

from __future__ import annotations

import fnmatch
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import tomllib
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = {"python:3.12-slim-bookworm": "3.12", "nvidia/cuda:13.0.1-devel-ubuntu24.04": "3.12"}  # of the images' own python3


def stages() -> dict[str, list[tuple[str, str]]]:
    """Instructions of each stage, by its name; lines that go on are joined."""
    text = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text())
    found: dict[str, list[tuple[str, str]]] = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        if line.startswith("#"):
            continue
        word, rest = line.split(maxsplit=1)
        if word == "FROM":
            image, stage = re.fullmatch(r"(\S+) AS (\w+)", rest).groups()  # type: ignore[union-attr]
            found[stage] = [("FROM", image)]
        else:
            found[stage].append((word, rest))
    return found


def of(stage: str, word: str) -> list[str]:
    return [rest for instruction, rest in stages()[stage] if instruction == word]


def test_there_is_an_image_for_the_cpu_and_one_for_cuda() -> None:
    assert list(stages()) == ["cpu", "cuda"]
    for stage in stages():
        assert {word for word, _ in stages()[stage]} <= {"FROM", "ARG", "ENV", "RUN", "WORKDIR", "COPY", "ENTRYPOINT", "CMD"}
        assert of(stage, "ENTRYPOINT") == ['["python", "-m", "benchmark"]']


@pytest.mark.parametrize("stage", ["cpu", "cuda"])
def test_everything_copied_is_in_the_repository_and_nothing_needed_is_left_out(stage: str) -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
    if not tracked:
        pytest.skip("not a git checkout")
    ignored = (ROOT / ".dockerignore").read_text().split()
    copied = [source for line in of(stage, "COPY") for source in line.split()[:-1]]
    for source in copied:
        assert any(path == source or path.startswith(f"{source}/") for path in tracked), source
        assert not any(fnmatch.fnmatch(source, pattern) for pattern in ignored), source
    for line in of(stage, "COPY"):  # a folder's content goes into the folder of that name
        *sources, target = line.split()
        assert target == "./" and all((ROOT / source).is_file() for source in sources) or sources == [target]
    assert set(copied) >= {
        "Makefile",
        "pyproject.toml",
        "constraints.txt",
        "README.md",
        "benchmark",
        "methods",
        "datasets",
        "configs",
        "tests",
    }


@pytest.mark.parametrize("stage", ["cpu", "cuda"])
def test_they_install_by_make(stage: str) -> None:
    apt, install = of(stage, "RUN")
    assert apt.startswith("apt-get update && apt-get install --yes --no-install-recommends ") and "g++ git make" in apt
    targets = [command.removeprefix("make ") for command in install.split(" && ") if command.startswith("make ")]
    assert targets == (["install"] if stage == "cpu" else ["install", "gpu-engines"])
    planned = subprocess.run(["make", "-n", "-B", *targets], cwd=ROOT, capture_output=True, text=True)
    assert planned.returncode == 0 and "--constraint constraints.txt --editable" in planned.stdout
    (workdir,) = of(stage, "WORKDIR")
    assert f"PATH={workdir}/.venv/bin:$PATH" in of(stage, "ENV")[-1]


def test_one_python_everywhere_and_the_cuda_of_torchs_kernels() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    python = PYTHONS[of("cpu", "FROM")[0]]
    assert PYTHONS[of("cuda", "FROM")[0]] == python and SpecifierSet(project["requires-python"]).contains(python)
    (said,) = [line for line in environment()["dependencies"] if str(line).startswith("python=")]
    assert said == f"python={python}"
    (nvrtc,) = [line for line in project["optional-dependencies"]["dev"] if line.startswith("nvidia-cuda-nvrtc")]
    major = re.search(r"cuda:(\d+)\.", of("cuda", "FROM")[0]).group(1)  # type: ignore[union-attr]
    assert Requirement(nvrtc).specifier.contains(f"{major}.0") and not Requirement(nvrtc).specifier.contains(f"{int(major) - 1}.9")


def test_its_versions_are_pinned() -> None:
    """Every package that the project asks for by name, on Linux and the images' Python, but NVIDIA's."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [Requirement(line) for line in (*project["dependencies"], *sum(project["optional-dependencies"].values(), []))]
    version = PYTHONS[of("cpu", "FROM")[0]]
    where: dict[str, Any] = {
        **default_environment(),
        "python_version": version,
        "python_full_version": f"{version}.1",
        "sys_platform": "linux",
    }
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    pinned = {pin.name: pin.specifier for pin in map(Requirement, lines) if pin.marker is None or pin.marker.evaluate(where)}
    for package in asked:
        if package.name == "seed-ct" or package.name.startswith("nvidia-") or package.marker and not package.marker.evaluate(where):
            continue
        (pin,) = pinned[package.name.lower()]
        assert pin.operator == "==" and package.specifier.contains(pin.version), package


def environment() -> dict[str, list[object]]:
    return yaml.safe_load((ROOT / "environment.yml").read_text())


def test_the_conda_environment_asks_pip_for_what_make_asks_it_for() -> None:
    content = environment()
    assert content.keys() == {"name", "channels", "dependencies"} and content["channels"] == ["conda-forge", "nodefaults"]
    conda, (pip,) = (
        [line for line in content["dependencies"] if isinstance(line, str)],
        [line["pip"] for line in content["dependencies"] if isinstance(line, dict)],
    )
    assert {"pip", "cxx-compiler", "make", "git"} <= set(conda)
    (by_make,) = re.findall(r"pip install .*?(--constraint \S+) (--editable) \"(\S+)\"", (ROOT / "Makefile").read_text())
    assert pip == [by_make[0], " ".join(by_make[1:])]
