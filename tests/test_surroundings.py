"""What machine, user and plug-ins bring along: locales, settings of notebooks, damaged and shared caches, banners."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from benchmark.errors import InputError
from benchmark.kernels import cpu_library
from benchmark.machine.environment import HOME
from benchmark.machine.interpreter import PYTHON
from benchmark.storage.sealed import is_intact, is_ours

SMALL = ("run", "--datasets", "ball", "--views", "8", "--size", "16", "--methods", "fdk,sart")


def command(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PYTHON, "-m", "benchmark", *map(str, arguments)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=300,
        env={**os.environ, **environment},
    )


def test_a_python_without_the_project_says_which_one_to_use():
    done = subprocess.run([PYTHON[0], "-S", "-m", "benchmark", "list"], capture_output=True, text=True, timeout=60, cwd=HOME)
    assert done.returncode == 2 and done.stdout == ""
    assert re.fullmatch(
        r"error: .*: expected a Python into which this project is installed, found one without '\w+'\. Use .*\n", done.stderr
    )


@pytest.mark.parametrize(
    "banner",
    [
        "print('FancyCT 1.2')",
        "import os; os.write(1, b'FancyCT 1.2')",
        "import logging, sys; logging.warning('x'); sys.stdout.write('FancyCT')",
    ],
    ids=["print", "file descriptor", "stream"],
)
def test_what_a_plugin_prints_when_imported_is_no_output_of_the_command(tmp_path, banner):
    (tmp_path / "fancy.py").write_text(
        f"{banner}\nfrom benchmark.api import hookimpl\n\n@hookimpl\ndef register_methods():\n    return []\n"
    )
    info = tmp_path / "fancy-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fancy\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[benchmark]\nfancy = fancy\n")
    done = command("list", "--json", PYTHONPATH=os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]))
    assert {method["name"] for method in json.loads(done.stdout)["methods"]} >= {"fdk", "zerorf"}
    assert "FancyCT" in done.stderr


def test_reports_need_neither_a_display_nor_utf8_nor_the_users_own_settings_of_matplotlib(tmp_path):
    settings = tmp_path / "matplotlibrc"
    settings.write_text("text.usetex: True\nfont.family: none-such\n")
    surroundings = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "MATPLOTLIBRC": str(settings)}
    folder = tmp_path / "Größe"
    seeded = ("--methods", "naf", "--set", "naf.steps=5", "--seeds", "0,1")
    done = command(*SMALL, *seeded, "--output", folder, MPLBACKEND="module://no_such_backend", **surroundings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.isascii() and "+/-" in done.stdout
    assert "±" in (folder / "tables" / "summary.md").read_text(encoding="utf-8")
    assert "Größe" in (folder / "report.html").read_text(encoding="utf-8")
    strange = folder.rename(tmp_path / os.fsdecode(b"gr\xfc"))  # Latin-1 in a UTF-8 locale
    again = command(*SMALL, "--seeds", "0,1", "--no-report", "--output", strange, PYTHONIOENCODING="ascii")
    assert again.returncode == 0 and again.stdout.isascii()


@pytest.fixture
def own_cache(tmp_path, monkeypatch) -> Path:
    """A cache with the kernels' object files only."""
    built = cpu_library.build()
    folder = tmp_path / "cache" / "kernels"
    folder.mkdir(parents=True)
    for path in built.parent.glob("*.o*"):
        shutil.copy2(path, folder)
    monkeypatch.setenv("SEED_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.mark.parametrize("kept", [0.0, 0.5])
def test_cut_off_kernels_are_built_again(own_cache, kept):
    library = cpu_library.build()
    whole = library.read_bytes()
    library.write_bytes(whole[: int(kept * len(whole))])
    assert not is_intact(library)
    assert cpu_library.build() == library and is_intact(library)
    ctypes.CDLL(str(library))


def test_a_cut_off_object_file_is_compiled_again(own_cache):
    damaged = min(own_cache.glob("*.o"), key=lambda path: path.stat().st_size)
    current = {path.name for path in own_cache.glob("*.o")}
    damaged.write_bytes(b"")
    library = cpu_library.build()
    assert is_intact(library) and {path.name for path in own_cache.glob("*.o")} == current
    ctypes.CDLL(str(library))


def test_a_group_can_read_the_kernels_and_nobody_trusts_those_of_another_user(own_cache, tmp_path, monkeypatch):
    before = os.umask(0o002)
    try:
        library = cpu_library.build()
    finally:
        os.umask(before)
    assert library.stat().st_mode & stat.S_IRGRP
    library.chmod(0o666)
    assert not is_ours(library) and not is_intact(library)
    if os.getuid() == 0:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
        os.chown(own_cache, 12345, 12345)
        assert cpu_library.kernel_folder() == tmp_path / "mine" / "seed-ct" / "kernels"
        (tmp_path / "mine" / "seed-ct" / "kernels").mkdir(parents=True)
        os.chown(tmp_path / "mine" / "seed-ct" / "kernels", 12345, 12345)
        with pytest.raises(InputError, match="belongs to this user"):
            cpu_library.kernel_folder()
