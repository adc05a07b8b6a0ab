"""Prove that constraints.txt resolves on every supported Python, from an index's metadata alone: nothing is installed, no wheel is taken.

    .venv/bin/python .ci/resolve.py            # the proof: exit code 1 if a version does not resolve, or a pin is missing
    .venv/bin/python .ci/resolve.py 3.11       # of this version
    .venv/bin/python .ci/resolve.py --write    # write constraints.txt again; further arguments go to uv, such as --upgrade

uv asks the index that pip is set up for (`pip config list`). The Python that runs this needs no proof: pip has installed it by these pins.
"""

from __future__ import annotations

import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
# CUDA builds of torch ask for exact versions of these; CPU builds need none of them.
OF_TORCH = re.compile(r"(nvidia-|cuda-|triton\b)")
HEADER = """\
# The exact versions that `make` installs. Ranges are in pyproject.toml; `.venv/bin/python .ci/resolve.py --write` writes this file.
# NVIDIA's packages have no version here: CUDA builds of torch ask for their own.
"""


def main(arguments: list[str]) -> int:
    """Prove or write; return the exit code."""
    if arguments[:1] == ["--write"]:
        return write(arguments[1:])
    versions = arguments or [version for version in VERSIONS if version != "{}.{}".format(*sys.version_info)]
    with concurrent.futures.ThreadPoolExecutor(len(versions)) as pool:
        problems = list(pool.map(problem, versions))
    for version, text in zip(versions, problems, strict=True):
        print(f"Python {version}: {text or 'resolves'}")
    return int(any(problems))


def problem(version: str) -> str:
    """Why .[dev] cannot be installed from wheels on Linux with this Python and these constraints; '' if it can."""
    done = compile_pins("--python-version", version, "--python-platform", "x86_64-manylinux_2_28", "--constraints", str(CONSTRAINTS))
    if done.returncode:
        return done.stderr.strip()
    pinned = names(CONSTRAINTS.read_text(encoding="utf-8"))
    free = sorted(name for name in names(done.stdout) - pinned if not OF_TORCH.match(name))
    return f"not pinned: {', '.join(free)}" if free else ""


def write(arguments: list[str]) -> int:
    """Write constraints.txt for all Pythons and systems at once. Versions stay unless they must change; torch's always stays."""
    with tempfile.TemporaryDirectory() as folder:
        before, torch = Path(folder) / "constraints.txt", Path(folder) / "torch.txt"
        shutil.copyfile(CONSTRAINTS, before)
        torch.write_text("".join(line for line in lines(CONSTRAINTS.read_text(encoding="utf-8")) if line.startswith("torch==")))
        done = compile_pins(
            *("--universal", "--python-version", VERSIONS[0], "--constraints", str(torch), "--output-file", str(before)), *arguments
        )
        if done.returncode:
            sys.stderr.write(done.stderr)
            return 1
        pins = [line for line in lines(before.read_text(encoding="utf-8")) if not OF_TORCH.match(line)]
    CONSTRAINTS.write_text(HEADER + "".join(pins), encoding="utf-8")
    return 0


def compile_pins(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `uv pip compile` for the development environment of this project."""
    uv = Path(sysconfig.get_path("scripts")) / "uv"
    options = ["--extra", "dev", "--only-binary", ":all:", "--quiet", "--no-annotate", "--no-header", "--no-config"]
    command = [str(uv), "pip", "compile", str(ROOT / "pyproject.toml"), *options, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**settings_of_pip(), **os.environ})


def settings_of_pip() -> dict[str, str]:
    """The index and the certificates that pip uses, as uv's variables."""
    done = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True)
    found = dict(re.findall(r"^(?:\S+)\.([\w-]+)='(.*)'$", done.stdout, re.MULTILINE))
    wanted = {"index-url": "UV_DEFAULT_INDEX", "cert": "SSL_CERT_FILE"}
    return {variable: found[name] for name, variable in wanted.items() if name in found}


def lines(text: str) -> list[str]:
    """Lines that are not comments."""
    return [line for line in text.splitlines(keepends=True) if not line.startswith("#")]


def names(text: str) -> set[str]:
    """Normalised names of the distributions in a list of requirements."""
    found = re.findall(r"^([A-Za-z0-9][\w.-]*)==", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower() for name in found}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
