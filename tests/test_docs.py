"""The documentation is executed: every code block of docs/ and README.md runs, or says why it does not.

A block of Python runs; a block after `<!-- file: NAME -->` is written to that file; a block of sh runs as it is, in bash, in a folder
of its own, where `python`, `pip` and `benchmark` are this environment's, without network. A block after `<!-- not executed: WHY -->`
does not run, but its commands are still understood by the command line.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import typer

from benchmark.cli import main
from benchmark.cli.examples import EXAMPLES
from benchmark.plugins import hooks
from benchmark.plugins.registry import registry

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
MARK = r"(?:<!-- (?P<mark>file|not executed): (?P<words>.*?) -->\n)?"
BLOCK = re.compile(MARK + r"```(?P<language>\w*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
# The README has no marks, so that it reads well everywhere: the reason by the beginning of the block.
README = {
    "make run": "installs everything and runs for minutes; `make -n` below",
    "python -m benchmark list": "downloads data and runs for minutes; understood below",
    "python -m benchmark run --datasets walnut_sample": "tests/test_readme_scores.py executes it",
    "python -m benchmark new-scan": "needs a scan of your own; understood below",
    "from benchmark.api": "tests/test_outside_plugin.py installs and runs it",
    "[project]": "tests/test_outside_plugin.py installs it",
}
NOT_CODE = {"", "text"}
COMMAND = re.compile(r"^(?:python -m benchmark|benchmark) .*$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Block:
    """A code block: its language, its text, the file it is for, and why it is not executed."""

    language: str
    text: str
    file: str
    reason: str


def blocks(path: Path) -> list[Block]:
    found = []
    for match in BLOCK.finditer(path.read_text(encoding="utf-8")):
        mark, words = match["mark"], match["words"] or ""
        reason = words if mark == "not executed" else ""
        if path.name == "README.md":
            reason = next((why for start, why in README.items() if match["text"].startswith(start)), reason)
        found.append(Block(match["language"], match["text"], words if mark == "file" else "", reason))
    return found


def shims(folder: Path, site: Path) -> Path:
    """Commands of this environment: python, benchmark, and a pip that needs no network and installs into `site`."""
    python = shlex.quote(sys.executable)
    offline = "--quiet --no-deps --no-build-isolation --no-index --upgrade"
    pip = f'{python} -m pip install {offline} --target {shlex.quote(str(site))} "${{@: -1}}"'
    folder.mkdir()
    for name, line in (("python", f'exec {python} "$@"'), ("benchmark", f'exec {python} -m benchmark "$@"'), ("pip", pip)):
        path = folder / name
        path.write_text(f"#!/usr/bin/env bash\n{line}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return folder


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_block_of_a_page_runs(path, tmp_path, monkeypatch):
    work, site = tmp_path / "work", tmp_path / "site"
    work.mkdir()
    monkeypatch.chdir(work)
    places = [str(site), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(shims(tmp_path / "bin", site)), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join(places),
        "OMP_NUM_THREADS": "1",
    }
    names: dict[str, object] = {"__name__": path.stem}
    for block in blocks(path):
        if block.reason:
            continue
        if block.file:
            (work / block.file).parent.mkdir(parents=True, exist_ok=True)
            (work / block.file).write_text(block.text)
        elif block.language == "python":
            exec(compile(block.text, str(path), "exec"), names)
        elif block.language == "sh":
            command = ["bash", "-euo", "pipefail", "-c", block.text]
            done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
            assert done.returncode == 0, f"{block.text}\n{done.stdout}\n{done.stderr}"
        else:
            assert block.language in NOT_CODE, f"{path.name}: a block of {block.language!r} that nobody executes:\n{block.text}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_command_of_a_page_is_understood(path):
    """Also those in the middle of a sentence and in blocks that are not executed."""
    text = path.read_text(encoding="utf-8")
    lines = [line for block in blocks(path) if block.language == "sh" for line in COMMAND.findall(block.text)]
    lines += [line for line in re.findall(r"`([^`\n]+)`", text) if COMMAND.match(line)]
    group = typer.main.get_command(main.app)
    for line in lines:
        words = shlex.split(line, comments=True)
        name, *rest = words[words.index("benchmark") + 1 :]
        if name.startswith("-"):  # an option of the program itself, whose parsing would carry it out
            assert any(name in parameter.opts for parameter in group.params), line
            continue
        with group.make_context("benchmark", [name]) as context:
            command = group.get_command(context, name)
            assert command is not None, line
            command.make_context(name, rest, parent=context).close()


def test_make_knows_the_targets_of_the_readme():
    text = "\n".join(block.text for block in blocks(ROOT / "README.md") if block.text.startswith("make"))
    targets = re.findall(r"^make (\w+)", text, re.MULTILINE)
    assert targets == ["run", "test"]
    done = subprocess.run(["make", "-n", *targets], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_what_is_not_executed_says_why():
    for path in PAGES:
        assert "not executed: -->" not in path.read_text()
        for block in blocks(path):
            assert not block.reason or len(block.reason) > 10


def test_every_block_is_seen():
    """A fence that the expression above misses would be a block that nobody runs."""
    for path in PAGES:
        assert path.read_text().count("\n```") == 2 * len(blocks(path)), path.name


def test_every_hook_is_documented_with_its_arguments():
    found = {}
    for name, function in vars(hooks).items():
        if hasattr(function, f"{hooks.PROJECT}_spec"):
            found[name] = f"{name}({', '.join(inspect.signature(function).parameters)})"
    text = (ROOT / "docs" / "hooks.md").read_text()
    assert "register_methods" in found
    assert re.findall(r"^### `(.*)`$", text, re.MULTILINE) == list(found.values())


def test_every_command_is_in_the_docs():
    text = (ROOT / "docs" / "commands.md").read_text()
    names = [command.name or command.callback.__name__.replace("_", "-") for command in main.app.registered_commands]
    assert [name for name in names if not re.search(rf"^\|.*`{name}\b", text, re.MULTILINE)] == []
    assert set(names) <= set(EXAMPLES)


def script(name: str) -> ModuleType:
    """A script of docs/ as a module."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / "docs" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_links_between_pages_lead_somewhere() -> None:
    """To a file, or to a page that the site makes from the code; `make docs` checks anchors, too."""
    made = {(ROOT / "docs" / page).resolve() for page in script("site").pages()}
    for path in PAGES:
        for target in re.findall(r"\]\(([^)#]+)", path.read_text()):
            place = (path.parent / target).resolve()
            assert place.exists() or place in made, f"{path.name}: {target}"


def test_the_made_pages_describe_every_plug_in_and_command() -> None:
    pages = script("site").pages()
    for page, known in (("methods", registry().methods), ("datasets", registry().datasets)):
        assert re.findall(r"^## (\w+)$", pages[f"reference/{page}.md"], re.MULTILINE) == sorted(known)
    names = [name for name, command in vars(typer.main.get_command(main.app))["commands"].items() if not command.hidden]
    assert re.findall(r"^## `python -m benchmark ([\w-]+)`$", pages["reference/cli.md"], re.MULTILINE) == names


def test_the_pictures_are_up_to_date() -> None:
    floors, drawings = script("architecture"), script("drawings")
    assert floors.PICTURE.read_text() == floors.draw(), "run `make docs`"
    assert len(floors.imports()) <= 33
    for name, draw in drawings.DRAWINGS.items():
        assert (drawings.FOLDER / name).read_text() == draw(), "run `make docs`"


def test_no_sentence_begins_with_what_as_a_noun() -> None:
    """A question may; a clause that stands for a noun makes the reader wait for the verb."""
    found = []
    for path in PAGES:
        text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        sentences = re.findall(r"(?:^|[.!?:] |\| |\* |- )(What\b[^.?!|]*[.?!|]?)", text, re.MULTILINE)
        found += [f"{path.name}: {sentence}" for sentence in sentences if not sentence.endswith("?")]
    assert found == []


def test_the_architecture_names_files_that_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = re.findall(r"`([a-z_]+/(?:[a-z_/]+(?:\.py)?)?)`", text)
    assert len(named) > 30
    assert [name for name in named if not ((ROOT / "benchmark" / name).exists() or (ROOT / name).exists())] == []
