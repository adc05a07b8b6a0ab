"""The path of somebody who writes a method, step by step as documented, in an environment of their own: new-method, pip install, show, run.

The environment is a fresh one that sees this one's packages. pip is the real one, and has no network.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TINY = "--datasets ball --size 12 --views 4 --device cpu --no-report --in-process"


class Shell:
    """A shell in which python and pip are those of the fresh environment."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        self.python = folder / "bin" / "python"
        ask = [str(self.python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
        site = Path(subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip())
        (site / "shared.pth").write_text(f"{ROOT}\nimport site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
        (folder / "bin" / "pip").write_text(f'#!/bin/sh\nexec "{self.python}" -m pip "$@"\n')
        (folder / "bin" / "pip").chmod(0o755)
        self.environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH" and not name.startswith("PIP_")}
        self.environment |= {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
        # The variable's value says whether there *is* isolation.
        self.environment |= {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "false", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}

    def run(self, text: str, folder: Path) -> str:
        """Output of commands, all of which must end well."""
        command = ["bash", "-euo", "pipefail", "-c", text]
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment, cwd=folder, timeout=300)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path / "environment")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def blocks(page: str, language: str) -> list[str]:
    """Code blocks of a page in one language."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)


def test_the_page_on_methods_word_by_word(shell: Shell, work: Path) -> None:
    start, check = (text for text in blocks("docs/adding_a_method.md", "sh") if "my_idea" in text)
    text = shell.run(start, work)
    assert "my_idea/src/my_idea/__init__.py" in text and "SIRT, to be replaced by your idea" in text
    assert "4 of 4 checks without a complaint" in shell.run(check, work)
    for folder in (work / "my_idea", work / "my_idea" / "src", work.parent):
        assert "SIRT, to be replaced by your idea" in shell.run("python -m benchmark show my_idea", folder)
    assert "set aside" not in shell.run("python -m benchmark list", work)


def test_installed_for_good_it_is_known_from_every_folder(shell: Shell, work: Path) -> None:
    shell.run("python -m benchmark new-method my_idea\ncd my_idea\npip install --no-deps --no-build-isolation .", work)
    for folder in (work / "my_idea", work):
        assert "SIRT, to be replaced by your idea" in shell.run("python -m benchmark show my_idea", folder)
        text = shell.run(f"python -m benchmark run --methods my_idea,sart {TINY} --output results/first", folder)
        assert "2 runs" in text and "failed" not in text
    assert "2 of 2 checks without a complaint" in shell.run("python -m benchmark check my_idea --only result,views", work)


def test_the_readme_word_by_word(shell: Shell, work: Path) -> None:
    (source,) = [text for text in blocks("README.md", "python") if "hookimpl" in text]
    (project,) = [text for text in blocks("README.md", "toml") if "entry-points" in text]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"`(python -m benchmark run --methods sirt,sart)`", readme)
    (module,) = re.findall(r'^py-modules = \["(.*)"\]$', project, re.MULTILINE)
    (work / f"{module}.py").write_text(source)
    (work / "pyproject.toml").write_text(project)
    shell.run("pip install .", work)
    for folder in (work, work.parent):
        assert "SIRT in 14 lines" in shell.run("python -m benchmark show sirt", folder)
    text = shell.run(f"{command} {TINY} --output results/first", work)
    assert "2 runs" in text and "failed" not in text


def test_a_package_that_is_imported_as_an_empty_folder_is_a_problem(shell: Shell, work: Path) -> None:
    """As when the outer folder of a package has the package's name and stands where Python looks first."""
    shell.run("python -m benchmark new-method my_idea\npip install -e ./my_idea", work)
    (work / "elsewhere" / "my_idea").mkdir(parents=True)
    (work / "my_idea" / "src" / "my_idea" / "__init__.py").unlink()
    text = shell.run("python -m benchmark list", work / "elsewhere")
    assert "set aside: my_idea (my-idea): a folder without __init__.py was imported: " in text
